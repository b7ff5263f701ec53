/* client.c: the open connections, which libmicrohttpd owns and we want to look at. */
#include "client.h"

#include "host.h"

#include "src/wire/wire.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Gives the connection's TLS session, if it has one, the credentials of now. */
static void open_session(struct client *client)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(client->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

    if (info == NULL || info->tls_session == NULL)
        return;
    client->session = info->tls_session;
    client->tls = tls_hold(client->port->host->tls);
    if (tls_attach(client->tls, client->session) != 0)
        client_hang_up(client);
    handshake_begin(client);
}

/* Nothing has been asked yet, but an answer may lie ready. TLS has no way to say it so early. */
static void refuse(struct client *client, uint32_t limit)
{
    static const int code = MOED_E_CONNECTIONS;
    struct host *host = client->port->host;
    struct moed_error why;
    size_t size, length;
    char *body, head[256];

    host->endpoints->refused(host->service, code);
    moed_fail(&why, code, "this client has %u connections already, which is the limit", limit);
    body = moed_wire_print_problem(code, why.message, NULL, &size);
    if (body != NULL && client->session == NULL) {
        length = (size_t)snprintf(head, sizeof head,
                                  "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\n"
                                  "Content-Type: application/problem+json\r\nRetry-After: 1\r\n"
                                  "Content-Length: %zu\r\n\r\n",
                                  size);
        if (send(client->fd, head, length, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE) > 0)
            client_send_last(client, body, size);
    }
    free(body);
    client_hang_up(client);
}

/* Counts the connection among those of its client. */
static void count(struct client *client)
{
    struct host *host = client->port->host;
    uint32_t open, limit = host->options->max_connections_per_client;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(client->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    if (limit == 0 || info == NULL || info->client_addr == NULL)
        return;
    client->peer = peers_enter(&host->peers, info->client_addr, &open);
    if (open > limit)
        refuse(client, limit);
}

struct client *client_open(struct port *port, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct client *client = moed_calloc(1, sizeof *client);
    struct host *host = port->host;

    if (client == NULL)
        return NULL;
    client->fd = info != NULL ? info->connect_fd : -1;
    client->waiting_ns = moed_now_ns();
    client->port = port;
    client->connection = connection;
    open_session(client);
    count(client);
    client->next = host->clients;
    if (client->next != NULL)
        client->next->previous = client;
    host->clients = client;
    client->looks = host->n_clients++; /* so that not all have their turn at once */
    host->endpoints->connected(host->service, true);
    return client;
}

void client_close(struct port *port, struct client *client)
{
    port->closed = true;
    if (client == NULL)
        return;
    if (port->host->sweep_next == client)
        port->host->sweep_next = client->next;
    port->host->n_clients--;
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        port->host->clients = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    port->host->endpoints->connected(port->host->service, false);
    tls_release(client->tls);
    peers_leave(&port->host->peers, client->peer);
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

/* A TLS client's last bytes are its farewell, and nobody reads them while a request is away: so
 * what counts is the end of the stream behind them. */
static bool has_shut_down(int fd)
{
    struct pollfd socket = {.fd = fd, .events = POLLRDHUP};

    return poll(&socket, 1, 0) > 0;
}

bool client_has_left(const struct client *client)
{
    char byte;
    ssize_t n;

    if (client->session != NULL)
        return has_shut_down(client->fd);
    n = recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

void client_send_last(struct client *client, const char *data, size_t size)
{
    ssize_t sent;

    if (client->session != NULL)
        sent = gnutls_record_send(client->session, data, size);
    else
        sent = send(client->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != (ssize_t)size)
        return;
    if (client->session != NULL)
        gnutls_bye(client->session, GNUTLS_SHUT_WR);
    shutdown(client->fd, SHUT_WR);
}

void client_hang_up(const struct client *client)
{
    shutdown(client->fd, SHUT_RDWR);
}
