/* host.h: an HTTP host: its ports, their connections and requests, and what whoever gives it
 * endpoints is told and asked. It knows no endpoint. All of it belongs to the loop thread; what
 * another thread may touch says so. */
#ifndef MOED_SERVER_HOST_H
#define MOED_SERVER_HOST_H

#include "client.h"
#include "handshake.h"
#include "keys.h"
#include "listen.h"
#include "peers.h"
#include "routes.h"
#include "spin.h"
#include "tls.h"

#include "src/server/server.h"

#include <microhttpd.h>
#include <stdatomic.h>
#include <uv.h>

#define HOST_PORTS_MAX (2 * MOED_MAX_LISTEN) /* a name may have several addresses */

struct host;
struct request;

/* One address of --listen: a bound socket and the libmicrohttpd daemon that serves it. */
struct port {
    struct host *host;
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

/* What the host serves, and who looks on; every function is called on the loop's thread, with
 * host.service. */
struct host_endpoints {
    const struct route_table *routes;
    size_t state_size; /* of the largest state that a route keeps with its requests */
    /* Whether a route may be used now; any error is the answer. */
    int (*check)(const void *service, const struct route *route, struct moed_error *err);
    void (*connected)(void *service, bool opened); /* or closed */
    void (*refused)(void *service, int code);      /* a connection, for an error's code */
    void (*ended)(void *service, const struct request *request); /* answered, or the client left */
    void (*ticked)(void *service, uint64_t now_ns);              /* some fifty times a second */
};

struct host {
    const struct moed_server_options *options;
    const struct host_endpoints *endpoints;
    void *service;                  /* the endpoints' */
    void (*after_run)(void *owner); /* called whenever a port ran */
    void *owner;
    uv_loop_t loop;
    struct port ports[HOST_PORTS_MAX];
    uint32_t n_ports;
    struct spin spin;
    struct keys keys; /* none: no key is asked for */
    struct tls *tls;  /* for the sessions to come; NULL: plain HTTP */
    uv_timer_t sweeper;
    struct client *clients;    /* every open connection, with its request */
    struct client *sweep_next; /* among them; NULL: the first */
    struct peers peers;        /* whose they are, with --max-connections-per-client */
    uint64_t id_seed, ids;     /* of request ids */
    uint32_t n_clients;
    uint32_t n_requests;         /* live ones */
    _Atomic uint64_t body_bytes; /* held by their bodies, bounded by --max-inflight-bytes */
    uint32_t n_away;             /* of them, suspended: in the thread pool or computed for */
    bool closing;                /* answers end their connections */
    bool stopping;               /* the loop is about to end: no request is begun */
};

/* Raises the limit of open files to what so many connections, `each` files a connection, and
 * `files` others need, as far as it may be raised; where that is not enough, lowers *connections to
 * what fits, and logs it: keys and certificates could not be read again without a descriptor.
 * MOED_E_IO where none fits. */
int host_fit_files(uint32_t *connections, uint32_t each, uint32_t files, struct moed_error *err);
/* Reads keys and certificates, starts what the loop waits for, binds --listen and watches the
 * ports. `options`, `endpoints` and the loop are set. MOED_E_USAGE, MOED_E_IO, MOED_E_NO_MEMORY;
 * host_close is due in any case. */
int host_open(struct host *host, struct moed_error *err);
/* Takes what has connected or arrived on any port, then closes the listening sockets; open
 * connections stay. */
void host_quiesce(struct host *host);
/* Refuses, with this error, requests whose bodies are still arriving. */
void host_cut_bodies(struct host *host, const struct moed_error *why);
/* Closes all connections; no request may be away. */
void host_close_ports(struct host *host);
/* Frees the rest, once the loop is closed. */
void host_close(struct host *host);
/* Runs the ports where a connection was resumed since. */
void host_run_resumed(struct host *host);

/* ---- daemon.c: libmicrohttpd's side ---- */
int port_start(struct port *port, uint32_t max_connections, struct moed_error *err);
/* Takes the listening socket back and closes it; open connections stay. Twice is fine. */
void port_quiesce(struct port *port);
void port_stop(struct port *port); /* closes all connections; none may be suspended */

/* ---- loop.c: libmicrohttpd inside libuv ---- */
int port_watch(struct port *port, struct moed_error *err);
void port_unwatch(struct port *port);
void port_run(struct port *port);

/* ---- sweep.c: slow requests and clients that went away ---- */
int sweep_start(struct host *host);

#endif
