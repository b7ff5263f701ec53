/* stream.h: what TLS brings to a stream, and what it needs from connect.c. */
#ifndef MOED_CLIENT_STREAM_H
#define MOED_CLIENT_STREAM_H

#include "src/client/client.h"

struct moed_secure { /* a session; tls.c's are longer */
    const struct secure_ops *ops;
};

struct secure_ops { /* as the functions of streams */
    ssize_t (*send)(struct moed_secure *secure, const void *data, size_t size);
    ssize_t (*receive)(struct moed_secure *secure, void *data, size_t size);
    int (*shake)(struct moed_secure *secure);
    bool (*writes)(const struct moed_secure *secure); /* what it waits for is to write */
    const char *(*fault)(const struct moed_secure *secure);
    void (*close)(struct moed_secure *secure); /* the socket stays open */
};

struct moed_trust { /* likewise */
    /* A session over a socket with a server of that name; NULL without memory. */
    struct moed_secure *(*open)(const struct moed_trust *trust, int fd, const char *host);
};

/* Makes a socket a stream, with TLS for https. 0, or -1 with errno and the socket closed. */
int stream_open(struct moed_stream *out, int fd, const struct moed_url *url,
                const struct moed_trust *trust);

#endif
