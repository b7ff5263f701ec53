/* lanes.c: the sockets of lanes, and when the loop looks into the memory of their clients. */
#include "lanes.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROUND_MS = 500, NS_A_MS = 1000000 };

/* ---- looking ---- */
static void on_spin(uv_idle_t *idle)
{
    struct lanes *lanes = idle->data;
    const bool over = moed_now_ns() >= lanes->spin_until_ns;
    struct lane_client *next;
    bool found = false;

    for (struct lane_client *client = lanes->clients; client != NULL; client = next) {
        next = client->next;
        if (client->lane == NULL || client->leaving)
            continue;
        if (client->taken != __atomic_load_n(&client->lane->submitted, __ATOMIC_RELAXED)) {
            lane_client_read(client);
            found = true;
            lanes->spin_until_ns =
                moed_now_ns() + lanes->service->options->spin_us * UINT64_C(1000);
        } else if (over) {
            lane_client_rest(client);
        }
    }
    if (over && moed_now_ns() >= lanes->spin_until_ns)
        uv_idle_stop(idle);
    else if (!found)
        sched_yield(); /* the worker may wait for this processor */
}

void lanes_look(struct lanes *lanes, struct lane_client *client)
{
    const uint32_t spin_us = lanes->service->options->spin_us;

    if (!lane_client_read(client))
        return;
    if (spin_us == 0) {
        lane_client_rest(client);
        return;
    }
    lanes->spin_until_ns = moed_now_ns() + spin_us * UINT64_C(1000);
    uv_idle_start(&lanes->spin, on_spin);
}

/* ---- clients that go, and drains ---- */
static void on_settled(uv_async_t *settled)
{
    struct lanes *lanes = settled->data;
    struct lane_client *next;

    for (struct lane_client *client = lanes->clients; client != NULL; client = next) {
        next = client->next;
        if (atomic_load(&client->load) == LANE_LEAVING &&
            !uv_is_closing((uv_handle_t *)&client->poll))
            lane_client_reap(client);
    }
    lanes->after_run(lanes->owner);
}

/* A connection without a hello has little time, as one of HTTP without headers. */
static void on_sweep(uv_timer_t *timer)
{
    struct lanes *lanes = timer->data;
    const uint64_t now = moed_now_ns();
    struct lane_client *next;

    for (struct lane_client *client = lanes->clients; client != NULL; client = next) {
        next = client->next;
        if (client->lane == NULL &&
            (now - client->opened_ns) / NS_A_MS > lanes->service->options->header_timeout_ms)
            lane_client_leave(client, "sent no hello in time");
    }
}

/* ---- the sockets ---- */
static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct lane_port *port = poll->data;
    struct lanes *lanes = port->lanes;
    int fd =
        status == 0 ? accept4(port->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;

    (void)events;
    if (fd < 0)
        return;
    if (lanes->n_clients >= lanes->service->options->max_connections) {
        moed_log(MOED_LOG_WARN, "lane: %u clients are connected, which is the limit",
                 lanes->n_clients);
        close(fd);
        return;
    }
    lane_client_accept(lanes, fd);
}

static int open_port(struct lanes *lanes, const char *path, struct moed_error *err)
{
    struct lane_port *port = &lanes->ports[lanes->n_ports];
    char spec[sizeof port->listener.path + sizeof "unix:"];
    int rc;

    if (strlen(path) >= sizeof port->listener.path)
        return moed_fail(err, MOED_E_USAGE, "--listen: \"lane:%s\": the path is too long", path);
    snprintf(spec, sizeof spec, "unix:%s", path);
    rc = listener_open(spec, &port->listener, err);
    if (rc != 0)
        return rc;
    snprintf(port->listener.address, sizeof port->listener.address, "lane:%s", path);
    port->lanes = lanes;
    lanes->n_ports++;
    rc = uv_poll_init(&lanes->service->host->loop, &port->poll, port->listener.fd);
    port->poll.data = port;
    if (rc == 0)
        rc = uv_poll_start(&port->poll, UV_READABLE, on_connection);
    if (rc != 0)
        return moed_fail(err, MOED_E_IO, "watching %s: %s", port->listener.address,
                         uv_strerror(rc));
    return 0;
}

static int start_handles(struct lanes *lanes)
{
    uv_loop_t *loop = &lanes->service->host->loop;
    int rc = uv_async_init(loop, &lanes->settled, on_settled);

    if (rc == 0)
        rc = uv_idle_init(loop, &lanes->spin);
    if (rc == 0)
        rc = uv_timer_init(loop, &lanes->sweeper);
    lanes->settled.data = lanes->spin.data = lanes->sweeper.data = lanes;
    return rc != 0 ? rc : uv_timer_start(&lanes->sweeper, on_sweep, ROUND_MS, ROUND_MS);
}

int lanes_open(struct lanes *lanes, struct service *service, struct moed_error *err)
{
    const struct moed_server_options *options = service->options;
    int rc;

    lanes->service = service;
    if (options->n_lanes == 0)
        return 0;
    if (options->lane_slots == 0 || options->lane_slots > MOED_LANE_MAX_SLOTS)
        return moed_fail(err, MOED_E_USAGE, "--lane-slots: found %u, expected 1 to %u",
                         options->lane_slots, MOED_LANE_MAX_SLOTS);
    if (lanes_make_metrics(lanes) != 0)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the metrics of lanes");
    rc = start_handles(lanes);
    if (rc != 0)
        return moed_fail(err, MOED_E_IO, "starting the event loop: %s", uv_strerror(rc));
    for (uint32_t i = 0; rc == 0 && i < options->n_lanes; i++)
        rc = open_port(lanes, options->lanes[i], err);
    return rc;
}

void lanes_quiesce(struct lanes *lanes)
{
    atomic_store(&lanes->draining, true);
    for (uint32_t i = 0; i < lanes->n_ports; i++) {
        if (lanes->ports[i].listener.fd < 0)
            continue;
        uv_poll_stop(&lanes->ports[i].poll);
        listener_close(&lanes->ports[i].listener);
    }
}

uint32_t lanes_busy(const struct lanes *lanes)
{
    return atomic_load(&lanes->n_busy);
}

void lanes_close(struct lanes *lanes)
{
    struct lane_client *next;

    for (struct lane_client *client = lanes->clients; client != NULL; client = next) {
        next = client->next;
        lane_client_leave(client, NULL);
    }
    for (uint32_t i = 0; i < lanes->n_ports; i++)
        listener_close(&lanes->ports[i].listener);
}
