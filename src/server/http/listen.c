/* listen.c: the sockets of --listen. The server binds them itself, rather than leaving it to
 * libmicrohttpd, so that a taken port is known before a large model has been read; or it takes over
 * what somebody else has bound. */
#include "listen.h"

#include "listen_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HOST_MAX = 256, PORT_TEXT_MAX = 16, PORT_MAX = 65535, PORT_TRIES = 16 };

static int misread(const char *spec, const char *why, struct moed_error *err)
{
    return moed_fail(err, MOED_E_USAGE, "--listen: found \"%s\", %s", spec, why);
}

/* "HOST:PORT" or "[v6]:PORT" into its two halves. */
static int split_address(const char *spec, char host[HOST_MAX], uint32_t *port,
                         struct moed_error *err)
{
    const char *colon = strrchr(spec, ':');
    const char *from = spec, *end;
    size_t length;

    if (strstr(spec, "://") != NULL)
        return misread(spec, "which is a URL, expected HOST:PORT", err);
    if (colon == NULL || spec[0] == '/')
        return misread(spec, "expected HOST:PORT, [v6]:PORT, unix:PATH or fd:N", err);
    length = (size_t)(colon - spec);
    if (spec[0] == '[' && length >= 2 && colon[-1] == ']') {
        from++;
        length -= 2;
    } else if (memchr(spec, ':', length) != NULL) {
        return misread(spec, "expected [v6]:PORT for an IPv6 address", err);
    }
    if (length == 0 || length >= HOST_MAX)
        return misread(spec, "expected a host before the port, 0.0.0.0 or [::] for all", err);
    end = colon + 1;
    if (!moed_read_u32(&end, port) || *end != '\0' || *port > PORT_MAX)
        return misread(spec, "expected a port from 0 (any that is free) to 65535", err);
    memcpy(host, from, length);
    host[length] = '\0';
    return 0;
}

/* A name's IPv6 address leaves the IPv4 ones to their own sockets. */
static int bind_tcp(const struct addrinfo *info, bool one_of_several)
{
    const int on = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* Accepted sockets inherit it: answers leave at once, without a system call a connection. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (one_of_several && info->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* The bound address as a URL: with port 0 only the kernel knows it. */
static void name_tcp(struct listener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char host[HOST_MAX], port[PORT_TEXT_MAX];

    if (getsockname(listener->fd, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    if (address.ss_family == AF_INET6)
        snprintf(listener->address, sizeof listener->address, "http://[%.120s]:%s", host, port);
    else
        snprintf(listener->address, sizeof listener->address, "http://%.120s:%s", host, port);
}

static void set_ports(struct addrinfo *info, uint32_t port)
{
    for (; info != NULL; info = info->ai_next)
        if (info->ai_family == AF_INET6)
            ((struct sockaddr_in6 *)(void *)info->ai_addr)->sin6_port = htons((uint16_t)port);
        else
            ((struct sockaddr_in *)(void *)info->ai_addr)->sin_port = htons((uint16_t)port);
}

static uint32_t port_of(const struct listener *listener)
{
    const char *at = strrchr(listener->address, ':');
    uint32_t port = 0;

    if (at != NULL) {
        at++;
        moed_read_u32(&at, &port);
    }
    return port;
}

/* The hosts file may give a name the same address twice. */
static bool is_repeated(const struct addrinfo *all, const struct addrinfo *info)
{
    for (; all != info; all = all->ai_next)
        if (all->ai_addrlen == info->ai_addrlen &&
            memcmp(all->ai_addr, info->ai_addr, info->ai_addrlen) == 0)
            return true;
    return false;
}

/* All addresses that the name has on this machine, with one port. 0, or the errno of the one that
 * could not be bound, with none left open. */
static int bind_all(struct addrinfo *all, uint32_t port, struct listeners *out)
{
    const bool several = all->ai_next != NULL;
    int failed = EADDRNOTAVAIL;

    out->n = 0;
    for (struct addrinfo *info = all; info != NULL && out->n < LISTENERS_MAX;
         info = info->ai_next) {
        struct listener *listener = &out->at[out->n];

        set_ports(all, port);
        if (is_repeated(all, info))
            continue;
        *listener = (struct listener){.fd = bind_tcp(info, several)};
        if (listener->fd >= 0) {
            name_tcp(listener);
            port = port_of(listener);
            out->n++;
        } else if (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT) {
            failed = errno;
            listeners_close(out);
            return failed;
        }
    }
    return out->n > 0 ? 0 : failed;
}

static int open_tcp(const char *spec, struct listeners *out, struct moed_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char host[HOST_MAX];
    struct addrinfo *all;
    uint32_t port = 0;
    int failed, tries = 0, rc = split_address(spec, host, &port, err);

    if (rc != 0)
        return rc;
    rc = getaddrinfo(host, NULL, &hints, &all);
    if (rc != 0)
        return moed_fail(err, MOED_E_USAGE, "--listen: %s: %s", spec, gai_strerror(rc));
    do /* a port that is free for the first address may be taken for the next */
        failed = bind_all(all, port, out);
    while (failed == EADDRINUSE && port == 0 && ++tries < PORT_TRIES);
    freeaddrinfo(all);
    if (failed != 0)
        return moed_fail(err, MOED_E_IO, "--listen: cannot listen on %s: %s", spec,
                         strerror(failed));
    return 0;
}

static int socket_option(int fd, int name)
{
    int value = -1;
    socklen_t size = sizeof value;

    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

/* The address of a unix socket that was handed over, whose file is its maker's to remove. */
static void name_unix(struct listener *listener)
{
    struct sockaddr_un address = {0};
    socklen_t size = sizeof address;

    if (getsockname(listener->fd, (struct sockaddr *)&address, &size) != 0)
        return;
    if (address.sun_path[0] == '\0')
        address.sun_path[0] = '@'; /* a name that is no path: unix(7) */
    snprintf(listener->address, sizeof listener->address, "unix:%.*s", (int)sizeof address.sun_path,
             address.sun_path);
}

static int open_inherited(const char *spec, struct listener *out, struct moed_error *err)
{
    const int on = 1;
    const char *end = spec + strlen("fd:");
    uint32_t number;
    int fd, domain;

    if (!moed_read_u32(&end, &number) || *end != '\0' || number > INT32_MAX)
        return moed_fail(err, MOED_E_USAGE, "--listen: found \"%s\", expected fd: and a number",
                         spec);
    fd = (int)number;
    domain = socket_option(fd, SO_DOMAIN);
    if (socket_option(fd, SO_TYPE) != SOCK_STREAM || socket_option(fd, SO_ACCEPTCONN) != 1 ||
        (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX))
        return moed_fail(err, MOED_E_USAGE,
                         "--listen: %s is no stream socket that listens (TCP or unix)", spec);
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return moed_fail(err, MOED_E_IO, "--listen: %s: %s", spec, strerror(errno));
    out->fd = fd;
    if (domain == AF_UNIX) {
        name_unix(out);
        return 0;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    name_tcp(out);
    return 0;
}

int listeners_open(const char *spec, struct listeners *out, struct moed_error *err)
{
    struct listener *first = &out->at[0];
    int rc;

    *out = (struct listeners){.at = {{.fd = -1}}};
    if (strncmp(spec, "unix:", 5) == 0)
        rc = listen_unix(spec + 5, first, err);
    else if (strncmp(spec, "fd:", 3) == 0)
        rc = open_inherited(spec, first, err);
    else
        return open_tcp(spec, out, err);
    out->n = rc == 0;
    return rc;
}

int listener_open(const char *spec, struct listener *out, struct moed_error *err)
{
    struct listeners all;
    const int rc = listeners_open(spec, &all, err);

    *out = all.at[0];
    if (rc != 0 || all.n == 1)
        return rc;
    listeners_close(&all);
    *out = all.at[0];
    return moed_fail(err, MOED_E_USAGE, "--listen: %s has several addresses, expected one", spec);
}

void listeners_close(struct listeners *listeners)
{
    while (listeners->n > 0)
        listener_close(&listeners->at[--listeners->n]);
}

bool listener_use_tls(struct listener *listener)
{
    static const char plain[] = "http:", tls[] = "https:";
    char rest[sizeof listener->address];

    if (strncmp(listener->address, plain, sizeof plain - 1) != 0)
        return false;
    memcpy(rest, listener->address + sizeof plain - 1, sizeof rest - (sizeof plain - 1));
    snprintf(listener->address, sizeof listener->address, "%s%.150s", tls, rest);
    return true;
}

void listener_close(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    listen_unix_remove(listener);
    close(listener->fd);
    listener->fd = -1;
}
