/* request.h: one HTTP request, from its headers to the end of its answer. */
#ifndef MOED_SERVER_REQUEST_H
#define MOED_SERVER_REQUEST_H

#include "body.h"
#include "host.h"
#include "reply.h"

#include <stddef.h>

struct request_line;
struct route;

enum request_stage {
    REQUEST_READING,   /* headers are in, the body arrives */
    REQUEST_CUT,       /* refused in mid-body: answered on the bare socket, the rest is swallowed */
    REQUEST_AWAY,      /* suspended: in the thread pool or with the batcher */
    REQUEST_ANSWERED,  /* the reply is complete; libmicrohttpd will ask for it */
    REQUEST_RESPONDING /* libmicrohttpd sends the reply */
};

/* Requests are known by an id that the client chose or we made: logs, X-Request-Id, error bodies.
 */
#define REQUEST_ID_MAX 128

struct request {
    struct host *host;
    struct port *port;
    struct MHD_Connection *connection;
    struct client *client;
    const struct route *route; /* NULL: no such path, or not with that method */
    enum request_stage stage;
    uint64_t started_ns;
    uint64_t turned_ns; /* when it was cut, or its answer began to leave */
    bool misframed;     /* nobody knows where it ends: its connection must, too */
    char method[16];    /* "OTHER" for one that no route has */
    char id[REQUEST_ID_MAX + 1];
    char traceparent[64];
    struct moed_error fault; /* why it is refused, once the body is in; code 0: it is not */
    char allow[32];          /* with a 405 */
    bool has_path_layer;     /* the path names a layer, itself or by a model's name */
    uint32_t path_layer;
    bool path_variant; /* and by another of its names, which the endpoints know */
    struct body body;
    struct reply reply;
    uv_work_t work;
    void (*offloaded)(struct request *request); /* on the pool's thread */
    void (*landed)(struct request *request);    /* then on the loop's */
    void *state;                                /* the route's, route->state says how */
    max_align_t storage[];                      /* where it stands */
};

/* ---- in the order of libmicrohttpd's calls ---- */
/* NULL without memory: the connection has to be closed. */
struct request *request_create(struct port *port, struct MHD_Connection *connection,
                               const char *method);
/* The headers are complete: what can be refused without the body is. */
enum MHD_Result request_begin(struct request *request, const struct request_line *line);
/* Body, all of it consumed. */
enum MHD_Result request_take(struct request *request, const char *data, size_t size);
/* The body is complete, or the connection was resumed. */
enum MHD_Result request_proceed(struct request *request);
/* The answer has left, or the connection broke. */
void request_destroy(struct request *request);

/* ---- for handlers, on the loop's thread ---- */
/* Suspends the connection, if it is not suspended yet. */
void request_leave(struct request *request);
/* The reply is complete: resumes the connection, if it is suspended. */
void request_answer(struct request *request);
/* Answers with a problem. */
void request_fail(struct request *request, const struct moed_error *err);
/* Runs `work` on libuv's pool and then `landed` on the loop; the request is AWAY meanwhile. */
void request_offload(struct request *request, void (*work)(struct request *),
                     void (*landed)(struct request *));
/* A request header, or NULL. */
const char *request_header(const struct request *request, const char *name);

#endif
