/* connection.c: the socket's side of a client. Sockets are watched edge-triggered and registered
 * once, so a request costs one send and one receive, and no change of what is watched. */
#include "connection.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum { READ_SIZE = 256 << 10 };

/* Compares as it comes: answers are never kept. */
static void compare(void *context, const char *data, size_t size)
{
    struct connection *c = context;
    const struct planned *request = c->request;

    if (request->expected == NULL || moed_answer_status(c->answer) != 200)
        return;
    if (size > request->expected_size - c->compared ||
        memcmp(request->expected + c->compared, data, size) != 0)
        c->differs = true;
    else
        c->compared += size;
}

int connection_init(struct connection *connection, int epoll, struct moed_error *err)
{
    *connection = (struct connection){.stream = {.fd = -1}, .epoll = epoll};
    connection->answer = moed_answer_create(compare, connection);
    if (connection->answer == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a client");
    return 0;
}

void connection_fini(struct connection *connection)
{
    connection_close(connection);
    moed_answer_destroy(connection->answer);
}

void connection_close(struct connection *connection)
{
    moed_stream_close(&connection->stream); /* epoll forgets it with that */
    connection->state = CONNECTION_CLOSED;
}

static enum connection_outcome give_up(struct connection *c, enum connection_outcome outcome,
                                       const char *what)
{
    moed_fail(&c->fault, MOED_E_IO, "%s: %s", what, moed_stream_fault(&c->stream));
    connection_close(c);
    return outcome;
}

static enum connection_outcome lost(struct connection *c, const char *what)
{
    return give_up(c, CONNECTION_LOST, what);
}

static enum connection_outcome unreached(struct connection *c)
{
    return give_up(c, CONNECTION_UNREACHED, "connecting");
}

enum connection_outcome connection_open(struct connection *connection, const struct plan *plan)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};

    if (moed_stream_begin(&plan->url, plan->trust, &plan->address, &connection->stream) != 0 ||
        epoll_ctl(connection->epoll, EPOLL_CTL_ADD, connection->stream.fd, &event) != 0)
        return unreached(connection);
    connection->state = CONNECTION_CONNECTING;
    return CONNECTION_WAITS;
}

/* Sends as much as the socket takes. A server may answer, and close, before it has read all: then
 * what it wrote is still to be read. */
static enum connection_outcome push(struct connection *c)
{
    while (c->sent < c->limit) {
        ssize_t n = moed_stream_send(&c->stream, c->request->bytes + c->sent, c->limit - c->sent);

        if (n < 0 && (errno == EAGAIN || errno == EPIPE || errno == ECONNRESET))
            return CONNECTION_WAITS;
        if (n < 0)
            return lost(c, "sending");
        c->sent += (size_t)n;
    }
    if (!c->abandons)
        return CONNECTION_WAITS;
    connection_close(c);
    return CONNECTION_ABANDONED;
}

static enum connection_outcome finish(struct connection *c)
{
    const struct planned *request = c->request;

    if (request->expected != NULL && c->compared != request->expected_size)
        c->differs = true;
    if (moed_answer_keeps_alive(c->answer) && c->sent == request->size)
        c->state = CONNECTION_IDLE;
    else
        connection_close(c);
    return CONNECTION_ANSWERED;
}

/* Reads until the socket is empty or the answer complete. */
static enum connection_outcome pull(struct connection *c)
{
    static char buffer[READ_SIZE]; /* one thread; nothing stays in it */
    ssize_t n;

    do {
        n = moed_stream_receive(&c->stream, buffer, sizeof buffer);
        if (n < 0 && errno == EAGAIN)
            return CONNECTION_WAITS;
        if (n < 0)
            return lost(c, "receiving");
        if (moed_answer_take(c->answer, buffer, (size_t)n, &c->fault) != 0) {
            connection_close(c);
            return CONNECTION_LOST;
        }
        if (moed_answer_complete(c->answer))
            return finish(c);
        /* Fewer bytes than there was room for have left the socket empty; TLS gives a record. */
    } while (n == sizeof buffer || c->stream.secure != NULL);
    return CONNECTION_WAITS;
}

static enum connection_outcome begin(struct connection *c, const struct planned *request)
{
    c->state = CONNECTION_BUSY;
    c->request = request;
    c->sent = c->compared = 0;
    c->differs = false;
    moed_answer_begin(c->answer);
    return push(c);
}

enum connection_outcome connection_send(struct connection *connection,
                                        const struct planned *request)
{
    connection->abandons = false;
    connection->limit = request->size;
    return begin(connection, request);
}

enum connection_outcome connection_abandon(struct connection *connection,
                                           const struct planned *request, size_t limit)
{
    connection->abandons = true;
    connection->limit = limit;
    return begin(connection, request);
}

static enum connection_outcome connected(struct connection *c, uint32_t events)
{
    int failed = 0;
    socklen_t size = sizeof failed;

    if (getsockopt(c->stream.fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0 || failed != 0) {
        errno = failed;
        return unreached(c);
    }
    if ((events & EPOLLOUT) == 0)
        return CONNECTION_WAITS;
    if (moed_stream_shake(&c->stream) != 0)
        return errno == EAGAIN ? CONNECTION_WAITS : unreached(c);
    c->state = CONNECTION_IDLE;
    return CONNECTION_CAN_SEND;
}

/* Between two requests nothing comes but the end, and what TLS keeps to itself. */
static enum connection_outcome check_idle(struct connection *c, uint32_t events)
{
    char byte;

    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0 ||
        (moed_stream_receive(&c->stream, &byte, 1) < 0 && errno == EAGAIN))
        return CONNECTION_WAITS;
    connection_close(c);
    return CONNECTION_ENDED;
}

enum connection_outcome connection_advance(struct connection *connection, uint32_t events)
{
    enum connection_outcome outcome = CONNECTION_WAITS;

    switch (connection->state) {
    case CONNECTION_CLOSED: /* closed since the events were fetched */
        return CONNECTION_WAITS;
    case CONNECTION_CONNECTING:
        return connected(connection, events);
    case CONNECTION_IDLE:
        return check_idle(connection, events);
    case CONNECTION_BUSY:
        if (connection->sent < connection->limit)
            outcome = push(connection);
        return outcome == CONNECTION_WAITS ? pull(connection) : outcome;
    }
    return outcome;
}
