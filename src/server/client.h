/* client.h: one open connection. */
#ifndef MOED_SERVER_CLIENT_H
#define MOED_SERVER_CLIENT_H

#include <microhttpd.h>
#include <stdbool.h>

struct port;
struct request;

struct client {
    struct client *next, *previous; /* among the open ones */
    struct request *request;        /* the one being served; NULL between two */
    int fd;                         /* libmicrohttpd's */
};

/* NULL without memory. */
struct client *client_open(struct port *port, struct MHD_Connection *connection);
void client_close(struct port *port, struct client *client);
/* Whether the peer has closed or reset; bytes of a next request mean that it has not. */
bool client_has_left(const struct client *client);
/* Ends the connection: libmicrohttpd will find it closed and clean up. */
void client_hang_up(const struct client *client);

#endif
