/* state.h: the room as a whole: the ports, the engine behind them and every live request. All of
 * it belongs to the loop thread; what another thread may touch says so. */
#ifndef MOED_SERVER_STATE_H
#define MOED_SERVER_STATE_H

#include "drain.h"
#include "load.h"
#include "notify.h"
#include "reload.h"
#include "src/server/api/engine.h"
#include "src/server/api/mailbox.h"
#include "src/server/api/observe.h"
#include "src/server/http/client.h"
#include "src/server/http/handshake.h"
#include "src/server/http/keys.h"
#include "src/server/http/listen.h"
#include "src/server/http/peers.h"
#include "src/server/http/spin.h"
#include "src/server/http/tls.h"
#include "watchdog.h"

#include "src/server/server.h"
#include <microhttpd.h>
#include <uv.h>

struct request;
struct server;

enum server_phase {
    SERVER_LOADING,  /* the port is bound, the model is not there yet */
    SERVER_READY,    /* serving */
    SERVER_DRAINING, /* told to stop: not ready, but still serving while balancers notice */
    SERVER_CLOSING   /* accepts no connection and no new work, finishes what it has */
};

/* One --listen: a bound socket and the libmicrohttpd daemon that serves it. */
struct port {
    struct server *server;
    struct listener listener;
    struct MHD_Daemon *mhd;
    struct handshakes handshakes;
    bool tls;         /* TCP ports speak it if there are credentials; unix sockets never do */
    uv_poll_t poll;   /* the daemon's epoll descriptor */
    uv_timer_t timer; /* the daemon's next timeout */
    uv_idle_t again;  /* the daemon is to run again at once */
    bool resumed;     /* a connection was resumed: the daemon must run */
    bool closed;      /* a connection has closed: there may be room for one that waits */
    uint64_t moved;   /* counts what libmicrohttpd has done: calls of ours, TLS's bytes */
    uint32_t futile;  /* runs in a row that moved nothing */
};

struct server {
    const struct moed_server_options *options;
    uv_loop_t loop;
    enum server_phase phase;
    struct port ports[MOED_MAX_LISTEN];
    uint32_t n_ports;
    struct load load;
    struct engine engine;
    struct moed_metrics *metrics;
    struct observe observe;
    struct mailbox mailbox; /* finished jobs, from the workers */
    struct drain drain;
    struct spin spin;
    struct keys keys; /* none: no key is asked for */
    struct tls *tls;  /* for the sessions to come; NULL: plain HTTP */
    struct reload reload;
    struct notify notify;
    struct watchdog watchdog;
    uv_timer_t sweeper;
    struct client *clients;    /* every open connection, with its request */
    struct client *sweep_next; /* among them; NULL: the first */
    struct peers peers;        /* whose they are, with --max-connections-per-client */
    uint32_t n_clients;
    uint32_t n_requests;         /* live ones */
    _Atomic uint64_t body_bytes; /* held by their bodies, bounded by --max-inflight-bytes */
    uint32_t n_away;             /* of them, suspended: in the thread pool or with the batcher */
    bool stopping;               /* server_stop was called */
    int result;                  /* of moed_server_run, with its reason */
    struct moed_error error;
};

/* Leaves uv_run as soon as no request is away, since libmicrohttpd cannot close a connection that
 * is suspended; new requests are refused meanwhile. `code` and `message` become the result of
 * moed_server_run; the first call counts. */
void server_stop(struct server *server, int code, const char *message);
/* Called after a port ran, when what came back has been answered. */
void server_check_stop(struct server *server);

/* ---- daemon.c: libmicrohttpd's side ---- */
int port_start(struct port *port, uint32_t max_connections, struct moed_error *err);
/* Takes the listening socket back and closes it; open connections stay. Twice is fine. */
void port_quiesce(struct port *port);
void port_stop(struct port *port); /* closes all connections; none may be suspended */

/* ---- loop.c: libmicrohttpd inside libuv ---- */
int port_watch(struct port *port, struct moed_error *err);
void port_unwatch(struct port *port);
void port_run(struct port *port);
/* Runs the ports where a connection was resumed since. */
void server_run_resumed(struct server *server);

/* ---- sweep.c: slow requests and clients that went away ---- */
int sweep_start(struct server *server);

#endif
