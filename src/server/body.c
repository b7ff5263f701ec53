/* body.c: collects a body within --max-body-bytes, into a buffer that raw rows are computed from
 * directly, and answers where libmicrohttpd cannot. */
#include "body.h"

#include "request.h"
#include "routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { FIRST_CAPACITY = 1 << 20 }; /* a longer declared length has to be proved by sending */

void body_fini(struct body *body)
{
    free(body->data);
    body->data = NULL;
}

void body_begin(struct request *request)
{
    const char *length = request_header(request, "Content-Length");
    const char *coding = request_header(request, "Transfer-Encoding");
    struct body *body = &request->body;

    body->chunked = coding != NULL && strcasecmp(coding, "chunked") == 0;
    body->has_length = length != NULL && !body->chunked;
    if (!body->has_length)
        return;
    errno = 0;
    body->declared = strtoull(length, NULL, 10); /* libmicrohttpd has checked that it is digits */
    if (errno != 0)
        body->declared = UINT64_MAX;
}

int body_check(const struct request *request, struct moed_error *err)
{
    const struct body *body = &request->body;
    uint64_t limit = request->server->options->max_body_bytes;

    if (request->route->takes_rows && !body->has_length && !body->chunked)
        return moed_fail(err, MOED_E_LENGTH_REQUIRED,
                         "found neither Content-Length nor Transfer-Encoding: chunked");
    if (body->declared > limit)
        return moed_fail(err, MOED_E_TOO_LARGE,
                         "Content-Length: found %llu bytes, the limit is %llu",
                         (unsigned long long)body->declared, (unsigned long long)limit);
    return 0;
}

/* Doubles, up to the declared length; realloc moves pages and not bytes once it is large. */
static int grow(struct body *body, size_t need)
{
    size_t capacity = body->capacity;
    char *data;

    if (capacity == 0)
        capacity = body->has_length && body->declared < FIRST_CAPACITY ? (size_t)body->declared
                                                                       : FIRST_CAPACITY / 16;
    while (capacity < need)
        capacity *= 2;
    data = realloc(body->data, capacity);
    if (data == NULL)
        return MOED_E_NO_MEMORY;
    body->data = data;
    body->capacity = capacity;
    return 0;
}

int body_append(struct request *request, const char *data, size_t size, struct moed_error *err)
{
    struct body *body = &request->body;
    uint64_t limit = request->server->options->max_body_bytes;

    body->seen += size;
    if (body->seen > limit)
        return moed_fail(err, MOED_E_TOO_LARGE,
                         "the body has more than %llu bytes, which is the limit",
                         (unsigned long long)limit);
    if (request->fault.code != 0)
        return 0;
    if (body->size + size > body->capacity && grow(body, body->size + size) != 0)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a body of %zu bytes",
                         body->size + size);
    memcpy(body->data + body->size, data, size);
    body->size += size;
    return 0;
}

/* libmicrohttpd takes no response while a body arrives (only before its first byte or after its
 * last), so this one is written to the socket as it is: nothing else has been sent for this
 * request. What follows of the body is swallowed until the client has read the answer; a socket
 * closed over unread bytes would be reset, and the answer lost with it. */
void body_cut(struct request *request, int code, const char *detail)
{
    const struct moed_error_info *info = moed_error_info(code);
    size_t size;
    char *problem = moed_wire_print_problem(code, detail, request->id, &size);
    char retry[32] = "";
    char *text = NULL;
    int length;

    if (reply_retry_after(code) > 0)
        snprintf(retry, sizeof(retry), "Retry-After: %d\r\n", reply_retry_after(code));
    length = asprintf(&text,
                      "HTTP/1.1 %d %s\r\nConnection: close\r\n%sContent-Type: "
                      "application/problem+json\r\nContent-Length: %zu\r\n"
                      "X-Request-Id: %s\r\n\r\n%.*s",
                      info->http, info->title, retry, size, request->id, (int)size,
                      problem != NULL ? problem : "");
    free(problem);
    if (request->fault.code == 0)
        request_rejected(request, code);
    request->stage = REQUEST_CUT;
    request->cut_ns = moed_now_ns();
    request->reply.status = (unsigned)info->http;
    request->reply.code = code;
    body_fini(&request->body);
    if (length < 0)
        return;
    if (send(request->client->fd, text, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) == length)
        shutdown(request->client->fd, SHUT_WR);
    free(text);
}
