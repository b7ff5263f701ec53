/* body.c: collects a body within --max-body-bytes, and all of them within --max-inflight-bytes,
 * into a buffer that raw rows are computed from directly; answers where libmicrohttpd cannot. */
#include "body.h"

#include "request.h"
#include "routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A longer declared length than the second has to be proved by sending. */
enum { FIRST_CAPACITY = 64 << 10, DECLARED_CAPACITY = 1 << 20 };

void body_drop(struct request *request)
{
    struct body *body = &request->body;

    free(body->data);
    body->data = NULL;
    body_give_room(request->host, body->capacity);
    body->capacity = 0;
}

void body_fini(struct request *request)
{
    struct body *body = &request->body;

    body_drop(request);
    body_give_room(request->host, body->beside);
    body->size = 0;
    body->beside = 0;
}

int body_hold(struct request *request, uint64_t bytes, struct moed_error *err)
{
    struct body *body = &request->body;
    int rc = 0;

    if (bytes > body->beside)
        rc = body_take_room(request->host, bytes - body->beside, err);
    else
        body_give_room(request->host, body->beside - bytes);
    if (rc == 0)
        body->beside = bytes;
    return rc;
}

void body_begin(struct request *request, const char *head)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *length = request_header(request, "Content-Length");
    const char *coding = request_header(request, "Transfer-Encoding");
    struct body *body = &request->body;

    body->first = body->behind = head + (info != NULL ? info->header_size : 0);
    body->chunked = coding != NULL && strcasecmp(coding, "chunked") == 0;
    body->has_length = length != NULL && !body->chunked;
    if (!body->has_length)
        return;
    errno = 0;
    body->declared = strtoull(length, NULL, 10); /* libmicrohttpd has checked that it is digits */
    if (errno != 0)
        body->declared = UINT64_MAX;
}

/* Whether all bodies together may have `more` bytes beside the `held` ones. */
static int check_inflight(const struct host *host, uint64_t held, uint64_t more,
                          struct moed_error *err)
{
    uint64_t limit = host->options->max_inflight_bytes;

    if (more > limit)
        return moed_fail(err, MOED_E_TOO_LARGE,
                         "a request that holds %llu bytes, its answer with it; the limit of all "
                         "together is %llu",
                         (unsigned long long)more, (unsigned long long)limit);
    if (held > limit - more)
        return moed_fail(err, MOED_E_QUEUE_FULL,
                         "requests in flight hold %llu bytes and %llu more were asked for, the "
                         "limit is %llu",
                         (unsigned long long)held, (unsigned long long)more,
                         (unsigned long long)limit);
    return 0;
}

int body_take_room(struct host *host, uint64_t more, struct moed_error *err)
{
    uint64_t held = atomic_load(&host->body_bytes);

    do {
        int rc = check_inflight(host, held, more, err);

        if (rc != 0)
            return rc;
    } while (!atomic_compare_exchange_weak(&host->body_bytes, &held, held + more));
    return 0;
}

void body_give_room(struct host *host, uint64_t less)
{
    atomic_fetch_sub(&host->body_bytes, less);
}

/* A route that takes no rows keeps no body either, or anybody could fill the room of all bodies
 * with requests that ask for nothing, where they need no key even. */
static uint64_t limit_of(const struct request *request)
{
    return request->route->takes_rows ? request->host->options->max_body_bytes : BODY_DISCARD_MAX;
}

int body_check(const struct request *request, struct moed_error *err)
{
    const struct body *body = &request->body;
    uint64_t limit = limit_of(request);

    if (request->route->takes_rows && !body->has_length && !body->chunked)
        return moed_fail(err, MOED_E_LENGTH_REQUIRED,
                         "found neither Content-Length nor Transfer-Encoding: chunked");
    if (body->declared > limit)
        return moed_fail(err, MOED_E_TOO_LARGE,
                         "Content-Length: found %llu bytes, the limit is %llu",
                         (unsigned long long)body->declared, (unsigned long long)limit);
    if (!request->route->takes_rows)
        return 0;
    return check_inflight(request->host, atomic_load(&request->host->body_bytes), body->declared,
                          err);
}

/* Doubled, up to the declared length (which need not be true: an unknown Transfer-Encoding beats
 * it); realloc moves pages and not bytes once it is large. */
static size_t larger_capacity(const struct body *body, size_t need)
{
    size_t capacity = body->capacity > 0 ? body->capacity : FIRST_CAPACITY;

    while (capacity < need)
        capacity *= 2;
    if (body->has_length && need <= body->declared &&
        (capacity > body->declared || body->declared <= DECLARED_CAPACITY))
        capacity = (size_t)body->declared;
    return capacity;
}

static int grow(struct request *request, size_t need, struct moed_error *err)
{
    struct body *body = &request->body;
    size_t capacity = larger_capacity(body, need);
    size_t more = capacity - body->capacity;
    int rc = body_take_room(request->host, more, err);
    char *data;

    if (rc != 0)
        return rc;
    body->capacity = capacity;
    data = realloc(body->data, capacity);
    if (data == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a body of %zu bytes", capacity);
    body->data = data;
    return 0;
}

int body_append(struct request *request, const char *data, size_t size, struct moed_error *err)
{
    struct body *body = &request->body;
    uint64_t limit = limit_of(request);
    int rc = 0;

    if (body->seen > limit)
        return moed_fail(err, MOED_E_TOO_LARGE,
                         "the body has more than %llu bytes, which is the limit",
                         (unsigned long long)limit);
    if (!request->route->takes_rows)
        return 0;
    if (body->size + size > body->capacity)
        rc = grow(request, body->size + size, err);
    if (rc != 0)
        return rc;
    memcpy(body->data + body->size, data, size);
    body->size += size;
    return 0;
}

/* libmicrohttpd takes no response while a body arrives (only before its first byte or after its
 * last), so this one is sent past it: nothing else has been sent for this request. What follows of
 * the body is swallowed until the client has read the answer; a socket closed over unread bytes
 * would be reset, and the answer lost with it. */
void body_cut(struct request *request, int code, const char *detail)
{
    size_t size;
    char *text;

    if (request->body.capacity <= BODY_INLINE_FREE)
        body_fini(request); /* else it goes with the request, soon */
    reply_problem(request, code, detail);
    request->stage = REQUEST_CUT;
    request->turned_ns = moed_now_ns();
    text = reply_print(request, &size);
    if (text == NULL)
        return; /* the linger time closes it, unanswered */
    client_send_last(request->client, text, size);
    free(text);
}
