/* stream.c: sockets, and the one place that knows whether TLS lies over them. */
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { NS_A_MS = 1000000 };

int stream_open(struct moed_stream *out, int fd, const struct moed_url *url,
                const struct moed_trust *trust)
{
    struct moed_secure *secure = NULL;

    if (url->is_tls) {
        secure = trust != NULL ? trust->open(trust, fd, url->host) : NULL;
        if (secure == NULL) {
            close(fd);
            errno = trust != NULL ? ENOMEM : EPROTONOSUPPORT;
            return -1;
        }
    }
    *out = (struct moed_stream){.fd = fd, .secure = secure};
    return 0;
}

/* Whether the socket may be used again before the deadline, after a call that failed. */
static bool wait_for(const struct moed_stream *stream, short events)
{
    struct pollfd socket = {.fd = stream->fd, .events = events};
    uint64_t now = moed_now_ns();

    if (errno != EAGAIN || stream->deadline_ns == 0)
        return false;
    if (stream->secure != NULL)
        socket.events = stream->secure->ops->writes(stream->secure) ? POLLOUT : POLLIN;
    if (now < stream->deadline_ns)
        poll(&socket, 1, (int)((stream->deadline_ns - now) / NS_A_MS) + 1);
    errno = EAGAIN;
    return moed_now_ns() < stream->deadline_ns;
}

static ssize_t send_some(const struct moed_stream *stream, const void *data, size_t size)
{
    if (stream->secure != NULL)
        return stream->secure->ops->send(stream->secure, data, size);
    return send(stream->fd, data, size, MSG_NOSIGNAL);
}

static ssize_t receive_some(const struct moed_stream *stream, void *data, size_t size)
{
    if (stream->secure != NULL)
        return stream->secure->ops->receive(stream->secure, data, size);
    return recv(stream->fd, data, size, 0);
}

ssize_t moed_stream_send(const struct moed_stream *stream, const void *data, size_t size)
{
    ssize_t n;

    do
        n = send_some(stream, data, size);
    while (n < 0 && wait_for(stream, POLLOUT));
    return n;
}

ssize_t moed_stream_receive(const struct moed_stream *stream, void *data, size_t size)
{
    ssize_t n;

    do
        n = receive_some(stream, data, size);
    while (n < 0 && wait_for(stream, POLLIN));
    return n;
}

int moed_stream_shake(const struct moed_stream *stream)
{
    int rc = 0;

    if (stream->secure == NULL)
        return 0;
    do
        rc = stream->secure->ops->shake(stream->secure);
    while (rc != 0 && wait_for(stream, POLLIN));
    return rc;
}

const char *moed_stream_fault(const struct moed_stream *stream)
{
    if (errno == EPROTO && stream->secure != NULL)
        return stream->secure->ops->fault(stream->secure);
    return strerror(errno);
}

void moed_stream_close(struct moed_stream *stream)
{
    if (stream->secure != NULL)
        stream->secure->ops->close(stream->secure);
    if (stream->fd >= 0)
        close(stream->fd);
    *stream = (struct moed_stream){.fd = -1};
}
