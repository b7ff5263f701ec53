/* sweep.c: finds what no event tells of: requests that are too slow, and clients that have closed
 * their connection. libmicrohttpd does not watch a suspended connection, and it misses the end
 * of one whose last bytes and whose close arrived in the same edge of its epoll descriptor.
 * Everybody is looked at ten times a second, and not with a timer and an epoll entry a request:
 * nearly all requests are done long before. A share at a time, so that ten thousand connections do
 * not hold up the loop at once. */
#include "request.h"

enum {
    ROUND_MS = 100,   /* in which everybody has been looked at */
    SHARES = 5,       /* of a round */
    IDLE_ROUNDS = 10, /* connections between two requests are looked at once in so many */
    LINGER_MS = 2000,
    NS_A_MS = 1000000
};

static void check_body(struct request *request, uint64_t age_ms)
{
    uint32_t limit = request->host->options->body_timeout_ms;
    struct moed_error err;

    if (client_has_left(request->client)) {
        client_hang_up(request->client);
    } else if (age_ms > limit) {
        moed_fail(&err, MOED_E_BODY_TIMEOUT,
                  "%llu bytes of the body came within %u ms, which is the limit",
                  (unsigned long long)request->body.seen, limit);
        body_cut(request, err.code, err.message);
    }
}

static void check_request(struct request *request, uint64_t now)
{
    uint64_t age_ms = (now - request->started_ns) / NS_A_MS;

    switch (request->stage) {
    case REQUEST_READING:
        if (age_ms >= ROUND_MS)
            check_body(request, age_ms);
        break;
    case REQUEST_CUT: /* its client had time to read the answer */
        if ((now - request->turned_ns) / NS_A_MS > LINGER_MS || client_has_left(request->client))
            client_hang_up(request->client);
        break;
    case REQUEST_AWAY: /* its answer comes in any case; only the work can be saved */
        if (age_ms >= ROUND_MS && request->route->state != NULL && client_has_left(request->client))
            request->route->state->abandon(request);
        break;
    case REQUEST_RESPONDING: /* it reads more slowly than it may write */
        if ((now - request->turned_ns) / NS_A_MS > request->host->options->body_timeout_ms)
            client_hang_up(request->client);
        break;
    case REQUEST_ANSWERED:
        break;
    }
}

/* A connection without a request may be idle, or send headers a byte a minute, which nothing but
 * its age tells. So a new one has little time; one that has proved itself may be kept. */
static void check_waiting(const struct host *host, const struct client *client, uint64_t now)
{
    uint64_t age_ms = (now - client->waiting_ns) / NS_A_MS;
    uint32_t limit =
        client->asked ? host->options->idle_timeout_ms : host->options->header_timeout_ms;
    /* Who leaves later does so in an edge of its own, which libmicrohttpd sees. */
    bool lately = age_ms < 3 * IDLE_ROUNDS * ROUND_MS;

    if (age_ms > limit || (lately && client_has_left(client)))
        client_hang_up(client);
}

static void look_at(const struct host *host, struct client *client, uint64_t now)
{
    client->looks++;
    if (client->request != NULL)
        check_request(client->request, now);
    else if (client->looks % IDLE_ROUNDS == 0)
        check_waiting(host, client, now);
}

static void on_sweep(uv_timer_t *timer)
{
    struct host *host = timer->data;
    const uint64_t now = moed_now_ns();

    host->endpoints->ticked(host->service, now);
    for (uint32_t left = (host->n_clients + SHARES - 1) / SHARES; left > 0; left--) {
        struct client *client = host->sweep_next;

        if (client == NULL)
            client = host->clients;
        host->sweep_next = client->next;
        look_at(host, client, now);
    }
}

int sweep_start(struct host *host)
{
    int rc = uv_timer_init(&host->loop, &host->sweeper);

    host->sweeper.data = host;
    return rc != 0 ? rc
                   : uv_timer_start(&host->sweeper, on_sweep, ROUND_MS / SHARES, ROUND_MS / SHARES);
}
