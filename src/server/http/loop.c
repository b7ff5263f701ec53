/* loop.c: libmicrohttpd inside libuv's loop. The daemon has no thread: libuv watches its epoll
 * descriptor and its next timeout, and calls MHD_run when either is due. */
#include "host.h"

/* libmicrohttpd wants to run again at once, and for ever, when a connection has filled its buffer
 * with what cannot be used, as by the endless extension of a chunk. What has moved nothing so often
 * gets a pause; the sweep ends it. */
enum { FUTILE_RUNS = 16, FUTILE_PAUSE_MS = 10 };

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    port_run(poll->data);
}

static void on_timeout(uv_timer_t *timer)
{
    port_run(timer->data);
}

static void on_again(uv_idle_t *again)
{
    port_run(again->data);
}

int port_watch(struct port *port, struct moed_error *err)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(port->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    int rc;

    if (info == NULL)
        return moed_fail(err, MOED_E_INTERNAL, "libmicrohttpd was built without epoll");
    rc = uv_poll_init(&port->host->loop, &port->poll, info->epoll_fd);
    if (rc == 0)
        rc = uv_timer_init(&port->host->loop, &port->timer);
    if (rc == 0)
        rc = uv_idle_init(&port->host->loop, &port->again);
    if (rc == 0) {
        port->poll.data = port->timer.data = port->again.data = port;
        rc = uv_poll_start(&port->poll, UV_READABLE, on_readable);
    }
    if (rc != 0)
        return moed_fail(err, MOED_E_IO, "watching %s: %s", port->listener.address,
                         uv_strerror(rc));
    return 0;
}

void port_unwatch(struct port *port)
{
    if (port->poll.data == NULL)
        return; /* it never came to be watched */
    uv_poll_stop(&port->poll);
    uv_timer_stop(&port->timer);
    uv_idle_stop(&port->again);
}

void port_run(struct port *port)
{
    MHD_UNSIGNED_LONG_LONG timeout = 0;
    uint64_t moved = port->moved;
    bool timed;

    port->resumed = port->closed = false;
    spin_extend(&port->host->spin);
    MHD_run(port->mhd);
    /* A daemon that was full looks at its listening socket only at the start of a run: soon, but
     * after everybody else, however many connections come and go. */
    timed = port->closed || MHD_get_timeout(port->mhd, &timeout) == MHD_YES;
    uv_timer_stop(&port->timer);
    uv_idle_stop(&port->again);
    port->futile = port->moved == moved ? port->futile + 1 : 0;
    if (timed && timeout == 0 && port->futile > FUTILE_RUNS)
        timeout = FUTILE_PAUSE_MS;
    /* "At once" is not a timer of 0 ms: libuv would run it, and it would start the next, before
     * anything else had its turn. */
    if (timed && timeout == 0)
        uv_idle_start(&port->again, on_again);
    else if (timed)
        uv_timer_start(&port->timer, on_timeout, timeout, 0);
    port->host->after_run(port->host->owner);
}
