/* request.c: the life of a request.
 *
 *                      ┌────────────────────────────────────────────► CUT ──────────────┐
 *                      │ too slow, too long, shutting down                               │
 *   created ──► READING ──► handler ──► ANSWERED ──► RESPONDING ──► destroyed ◄──────────┘
 *                              │            ▲
 *                              └──► AWAY ───┘  thread pool or batcher, connection suspended
 *
 * Ownership is by lifetime: a request belongs to its connection and is destroyed in libmicrohttpd's
 * "completed" callback, which is not called for a suspended connection. So whoever has a request
 * while it is AWAY may use it without a lock or a count, and a client that disconnects in that time
 * is found out by the sweep, which only marks the job as cancelled. */
#include "request.h"

#include "framing.h"
#include "host.h"
#include "received.h"
#include "routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* Copies a header that goes into logs and answers, if it is plain printable text that fits. */
static void copy_plain(char *to, size_t size, const char *from)
{
    size_t length = from != NULL ? strlen(from) : 0;

    to[0] = '\0';
    if (length >= size)
        return;
    for (size_t i = 0; i < length; i++)
        if (from[i] <= ' ' || from[i] > '~' || from[i] == '"' || from[i] == '\\')
            return;
    if (length > 0)
        memcpy(to, from, length + 1);
}

/* 16 hex digits that no other server makes. */
static void make_id(struct host *host, char *out, size_t size)
{
    /* splitmix64: consecutive counts give ids that look nothing alike, and never repeat */
    uint64_t z = host->id_seed + ++host->ids * 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    snprintf(out, size, "%016llx", (unsigned long long)(z ^ (z >> 31)));
}

struct request *request_create(struct port *port, struct MHD_Connection *connection,
                               const char *method)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct host *host = port->host;
    struct request *r;

    if (info == NULL || info->socket_context == NULL)
        return NULL;
    r = moed_calloc(1, sizeof *r + host->endpoints->state_size);
    if (r == NULL)
        return NULL;
    r->client = info->socket_context;
    client_begins_request(r->client, r);
    r->host = host;
    r->state = r->storage;
    r->port = port;
    r->connection = connection;
    r->started_ns = moed_now_ns();
    r->work.data = r;
    copy_plain(r->method, sizeof r->method,
               route_method_known(host->endpoints->routes, method) ? method : "OTHER");
    host->n_requests++;
    return r;
}

static const struct route_state *state_of(const struct request *r)
{
    return r->route != NULL ? r->route->state : NULL;
}

/* About what it holds. */
static uint64_t memory_of(const struct request *r)
{
    const struct route_state *state = state_of(r);

    return r->body.capacity + r->reply.size + (state != NULL ? state->memory(r) : 0);
}

/* On any thread: nobody else knows the request any more. */
static void release(uv_work_t *work)
{
    struct request *r = work->data;

    if (state_of(r) != NULL)
        state_of(r)->fini(r);
    body_drop(r);
    reply_fini(&r->reply);
}

static void released(uv_work_t *work, int status)
{
    struct request *r = work->data;

    (void)status;
    body_fini(r);
    free(r);
}

void request_destroy(struct request *r)
{
    struct host *host = r->host;

    host->endpoints->ended(host->service, r);
    client_ends_request(r->client);
    host->n_requests--;
    if (memory_of(r) <= BODY_INLINE_FREE ||
        uv_queue_work(&host->loop, &r->work, release, released) != 0) {
        release(&r->work);
        released(&r->work, 0);
    }
}

/* Also for paths that do not exist, so that nobody without a key learns which ones do. */
static int check_key(const struct request *request, struct moed_error *err)
{
    const struct host *host = request->host;
    enum route_access access = request->route != NULL ? request->route->access : ROUTE_KEYED;

    if (host->keys.n == 0 || access == ROUTE_OPEN ||
        (access == ROUTE_METRICS && host->options->metrics_open))
        return 0;
    if (keys_allow(&host->keys, request_header(request, "Authorization"),
                   request_header(request, "X-API-Key")))
        return 0;
    return moed_fail(err, MOED_E_UNAUTHORIZED,
                     "found no API key of this server, expected one in \"Authorization: Bearer\" "
                     "or in X-API-Key");
}

/* All that can be known before the body. */
static int check_head(struct request *request, const char *path, struct moed_error *err)
{
    const struct host_endpoints *endpoints = request->host->endpoints;
    struct route_match match;
    int rc = route_find(endpoints->routes, request->method, path, &match, err);

    request->route = match.route;
    if (state_of(request) != NULL)
        state_of(request)->init(request);
    memcpy(request->allow, match.allow, sizeof request->allow);
    if (check_key(request, err) != 0)
        return err->code;
    if (rc != 0)
        return rc;
    request->has_path_layer = match.has_layer;
    request->path_layer = match.layer;
    rc = body_check(request, err);
    if (rc == 0)
        rc = endpoints->check(request->host->service, request->route, err);
    if (rc == 0 && request->route->resolve != NULL)
        rc = request->route->resolve(request, &match, err);
    if (rc == 0 && request->route->admit != NULL)
        rc = request->route->admit(request, err);
    return rc;
}

/* A refused request is answered after its body has arrived and was thrown away, so that the client
 * reads our answer instead of a broken connection, and can use the connection again. A client that
 * waits for leave to send ("Expect"), or that has much to send, is answered at once. */
static enum MHD_Result refuse(struct request *request)
{
    const struct body *body = &request->body;

    if (body_expected(body) && request_header(request, "Expect") != NULL) {
        request_fail(request, &request->fault);
        return reply_send(request);
    }
    if (body->declared > BODY_DISCARD_MAX || request->misframed)
        body_cut(request, request->fault.code, request->fault.message);
    return MHD_YES;
}

/* What others call the request. */
static void read_names(struct request *request)
{
    copy_plain(request->id, sizeof request->id, request_header(request, "X-Request-Id"));
    if (request->id[0] == '\0')
        make_id(request->host, request->id, sizeof request->id);
    copy_plain(request->traceparent, sizeof request->traceparent,
               request_header(request, "traceparent"));
}

enum MHD_Result request_begin(struct request *request, const struct request_line *line)
{
    request->misframed = framing_check(request, line, &request->fault) != 0;
    read_names(request);
    body_begin(request, line->method);
    if (!request->misframed &&
        check_head(request, framing_path(line->target), &request->fault) == 0)
        return MHD_YES;
    return refuse(request);
}

enum MHD_Result request_take(struct request *request, const char *data, size_t size)
{
    struct moed_error err = {0};
    int rc;

    if (request->stage != REQUEST_READING)
        return MHD_YES; /* swallowed */
    request->body.seen += size;
    rc = framing_check_chunk(request, data, size, &err);
    if (rc == 0 && request->fault.code == 0) {
        rc = body_append(request, data, size, &err);
    } else if (rc == 0 && request->body.seen > BODY_DISCARD_MAX) {
        err = request->fault;
        rc = err.code;
    }
    if (rc != 0)
        body_cut(request, err.code, err.message);
    return MHD_YES;
}

enum MHD_Result request_proceed(struct request *request)
{
    if (request->stage == REQUEST_CUT)
        return MHD_NO; /* answered already: close */
    if (request->stage == REQUEST_READING) {
        if (request->fault.code == 0)
            request->misframed = framing_check_trailers(request, &request->fault) != 0;
        if (request->host->stopping && request->fault.code == 0)
            moed_fail(&request->fault, MOED_E_DRAINING, "the server is stopping");
        if (request->fault.code != 0)
            request_fail(request, &request->fault);
        else
            request->route->handle(request);
    }
    return request->stage == REQUEST_ANSWERED ? reply_send(request) : MHD_YES;
}

void request_leave(struct request *request)
{
    if (request->stage == REQUEST_AWAY)
        return;
    request->stage = REQUEST_AWAY;
    request->host->n_away++;
    MHD_suspend_connection(request->connection);
}

void request_answer(struct request *request)
{
    bool away = request->stage == REQUEST_AWAY;

    request->stage = REQUEST_ANSWERED;
    if (!away)
        return;
    request->host->n_away--;
    request->port->resumed = true;
    MHD_resume_connection(request->connection);
}

void request_fail(struct request *request, const struct moed_error *err)
{
    reply_problem(request, err->code, err->message);
    request_answer(request);
}

static void on_work(uv_work_t *work)
{
    struct request *request = work->data;

    request->offloaded(request);
}

static void on_landed(uv_work_t *work, int status)
{
    struct request *request = work->data;
    struct host *host = request->host;

    (void)status; /* never cancelled: the server waits for its requests */
    request->landed(request);
    host_run_resumed(host);
}

void request_offload(struct request *request, void (*work)(struct request *),
                     void (*landed)(struct request *))
{
    request_leave(request);
    request->offloaded = work;
    request->landed = landed;
    uv_queue_work(&request->host->loop, &request->work, on_work, on_landed);
}
