/* server.c: puts the room together, turns the loop, takes it apart. */
#include "state.h"

#include "src/server/http/request.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { SPARE_FILES = 64 }; /* descriptors beside those of connections */

void moed_server_options_init(struct moed_server_options *options)
{
    *options = (struct moed_server_options){
        .listen = {"127.0.0.1:8080"},
        .n_listen = 1,
        .backend = "auto",
        .numa = true,
        .max_batch_rows = 4096,
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

void server_stop(struct server *server, int code, const char *message)
{
    if (server->stopping)
        return;
    server->stopping = true;
    server->result = code;
    if (code != 0)
        moed_fail(&server->error, code, "%s", message);
    server_check_stop(server);
}

void server_check_stop(struct server *server)
{
    if (server->stopping && server->n_away == 0)
        uv_stop(&server->loop);
}

/* As many descriptors as connections may need, if the hard limit lets us; nothing is begun without
 * those that the server itself needs. */
static int raise_file_limit(uint32_t connections, struct moed_error *err)
{
    rlim_t need = (rlim_t)connections + SPARE_FILES;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need)
        return 0;
    limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
    if (limit.rlim_cur < SPARE_FILES)
        return moed_fail(err, MOED_E_IO, "found a limit of %llu open files, expected at least %d",
                         (unsigned long long)limit.rlim_cur, SPARE_FILES);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < need)
        moed_log(MOED_LOG_WARN, "only %llu open files are allowed, %u connections need %llu",
                 (unsigned long long)limit.rlim_cur, connections, (unsigned long long)need);
    return 0;
}

static int open_port(struct server *server, const char *spec, uint32_t max_connections,
                     struct moed_error *err)
{
    struct port *port = &server->ports[server->n_ports];
    int rc = listener_open(spec, &port->listener, err);

    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < server->n_ports; i++)
        if (server->ports[i].listener.fd == port->listener.fd)
            return moed_fail(err, MOED_E_USAGE, "--listen: %s is there twice", spec);
    server->n_ports++;
    port->server = server;
    port->tls = server->tls != NULL && listener_use_tls(&port->listener);
    rc = port->tls ? handshakes_start(port, err) : 0;
    if (rc == 0)
        rc = port_start(port, max_connections, err);
    return rc == 0 ? port_watch(port, err) : rc;
}

static int open_ports(struct server *server, struct moed_error *err)
{
    const struct moed_server_options *options = server->options;
    uint32_t each = options->n_listen > 0 ? options->max_connections / options->n_listen : 0;
    int rc = 0;

    if (options->n_listen == 0 || options->n_listen > MOED_MAX_LISTEN)
        return moed_fail(err, MOED_E_USAGE, "--listen: found %u, expected 1 to %d",
                         options->n_listen, MOED_MAX_LISTEN);
    for (uint32_t i = 0; rc == 0 && i < options->n_listen; i++)
        rc = open_port(server, options->listen[i], each > 0 ? each : 1, err);
    return rc;
}

static int read_secrets(struct server *server, struct moed_error *err)
{
    const struct moed_server_options *options = server->options;
    bool tls;
    int rc = tls_check_options(options, &tls, err);

    if (rc == 0 && tls)
        rc = tls_read(options, &server->tls, err);
    if (rc == 0 && options->api_key_file != NULL)
        rc = keys_read(options->api_key_file, &server->keys, err);
    return rc;
}

/* What the loop itself waits for, beside connections. 0 or a libuv error. */
static int start_handles(struct server *server)
{
    int rc = mailbox_init(&server->mailbox, &server->loop);

    if (rc == 0)
        rc = spin_init(&server->spin, &server->loop, server->options->spin_us);
    if (rc == 0)
        rc = drain_init(server);
    if (rc == 0)
        rc = reload_init(server);
    if (rc == 0)
        rc = sweep_start(server);
    if (rc == 0)
        rc = watchdog_start(server);
    return rc;
}

static int set_up(struct server *server, struct moed_error *err)
{
    int rc = notify_init(&server->notify, server->options->notify_socket, err);

    if (rc != 0)
        return rc;
    signal(SIGPIPE, SIG_IGN); /* a client that left is found by write's result */
    rc = raise_file_limit(server->options->max_connections, err);
    if (rc != 0)
        return rc;
    server->metrics = moed_metrics_create();
    if (server->metrics == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for metrics");
    rc = observe_init(&server->observe, server->metrics, err);
    if (rc != 0)
        return rc;
    rc = read_secrets(server, err);
    if (rc != 0)
        return rc;
    rc = start_handles(server);
    if (rc != 0)
        return moed_fail(err, MOED_E_IO, "starting the event loop: %s", uv_strerror(rc));
    rc = open_ports(server, err);
    if (rc == 0)
        rc = load_start(server, err);
    for (uint32_t i = 0; rc == 0 && i < server->n_ports; i++)
        moed_log(MOED_LOG_INFO, "listening on %s", server->ports[i].listener.address);
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
    for (uint32_t i = 0; i < server->n_ports; i++) {
        port_unwatch(&server->ports[i]);
        port_stop(&server->ports[i]);
    }
    engine_close(&server->engine);
    uv_walk(&server->loop, close_handle, NULL);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
    observe_fini(&server->observe);
    keys_fini(&server->keys);
    tls_release(server->tls);
    notify_fini(&server->notify);
    if (server->metrics != NULL)
        moed_metrics_destroy(server->metrics);
    free(server);
}

int moed_server_run(const struct moed_server_options *options, struct moed_error *err)
{
    struct server *server = moed_calloc(1, sizeof *server);
    int rc;

    if (server == NULL || uv_loop_init(&server->loop) != 0) {
        free(server);
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the server");
    }
    server->options = options;
    server->loop.data = server;
    rc = set_up(server, err);
    if (rc == 0) {
        uv_run(&server->loop, UV_RUN_DEFAULT);
        access_turn(&server->observe.access, UINT64_MAX); /* whatever is left of the last second */
        rc = server->result;
        if (rc != 0)
            moed_fail(err, rc, "%s", server->error.message);
        else
            moed_log(MOED_LOG_INFO, "stopped");
    }
    if (rc != 0)
        notify_send(&server->notify, "STATUS=failed: %s", err->message);
    tear_down(server);
    return rc;
}
