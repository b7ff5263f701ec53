/* client.c: the open connections, which libmicrohttpd owns and we want to look at. */
#include "client.h"

#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

struct client *client_open(struct port *port, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct client *client = moed_calloc(1, sizeof *client);
    struct server *server = port->server;

    if (client == NULL)
        return NULL;
    client->fd = info != NULL ? info->connect_fd : -1;
    client->waiting_ns = moed_now_ns();
    client->next = server->clients;
    if (client->next != NULL)
        client->next->previous = client;
    server->clients = client;
    observe_connection(&server->observe, true);
    return client;
}

void client_close(struct port *port, struct client *client)
{
    port->closed = true;
    if (client == NULL)
        return;
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        port->server->clients = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    observe_connection(&port->server->observe, false);
    free(client);
}

void client_begins_request(struct client *client, struct request *request)
{
    client->request = request;
    client->asked = true;
}

void client_ends_request(struct client *client)
{
    client->request = NULL;
    client->waiting_ns = moed_now_ns();
}

bool client_has_left(const struct client *client)
{
    char byte;
    ssize_t n = recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

void client_hang_up(const struct client *client)
{
    shutdown(client->fd, SHUT_RDWR);
}
