/* server.c: puts the room together, turns the loop, takes it apart. */
#include "state.h"

#include "pool.h"

#include "src/wire/wire.h"

#include <signal.h>
#include <stdlib.h>

enum { LOG_PATIENCE_MS = 2000 }; /* a reader of the log that stands still is not waited for */

void moed_server_options_init(struct moed_server_options *options)
{
    *options = (struct moed_server_options){
        .listen = {"127.0.0.1:8080"},
        .n_listen = 1,
        .backend = "auto",
        .numa = true,
        .lane_slots = 16,
        .max_batch_rows = 4096,
        .max_batch_ms = 50,
        .max_queue_rows = 16384,
        .max_queue_requests = 512,
        .max_connections = 1024,
        .max_request_rows = 8192,
        .max_body_bytes = UINT64_C(256) << 20,
        .max_inflight_bytes = UINT64_C(4) << 30,
        .max_header_bytes = UINT64_C(64) << 10,
        .header_timeout_ms = 10000,
        .idle_timeout_ms = 120000,
        .body_timeout_ms = 30000,
        .drain_timeout_ms = 30000,
        .log_requests = MOED_LOG_DEBUG,
        .watchdog_ms = 120000,
    };
}

/* The loop ends when no request is away. */
static void check_stop(struct server *server)
{
    if (server->host.stopping && server->host.n_away == 0)
        uv_stop(&server->host.loop);
}

void server_stop(struct server *server, int code, const char *message)
{
    if (server->host.stopping)
        return;
    server->host.stopping = true;
    server->result = code;
    if (code != 0)
        moed_fail(&server->error, code, "%s", message);
    check_stop(server);
}

static void after_run(void *owner)
{
    struct server *server = owner;

    drain_check(server);
    check_stop(server);
}

static void on_signal(void *owner, int number)
{
    struct server *server = owner;

    if (number == SIGHUP)
        reload(server);
    else
        drain_signal(server, number);
}

/* What the loop waits for beside connections and workers. 0 or a libuv error. */
static int start_handles(struct server *server)
{
    int rc = drain_init(server);

    if (rc == 0)
        rc = signals_init(&server->signals, &server->host.loop);
    if (rc == 0)
        rc = watchdog_start(server);
    return rc;
}

static int set_up(struct server *server, struct moed_error *err)
{
    int rc = notify_init(&server->notify, server->options->notify_socket, err);

    if (rc != 0)
        return rc;
    /* Clients of lanes are counted by themselves, by the same bound. */
    rc = host_fit_files(&server->settings.max_connections, server->options->n_lanes > 0 ? 2 : 1,
                        moed_gguf_count_parts(server->options->model_path), err);
    if (rc == 0)
        rc = service_init(&server->service, err);
    if (rc == 0)
        rc = pool_start(&server->host.loop, server->options->pool_threads, err);
    if (rc == 0)
        rc = host_open(&server->host, err);
    if (rc != 0)
        return rc;
    rc = lanes_open(&server->lanes, &server->service, err);
    if (rc != 0)
        return rc;
    rc = start_handles(server);
    if (rc != 0)
        return moed_fail(err, MOED_E_IO, "starting the event loop: %s", uv_strerror(rc));
    rc = engine_check(server->options, err); /* before anybody hears that we listen */
    if (rc == 0)
        rc = load_start(server, err);
    for (uint32_t i = 0; rc == 0 && i < server->host.n_ports; i++)
        moed_log(MOED_LOG_INFO, "listening on %s", server->host.ports[i].listener.address);
    for (uint32_t i = 0; rc == 0 && i < server->lanes.n_ports; i++)
        moed_log(MOED_LOG_INFO, "listening on %s", server->lanes.ports[i].listener.address);
    return rc;
}

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* In the order in which things stand on each other: connections, then what computes for them. */
static void tear_down(struct server *server)
{
    load_abandon(server);
    host_close_ports(&server->host);
    engine_close(&server->service.engine);
    lanes_close(&server->lanes);
    uv_walk(&server->host.loop, close_handle, NULL);
    uv_run(&server->host.loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->host.loop);
    signals_fini(&server->signals);
    host_close(&server->host);
    service_fini(&server->service);
    notify_fini(&server->notify);
    free(server);
}

int moed_server_run(const struct moed_server_options *options, struct moed_error *err)
{
    struct server *server = moed_calloc(1, sizeof *server);
    int rc;

    if (server == NULL || uv_loop_init(&server->host.loop) != 0) {
        free(server);
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the server");
    }
    server->settings = *options;
    server->options = &server->settings;
    server->service.options = server->options;
    server->service.host = &server->host;
    server->host.options = server->options;
    server->host.endpoints = &service_endpoints;
    server->host.service = &server->service;
    server->host.after_run = after_run;
    server->host.owner = server;
    server->lanes.after_run = after_run;
    server->lanes.owner = server;
    server->signals = (struct signals){.fd = -1, .heard = on_signal, .owner = server};
    moed_wire_watch_memory();
    signals_hold(reload_is_wanted(options)); /* before there is another thread */
    rc = moed_log_start(err);
    if (rc == 0)
        rc = set_up(server, err);
    if (rc == 0) {
        uv_run(&server->host.loop, UV_RUN_DEFAULT);
        access_turn(&server->service.observe.access,
                    UINT64_MAX); /* whatever is left of the last second */
        rc = server->result;
        if (rc != 0)
            moed_fail(err, rc, "%s", server->error.message);
        else
            moed_log(MOED_LOG_INFO, "stopped");
    }
    if (rc != 0)
        notify_send(&server->notify, "STATUS=failed: %s", err->message);
    tear_down(server);
    moed_log_stop(LOG_PATIENCE_MS);
    return rc;
}
