/* listen.c: the sockets of --listen. The server binds them itself, rather than leaving it to
 * libmicrohttpd, so that a taken port is known before a large model has been read; or it takes over
 * what somebody else has bound. */
#include "listen.h"

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

enum { HOST_MAX = 256, PORT_MAX = 16 };

/* "HOST:PORT" or "[v6]:PORT" into its two halves. */
static int split_address(const char *spec, char host[HOST_MAX], char port[PORT_MAX],
                         struct moed_error *err)
{
    const char *colon = strrchr(spec, ':');
    const char *from = spec;
    size_t length;

    if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) >= PORT_MAX)
        return moed_fail(err, MOED_E_USAGE,
                         "--listen: found \"%s\", expected HOST:PORT, [v6]:PORT, unix:PATH or fd:N",
                         spec);
    length = (size_t)(colon - spec);
    if (spec[0] == '[' && length >= 2 && colon[-1] == ']') {
        from++;
        length -= 2;
    } else if (memchr(spec, ':', length) != NULL) {
        return moed_fail(err, MOED_E_USAGE,
                         "--listen: \"%s\": an IPv6 address is written [v6]:PORT", spec);
    }
    if (length == 0 || length >= HOST_MAX)
        return moed_fail(err, MOED_E_USAGE, "--listen: \"%s\" names no host", spec);
    memcpy(host, from, length);
    host[length] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return 0;
}

static int bind_tcp(const struct addrinfo *info)
{
    const int on = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* Accepted sockets inherit it: answers leave at once, without a system call a connection. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
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
    char host[HOST_MAX], port[PORT_MAX];

    if (getsockname(listener->fd, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    if (address.ss_family == AF_INET6)
        snprintf(listener->address, sizeof listener->address, "http://[%.120s]:%s", host, port);
    else
        snprintf(listener->address, sizeof listener->address, "http://%.120s:%s", host, port);
}

static int open_tcp(const char *spec, struct listener *out, struct moed_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char host[HOST_MAX], port[PORT_MAX];
    struct addrinfo *all, *info;
    int rc = split_address(spec, host, port, err);

    if (rc != 0)
        return rc;
    rc = getaddrinfo(host, port, &hints, &all);
    if (rc != 0)
        return moed_fail(err, MOED_E_USAGE, "--listen: %s: %s", spec, gai_strerror(rc));
    errno = 0;
    for (info = all; info != NULL && out->fd < 0; info = info->ai_next)
        out->fd = bind_tcp(info);
    freeaddrinfo(all);
    if (out->fd < 0)
        return moed_fail(err, MOED_E_IO, "--listen: cannot listen on %s: %s", spec,
                         strerror(errno));
    name_tcp(out);
    return 0;
}

/* A socket file left by a dead server refuses connections; a live one does not. */
static void remove_stale(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
        errno == ECONNREFUSED)
        unlink(address->sun_path);
    close(fd);
}

static int open_unix(const char *path, struct listener *out, struct moed_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof address.sun_path)
        return moed_fail(err, MOED_E_USAGE, "--listen: a unix path of %zu bytes, expected 1 to %zu",
                         length, sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, length + 1);
    out->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (out->fd < 0)
        return moed_fail(err, MOED_E_IO, "--listen: unix socket: %s", strerror(errno));
    remove_stale(&address);
    if (bind(out->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(out->fd, SOMAXCONN) != 0) {
        moed_fail(err, MOED_E_IO, "--listen: cannot listen on unix:%s: %s", path, strerror(errno));
        close(out->fd);
        out->fd = -1;
        return MOED_E_IO;
    }
    memcpy(out->path, path, length + 1);
    snprintf(out->address, sizeof out->address, "unix:%s", path);
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

int listener_open(const char *spec, struct listener *out, struct moed_error *err)
{
    memset(out, 0, sizeof *out);
    out->fd = -1;
    if (strncmp(spec, "unix:", 5) == 0)
        return open_unix(spec + 5, out, err);
    if (strncmp(spec, "fd:", 3) == 0)
        return open_inherited(spec, out, err);
    return open_tcp(spec, out, err);
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
    close(listener->fd);
    listener->fd = -1;
    if (listener->path[0] != '\0')
        unlink(listener->path);
}
