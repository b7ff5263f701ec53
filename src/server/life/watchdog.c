/* watchdog.c: whether the server can still do what it is there for. What asks from outside sees it
 * in two ways: /livez, which a loop that stands still cannot answer and which is 503 while a worker
 * is stuck or once a device has failed, and the WATCHDOG=1 datagrams of the service manager, which
 * stop in all these cases. */
#include "watchdog.h"

#include "state.h"

#include "src/server/api/health.h"

enum { PERIOD_MS = 1000, STALL_MS = 1000, NS_A_MS = 1000000 };

/* Says so once when a worker gets stuck, and once when it is free again. */
static void look_after_workers(struct server *server)
{
    struct watchdog *watchdog = &server->watchdog;
    struct moed_error err;
    const bool stuck = health_check(&server->service, &err) != 0;

    if (stuck && !watchdog->stuck)
        moed_log(MOED_LOG_ERROR, "watchdog: %s; /livez answers 503", err.message);
    else if (!stuck && watchdog->stuck)
        moed_log(MOED_LOG_WARN, "watchdog: the worker came back; /livez answers 200");
    watchdog->stuck = stuck;
}

static void on_timer(uv_timer_t *timer)
{
    struct server *server = timer->data;
    struct watchdog *watchdog = &server->watchdog;
    const uint64_t now = moed_now_ns();
    const uint64_t passed_ms = (now - watchdog->ran_ns) / NS_A_MS;

    if (passed_ms > watchdog->period_ms + STALL_MS)
        moed_log(MOED_LOG_WARN, "the loop stood still for %.1f s",
                 (double)(passed_ms - watchdog->period_ms) * 1e-3);
    watchdog->ran_ns = now;
    look_after_workers(server);
    if (server->options->notify_watchdog_us > 0 && !watchdog->stuck)
        notify_send(&server->notify, "WATCHDOG=1");
}

/* Twice in the time after which the service manager would end us, as sd_watchdog_enabled(3) has
 * it; once a second where nobody waits. */
static uint64_t period(const struct moed_server_options *options)
{
    const uint64_t half_ms = options->notify_watchdog_us / 1000 / 2;

    if (options->notify_watchdog_us == 0 || half_ms > PERIOD_MS)
        return PERIOD_MS;
    return half_ms > 0 ? half_ms : 1;
}

int watchdog_start(struct server *server)
{
    struct watchdog *watchdog = &server->watchdog;
    int rc = uv_timer_init(&server->host.loop, &watchdog->timer);

    watchdog->timer.data = server;
    watchdog->ran_ns = moed_now_ns();
    watchdog->period_ms = period(server->options);
    if (rc != 0)
        return rc;
    return uv_timer_start(&watchdog->timer, on_timer, watchdog->period_ms, watchdog->period_ms);
}
