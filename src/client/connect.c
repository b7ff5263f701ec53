/* connect.c: sockets to a server: for callers that wait, until a deadline, and for those with a
 * loop. */
#include "stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { FULL_QUEUE_MS = 10 };

static const uint64_t NS_A_MS = 1000000;

static int open_socket(const struct moed_address *address, int flags)
{
    const int on = 1;
    int fd = socket(address->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    if (fd >= 0 && address->to.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Waits for a connection that has begun; 0, or -1 with errno. */
static int await(int fd, uint64_t deadline_ns)
{
    struct pollfd socket = {.fd = fd, .events = POLLOUT};
    uint64_t now = moed_now_ns();
    socklen_t size = sizeof errno;
    int failed = ETIMEDOUT;

    if (now < deadline_ns && poll(&socket, 1, (int)((deadline_ns - now) / NS_A_MS) + 1) > 0)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    errno = failed;
    return failed == 0 ? 0 : -1;
}

/* A connected socket, or -1 with errno. */
static int try_address(const struct moed_address *address, uint64_t deadline_ns)
{
    int fd = open_socket(address, SOCK_NONBLOCK);
    int failed;

    if (fd < 0)
        return -1;
    while (connect(fd, (const struct sockaddr *)&address->to, address->size) != 0) {
        if (errno == EINPROGRESS && await(fd, deadline_ns) == 0)
            return fd;
        /* A unix socket whose queue of connections is full says so at once. */
        if (errno != EAGAIN || moed_now_ns() >= deadline_ns)
            goto fail;
        poll(NULL, 0, FULL_QUEUE_MS);
    }
    return fd;
fail:
    failed = errno;
    close(fd);
    errno = failed;
    return -1;
}

static int connect_unix(const struct moed_url *url, uint64_t deadline_ns,
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
    return try_address(address, deadline_ns);
}

static int connect_tcp(const struct moed_url *url, uint64_t deadline_ns,
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
        fd = try_address(address, deadline_ns);
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
    const uint64_t deadline_ns = moed_now_ns() + timeout_ms * NS_A_MS;
    struct moed_address found = {0};
    int fd = url->is_unix ? connect_unix(url, deadline_ns, &found)
                          : connect_tcp(url, deadline_ns, &found);

    *out = (struct moed_stream){.fd = -1};
    if (fd < 0)
        return cannot(url, "cannot connect", strerror(errno), err);
    if (stream_open(out, fd, url, trust) != 0)
        return cannot(url, "cannot begin TLS", strerror(errno), err);
    out->deadline_ns = deadline_ns;
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
