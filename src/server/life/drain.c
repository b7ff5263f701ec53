/* drain.c: what happens between SIGTERM and the end.
 *
 *   READY ──signal──► DRAINING   not ready; keeps serving for drain-delay, closing connections
 *         ──delay───► CLOSING    the port is closed, new work gets 503, accepted work goes on
 *         ──timeout─► gives up   what is queued and what is half received gets 503
 *         ──────────► stopped    nothing is away and the answers have left
 *
 * A second signal gives up at once; a third one kills, since it is held back no longer. */
#include "drain.h"

#include "state.h"

enum {
    FLUSH_MS = 500,  /* for the last answers to leave, when the drain timeout is over */
    LEAVE_MS = 10000 /* for the process to go, which may free a lot of memory */
};

static void on_timeout(uv_timer_t *timer);
static void on_delay_end(uv_timer_t *timer);

static void on_flushed(uv_timer_t *timer)
{
    server_stop(timer->data, 0, "");
}

void drain_check(struct server *server)
{
    struct drain *drain = &server->drain;

    if (server->service.phase != SERVICE_CLOSING)
        return;
    if (server->host.n_requests == 0 && lanes_busy(&server->lanes) == 0) {
        server_stop(server, 0, "");
    } else if (server->service.out_of_time && server->host.n_away == 0 && !drain->flushing) {
        drain->flushing = true;
        uv_timer_start(&drain->timer, on_flushed, FLUSH_MS, 0);
    }
}

/* Answers what is queued or half received with 503. */
static void give_up(struct server *server)
{
    struct moed_error why;

    moed_fail(&why, MOED_E_DRAINING, "the server is shutting down and did not get to this request");
    server->service.out_of_time = true;
    moed_batcher_abort(server->service.engine.batcher, why.code, why.message);
    host_cut_bodies(&server->host, &why);
    drain_check(server);
}

static void on_timeout(uv_timer_t *timer)
{
    struct server *server = timer->data;

    moed_log(MOED_LOG_WARN, "drain: %u requests are left after %u ms, giving up on what is queued",
             server->host.n_requests + lanes_busy(&server->lanes),
             server->options->drain_timeout_ms);
    give_up(server);
}

static void stop_accepting(struct server *server)
{
    host_quiesce(&server->host);
    lanes_quiesce(&server->lanes);
    server->service.phase = SERVICE_CLOSING;
    moed_batcher_close(
        server->service.engine.batcher); /* nobody comes for whom others could wait */
    uv_timer_start(&server->drain.timer, on_timeout, server->options->drain_timeout_ms, 0);
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
                (unsigned long long)ms * 1000, server->host.n_requests);
}

void drain_signal(struct server *server, int number)
{
    if (server->service.phase == SERVICE_LOADING) {
        moed_log(MOED_LOG_INFO, "signal %d while loading: stopping", number);
        tell_manager(server);
        server_stop(server, 0, "");
    } else if (server->service.phase == SERVICE_READY) {
        moed_log(MOED_LOG_INFO, "signal %d: draining, %u requests in flight", number,
                 server->host.n_requests);
        server->service.phase = SERVICE_DRAINING;
        server->host.closing = true;
        tell_manager(server);
        uv_timer_start(&server->drain.timer, on_delay_end, server->options->drain_delay_ms, 0);
    } else {
        moed_log(MOED_LOG_INFO, "signal %d again: stopping now", number);
        signals_let_kill();
        if (server->service.phase == SERVICE_DRAINING)
            stop_accepting(server);
        give_up(server);
    }
}

int drain_init(struct server *server)
{
    server->drain.timer.data = server;
    return uv_timer_init(&server->host.loop, &server->drain.timer);
}
