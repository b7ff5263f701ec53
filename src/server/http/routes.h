/* routes.h: which handler answers which method and path. */
#ifndef MOED_SERVER_ROUTES_H
#define MOED_SERVER_ROUTES_H

#include "src/base/base.h"

struct request;
struct route_match;

enum route_access {
    ROUTE_KEYED,   /* needs an API key, where the server has any */
    ROUTE_METRICS, /* too, but for --metrics-open */
    ROUTE_OPEN     /* never does: the probes of balancers, which carry none */
};

/* What a route keeps with each of its requests, in request->state, which begins as zeros. */
struct route_state {
    void (*init)(struct request *request);
    void (*fini)(struct request *request); /* any thread: nobody else knows the request any more */
    uint64_t (*memory)(const struct request *request); /* bytes that fini gives back, about */
    /* The client has left while the request is away: its work may be spared, its answer comes. */
    void (*abandon)(struct request *request);
};

struct route {
    const char *method;
    const char *path; /* a template: "{L}" stands for a layer's block number, "{M}" and "{V}" for a
                         KServe model and its version */
    bool needs_model; /* 503 while loading */
    bool takes_rows;  /* has a body of rows, which needs a length */
    bool route_only;  /* computes the routing alone */
    enum route_access access;
    const struct route_state *state; /* NULL: none is kept */
    /* Finds what the path names; may be NULL. The texts of the match are gone afterwards. */
    int (*resolve)(struct request *request, const struct route_match *match,
                   struct moed_error *err);
    /* Refuses what can be refused from the headers, before the body; may be NULL. */
    int (*admit)(struct request *request, struct moed_error *err);
    /* The body is complete: answers, or leaves to answer later. */
    void (*handle)(struct request *request);
};

struct route_table {
    const struct route *at;
    size_t n;
    /* What this server does without, of which `path` is a part; NULL: nothing that it knows of. */
    const char *(*left_out)(const char *path);
};

struct route_text { /* borrowed from the path; size 0: the route has none */
    const char *at;
    size_t size;
};

struct route_match {
    const struct route *route; /* NULL when the path or the method is unknown */
    bool has_layer;
    uint32_t layer;
    struct route_text model, version;
    char allow[32]; /* the path's methods, when only the method is wrong */
};

/* MOED_E_NOT_FOUND, MOED_E_METHOD, MOED_E_LEFT_OUT. */
int route_find(const struct route_table *table, const char *method, const char *path,
               struct route_match *out, struct moed_error *err);
/* Whether any route (or HEAD, by way of GET) has this method. */
bool route_method_known(const struct route_table *table, const char *method);

#endif
