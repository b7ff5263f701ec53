/* client.h: one open connection. */
#ifndef MOED_SERVER_CLIENT_H
#define MOED_SERVER_CLIENT_H

#include "received.h"
#include "tls.h"

#include <microhttpd.h>

struct peer;
struct port;
struct request;

struct client {
    struct client *next, *previous; /* among the open ones */
    struct request *request;        /* the one being served; NULL between two */
    int fd;                         /* libmicrohttpd's */
    gnutls_session_t session;       /* libmicrohttpd's; NULL: plain */
    struct tls *tls;                /* the credentials that the session uses */
    struct port *port;
    struct MHD_Connection *connection;
    bool in_handshake;             /* of TLS: it has not finished its part */
    bool handshake_waits;          /* suspended until it sends more of it */
    bool asked;                    /* it has sent the headers of a request */
    struct received_target target; /* of the request that is being read */
    struct peer *peer;             /* NULL: not counted */
    uint64_t waiting_ns;           /* since when, for its first or its next request */
    uint32_t looks;                /* that the sweep has taken, from any number on */
};

/* NULL without memory. One connection more than a client may have is refused, and ends. */
struct client *client_open(struct port *port, struct MHD_Connection *connection);
void client_close(struct port *port, struct client *client);
void client_begins_request(struct client *client, struct request *request);
void client_ends_request(struct client *client);
/* Whether the peer has closed or reset; bytes of a next request mean that it has not. */
bool client_has_left(const struct client *client);
/* Sends bytes past libmicrohttpd, and says that no more will follow; what the socket has no room
 * for is lost. */
void client_send_last(struct client *client, const char *data, size_t size);
/* Ends the connection: libmicrohttpd will find it closed and clean up. */
void client_hang_up(const struct client *client);

#endif
