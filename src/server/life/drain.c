/* drain.c: what happens between SIGTERM and the end.
 *
 *   READY ──signal──► DRAINING   not ready; keeps serving for drain-delay, closing connections
 *         ──delay───► CLOSING    the port is closed, new work gets 503, accepted work goes on
 *         ──timeout─► hurry      what is queued and what is half received gets 503
 *         ──────────► stopped    nothing is away and the answers have left
 *
 * A second signal goes to hurry at once; a third one kills, since we no longer catch it. */
#include "drain.h"

#include "load.h"
#include "src/server/http/body.h"
#include "src/server/http/request.h"
#include "state.h"

#include <signal.h>

enum {
    FLUSH_MS = 500,  /* for the last answers to leave, when in a hurry */
    LEAVE_MS = 10000 /* for the process to go, which may free a lot of memory */
};

static void on_patience_end(uv_timer_t *timer);
static void on_delay_end(uv_timer_t *timer);

static void on_flushed(uv_timer_t *timer)
{
    server_stop(timer->data, 0, "");
}

void drain_check(struct server *server)
{
    struct drain *drain = &server->drain;

    if (server->phase != SERVER_CLOSING)
        return;
    if (server->n_requests == 0) {
        server_stop(server, 0, "");
    } else if (drain->hurry && server->n_away == 0 && !drain->flushing) {
        drain->flushing = true;
        uv_timer_start(&drain->timer, on_flushed, FLUSH_MS, 0);
    }
}

static void hurry(struct server *server)
{
    struct moed_error why;

    moed_fail(&why, MOED_E_DRAINING, "the server is shutting down and did not get to this request");
    server->drain.hurry = true;
    moed_batcher_abort(server->engine.batcher, why.code, why.message);
    for (struct client *client = server->clients; client != NULL; client = client->next)
        if (client->request != NULL && client->request->stage == REQUEST_READING)
            body_cut(client->request, why.code, why.message);
    drain_check(server);
}

static void on_patience_end(uv_timer_t *timer)
{
    struct server *server = timer->data;

    moed_log(MOED_LOG_WARN, "drain: %u requests are left after %u ms, giving up on what is queued",
             server->n_requests, server->options->drain_timeout_ms);
    hurry(server);
}

static void stop_accepting(struct server *server)
{
    /* What has already connected or arrived is taken in, on every port before any closes. */
    for (uint32_t i = 0; i < server->n_ports; i++)
        port_run(&server->ports[i]);
    server->phase = SERVER_CLOSING;
    for (uint32_t i = 0; i < server->n_ports; i++)
        port_quiesce(&server->ports[i]);
    uv_timer_start(&server->drain.timer, on_patience_end, server->options->drain_timeout_ms, 0);
    drain_check(server);
}

static void on_delay_end(uv_timer_t *timer)
{
    stop_accepting(timer->data);
}

/* The service manager should let us take as long as the settings allow. */
static void tell_manager(const struct server *server)
{
    const struct moed_server_options *options = server->options;
    const uint64_t ms = (uint64_t)options->drain_delay_ms + options->drain_timeout_ms + LEAVE_MS;

    notify_send(&server->notify,
                "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu\nSTATUS=draining: %u requests in flight",
                (unsigned long long)ms * 1000, server->n_requests);
}

static void on_signal(uv_signal_t *watcher, int number)
{
    struct server *server = watcher->data;

    if (server->phase == SERVER_LOADING) {
        moed_log(MOED_LOG_INFO, "signal %d while loading: stopping", number);
        tell_manager(server);
        server_stop(server, 0, "");
    } else if (server->phase == SERVER_READY) {
        moed_log(MOED_LOG_INFO, "signal %d: draining, %u requests in flight", number,
                 server->n_requests);
        server->phase = SERVER_DRAINING;
        tell_manager(server);
        uv_timer_start(&server->drain.timer, on_delay_end, server->options->drain_delay_ms, 0);
    } else {
        moed_log(MOED_LOG_INFO, "signal %d again: stopping now", number);
        uv_signal_stop(&server->drain.term);
        uv_signal_stop(&server->drain.interrupt);
        if (server->phase == SERVER_DRAINING)
            stop_accepting(server);
        hurry(server);
    }
}

int drain_init(struct server *server)
{
    struct drain *drain = &server->drain;
    int rc = uv_timer_init(&server->loop, &drain->timer);

    if (rc == 0)
        rc = uv_signal_init(&server->loop, &drain->term);
    if (rc == 0)
        rc = uv_signal_init(&server->loop, &drain->interrupt);
    drain->timer.data = drain->term.data = drain->interrupt.data = server;
    if (rc == 0)
        rc = uv_signal_start(&drain->term, on_signal, SIGTERM);
    if (rc == 0)
        rc = uv_signal_start(&drain->interrupt, on_signal, SIGINT);
    return rc;
}
