/* client.h: one open connection. */
#ifndef MOED_SERVER_CLIENT_H
#define MOED_SERVER_CLIENT_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

struct port;
struct request;

struct client {
    struct client *next, *previous; /* among the open ones */
    struct request *request;        /* the one being served; NULL between two */
    int fd;                         /* libmicrohttpd's */
    bool asked;                     /* it has sent the headers of a request */
    uint64_t waiting_ns;            /* since when, for its first or its next request */
};

/* NULL without memory. */
struct client *client_open(struct port *port, struct MHD_Connection *connection);
void client_close(struct port *port, struct client *client);
void client_begins_request(struct client *client, struct request *request);
void client_ends_request(struct client *client);
/* Whether the peer has closed or reset; bytes of a next request mean that it has not. */
bool client_has_left(const struct client *client);
/* Ends the connection: libmicrohttpd will find it closed and clean up. */
void client_hang_up(const struct client *client);

#endif
