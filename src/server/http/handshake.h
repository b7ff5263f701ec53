/* handshake.h: TLS handshakes that wait for their client. */
#ifndef MOED_SERVER_HANDSHAKE_H
#define MOED_SERVER_HANDSHAKE_H

#include "src/base/base.h"
#include <uv.h>

struct client;
struct port;

struct handshakes { /* of one port */
    int fd;         /* epoll's: the sockets of clients that are waited for */
    uv_poll_t poll;
};

/* For a port that speaks TLS. */
int handshakes_start(struct port *port, struct moed_error *err);
/* Lets libmicrohttpd have all connections again, so that it can close them. */
void handshakes_stop(struct port *port);

/* The client's TLS session has been opened; its handshake is to come. */
void handshake_begin(struct client *client);

#endif
