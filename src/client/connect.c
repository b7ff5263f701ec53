/* connect.c: sockets to a server: blocking ones with a bound on every step, and non-blocking ones
 * for callers with a loop. */
#include "stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int open_socket(const struct moed_address *address, int flags)
{
    const int on = 1;
    int fd = socket(address->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    if (fd >= 0 && address->to.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* A connected socket, or -1 with errno. */
static int try_address(const struct moed_address *address, uint32_t timeout_ms)
{
    const struct timeval timeout = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000};
    int fd = open_socket(address, 0);
    int failed;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fd, (const struct sockaddr *)&address->to, address->size) == 0)
        return fd;
    failed = errno;
    close(fd);
    errno = failed;
    return -1;
}

static int connect_unix(const struct moed_url *url, uint32_t timeout_ms,
                        struct moed_address *address)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};

    if (strlen(url->host) >= sizeof local.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(local.sun_path, url->host, strlen(url->host) + 1);
    address->size = sizeof local;
    if (local.sun_path[0] == '@') { /* a name that is no path: unix(7) */
        local.sun_path[0] = '\0';
        address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(url->host));
    }
    memcpy(&address->to, &local, sizeof local);
    return try_address(address, timeout_ms);
}

static int connect_tcp(const struct moed_url *url, uint32_t timeout_ms,
                       struct moed_address *address)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    int fd = -1;

    if (getaddrinfo(url->host, url->port, &hints, &list) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    for (const struct addrinfo *at = list; at != NULL && fd < 0; at = at->ai_next) {
        memcpy(&address->to, at->ai_addr, at->ai_addrlen);
        address->size = at->ai_addrlen;
        fd = try_address(address, timeout_ms);
    }
    freeaddrinfo(list);
    return fd;
}

static int cannot(const struct moed_url *url, const char *what, const char *why,
                  struct moed_error *err)
{
    const char *scheme = url->is_unix ? "unix:" : url->is_tls ? "https://" : "http://";

    return moed_fail(err, MOED_E_IO, "%s%s%s%s: %s: %s", scheme, url->host, url->is_unix ? "" : ":",
                     url->is_unix ? "" : url->port, what, why);
}

int moed_stream_connect(const struct moed_url *url, const struct moed_trust *trust,
                        uint32_t timeout_ms, struct moed_stream *out, struct moed_address *address,
                        struct moed_error *err)
{
    struct moed_address found = {0};
    int fd =
        url->is_unix ? connect_unix(url, timeout_ms, &found) : connect_tcp(url, timeout_ms, &found);

    *out = (struct moed_stream){.fd = -1};
    if (fd < 0)
        return cannot(url, "cannot connect", strerror(errno), err);
    if (stream_open(out, fd, url, trust) != 0)
        return cannot(url, "cannot begin TLS", strerror(errno), err);
    if (moed_stream_shake(out) != 0) {
        cannot(url, "no TLS session", errno == EAGAIN ? "timed out" : moed_stream_fault(out), err);
        moed_stream_close(out);
        return MOED_E_IO;
    }
    if (address != NULL)
        *address = found;
    return 0;
}

int moed_stream_begin(const struct moed_url *url, const struct moed_trust *trust,
                      const struct moed_address *address, struct moed_stream *out)
{
    int failed, fd = open_socket(address, SOCK_NONBLOCK);

    *out = (struct moed_stream){.fd = -1};
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address->to, address->size) == 0 ||
        errno == EINPROGRESS)
        return stream_open(out, fd, url, trust) == 0 ? 0 : -errno;
    failed = errno;
    close(fd);
    return -failed;
}
