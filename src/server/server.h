/* server: sockets, HTTP, endpoints, drain. One loop thread (libuv driving libmicrohttpd) owns
 * every connection; computing is batch's, formats are wire's. */
#ifndef MOED_SERVER_H
#define MOED_SERVER_H

#include "src/base/base.h"

#define MOED_MAX_LISTEN 8

struct moed_server_options {
    const char *model_path;
    const char *layers;                  /* NULL: all */
    const char *experts;                 /* of each layer; NULL: all */
    const char *arch_file;               /* one more architecture, or NULL */
    const char *name;                    /* NULL: the model's */
    const char *listen[MOED_MAX_LISTEN]; /* "HOST:PORT", "[::1]:8080", "unix:PATH", or "fd:3": a
                                            socket that listens already */
    uint32_t n_listen;
    const char *lanes[MOED_MAX_LISTEN]; /* paths of lanes: shared memory (<moed/lane.h>) */
    uint32_t n_lanes;
    uint32_t lane_slots; /* requests in flight of one client of a lane, at most */
    const char *backend, *isa, *devices;
    uint32_t threads, workers;
    bool f32_rows;  /* --activations f32 */
    bool invariant; /* --batch-invariant */
    bool map, mlock, hugepages;
    bool numa; /* workers keep to a node each, the weights are spread over them */
    uint32_t max_batch_rows, max_batch_delay_us;
    uint32_t max_batch_ms; /* a batch's bound while others are active; 0: none */
    uint32_t spin_us;      /* the loop and the workers look for work so long before they sleep */
    uint32_t max_queue_rows, max_queue_requests, max_connections;
    uint32_t max_request_rows;
    uint64_t max_body_bytes, max_inflight_bytes;   /* of one request; of all that are in flight */
    uint32_t max_connections_per_client;           /* 0: as many as all */
    uint64_t max_header_bytes;                     /* URL and headers of one request */
    uint32_t header_timeout_ms, idle_timeout_ms;   /* of a new connection; between two requests */
    uint32_t body_timeout_ms, default_deadline_ms; /* deadline 0: none */
    uint32_t drain_delay_ms, drain_timeout_ms;
    const char *api_key_file;       /* NULL: no key is asked for */
    bool metrics_open;              /* /metrics without a key */
    const char *tls_cert, *tls_key; /* both or neither; NULL: plain HTTP */
    const char *tls_client_ca;      /* NULL: clients need no certificate */
    uint32_t watchdog_ms;           /* a batch that takes longer fails /livez; 0: however long */
    const char *notify_socket;      /* systemd's NOTIFY_SOCKET, or NULL */
    uint64_t notify_watchdog_us;    /* and its WATCHDOG_USEC; 0: it does not watch */
    const char *pool_threads;       /* libuv's UV_THREADPOOL_SIZE, which it reads itself, or NULL */
    bool metrics_per_expert;
    const char *log_file;             /* where the log goes: opened again at SIGHUP; or NULL */
    enum moed_log_level log_requests; /* of the line of a request that went well */
    bool progress; /* draw a bar on stderr while loading (a terminal); else log lines */
};

/* Fills in every default of API.md. */
void moed_server_options_init(struct moed_server_options *options);

/* Binds, loads the model on another thread, serves until SIGTERM or SIGINT, drains. 0 after a
 * clean drain; otherwise a code with the reason. Call once, from the main thread. The strings of
 * `options` stay valid until the process ends: a loader that a signal interrupted still reads
 * while the process leaves. */
int moed_server_run(const struct moed_server_options *options, struct moed_error *err);

/* The libraries that the server stands on, with the versions that run: "libuv 1.44.2". NULL past
 * the end; the text lives until the next call. */
const char *moed_server_library(size_t i);

#endif
