/* stream.c: sockets, and the one place that knows whether TLS lies over them. */
#include "stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

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
    *out = (struct moed_stream){fd, secure};
    return 0;
}

ssize_t moed_stream_send(const struct moed_stream *stream, const void *data, size_t size)
{
    if (stream->secure != NULL)
        return stream->secure->ops->send(stream->secure, data, size);
    return send(stream->fd, data, size, MSG_NOSIGNAL);
}

ssize_t moed_stream_receive(const struct moed_stream *stream, void *data, size_t size)
{
    if (stream->secure != NULL)
        return stream->secure->ops->receive(stream->secure, data, size);
    return recv(stream->fd, data, size, 0);
}

int moed_stream_shake(const struct moed_stream *stream)
{
    return stream->secure != NULL ? stream->secure->ops->shake(stream->secure) : 0;
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
