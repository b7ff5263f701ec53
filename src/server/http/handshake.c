/* handshake.c: a handshake that lacks bytes makes libmicrohttpd ask for them again and again, as
 * fast as it can, until they come: anybody could keep the loop busy with half a greeting. So we
 * read for GnuTLS, and a connection whose handshake finds nothing to read is suspended until there
 * is something. Its time is bounded by the sweep, as that of one that sends headers. */
#include "handshake.h"

#include "host.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 64 };

static void wait_for_bytes(struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = client};

    if (epoll_ctl(client->port->handshakes.fd, EPOLL_CTL_ADD, client->fd, &event) != 0) {
        client_hang_up(client);
        return;
    }
    client->handshake_waits = true;
    MHD_suspend_connection(client->connection);
}

static void go_on(struct client *client)
{
    epoll_ctl(client->port->handshakes.fd, EPOLL_CTL_DEL, client->fd, NULL);
    client->handshake_waits = false;
    client->port->resumed = true;
    MHD_resume_connection(client->connection);
}

/* Reads for GnuTLS. After the handshake libmicrohttpd knows how to wait by itself. */
static ssize_t pull(gnutls_transport_ptr_t context, void *data, size_t size)
{
    struct client *client = context;
    ssize_t n = recv(client->fd, data, size, 0);

    if (n < 0) {
        int reason = errno;

        if (reason == EAGAIN && client->in_handshake && !client->handshake_waits)
            wait_for_bytes(client);
        gnutls_transport_set_errno(client->session, reason);
    }
    return n;
}

/* Writes for GnuTLS: only we can tell libmicrohttpd's records that leave from its asking again. */
static ssize_t push(gnutls_transport_ptr_t context, const void *data, size_t size)
{
    struct client *client = context;
    ssize_t n = send(client->fd, data, size, MSG_NOSIGNAL);

    if (n < 0)
        gnutls_transport_set_errno(client->session, errno);
    else
        client->port->moved++;
    return n;
}

/* What a client finishes with is the last that a handshake reads. */
static int on_finished(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                       const gnutls_datum_t *message)
{
    struct client *client = gnutls_transport_get_ptr(session);

    (void)type;
    (void)when;
    (void)message;
    if (incoming != 0)
        client->in_handshake = false;
    return 0;
}

void handshake_begin(struct client *client)
{
    client->in_handshake = true;
    gnutls_transport_set_ptr(client->session, client);
    gnutls_transport_set_pull_function(client->session, pull);
    gnutls_transport_set_push_function(client->session, push);
    gnutls_handshake_set_hook_function(client->session, GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST,
                                       on_finished);
}

static void on_bytes(uv_poll_t *poll, int status, int events)
{
    struct port *port = poll->data;
    struct epoll_event found[EVENTS_MAX];
    int n = epoll_wait(port->handshakes.fd, found, EVENTS_MAX, 0);

    (void)status;
    (void)events;
    for (int i = 0; i < n; i++)
        go_on(found[i].data.ptr);
    if (n > 0)
        port_run(port);
}

int handshakes_start(struct port *port, struct moed_error *err)
{
    struct handshakes *handshakes = &port->handshakes;
    int rc = 0;

    handshakes->fd = epoll_create1(EPOLL_CLOEXEC);
    if (handshakes->fd < 0)
        return moed_fail(err, MOED_E_IO, "%s: epoll: %s", port->listener.address, strerror(errno));
    rc = uv_poll_init(&port->host->loop, &handshakes->poll, handshakes->fd);
    if (rc == 0) {
        handshakes->poll.data = port;
        rc = uv_poll_start(&handshakes->poll, UV_READABLE, on_bytes);
    }
    if (rc != 0)
        return moed_fail(err, MOED_E_IO, "watching %s: %s", port->listener.address,
                         uv_strerror(rc));
    return 0;
}

void handshakes_stop(struct port *port)
{
    for (struct client *client = port->host->clients; client != NULL; client = client->next)
        if (client->port == port && client->handshake_waits)
            go_on(client);
    if (port->handshakes.poll.data == NULL)
        return; /* a plain port */
    uv_poll_stop(&port->handshakes.poll);
    close(port->handshakes.fd);
}
