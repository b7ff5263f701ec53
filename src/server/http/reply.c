/* reply.c: bodies and headers of answers; the buffer that holds the rows becomes the response. */
#include "reply.h"

#include "host.h"
#include "request.h"

#include "src/wire/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_LATER_S = 5, RETRY_SOON_S = 1 };

void reply_fini(struct reply *reply)
{
    if (!reply->borrowed)
        free(reply->body);
    memset(reply, 0, sizeof *reply);
}

static struct reply_header *add_header(struct reply *reply, const char *name)
{
    struct reply_header *header;

    if (reply->n_headers == REPLY_MAX_HEADERS)
        return NULL;
    header = &reply->headers[reply->n_headers++];
    header->name = name;
    return header;
}

void reply_header(struct request *request, const char *name, const char *format, ...)
{
    struct reply_header *header = add_header(&request->reply, name);
    va_list args;

    if (header == NULL)
        return;
    va_start(args, format);
    vsnprintf(header->value, sizeof header->value, format, args);
    va_end(args);
}

void reply_constant(struct request *request, const char *name, const char *value)
{
    struct reply_header *header = add_header(&request->reply, name);

    if (header != NULL)
        header->constant = value;
}

static const char *header_value(const struct reply_header *header)
{
    return header->constant != NULL ? header->constant : header->value;
}

void reply_take(struct request *request, const char *type, void *body, size_t size)
{
    request->reply.status = MHD_HTTP_OK;
    request->reply.type = type;
    request->reply.body = body;
    request->reply.size = size;
}

void reply_borrow(struct request *request, const char *type, const void *body, size_t size)
{
    union { /* libmicrohttpd takes what it only reads as void * */
        const void *read_only;
        void *plain;
    } cast = {.read_only = body};

    reply_take(request, type, cast.plain, size);
    request->reply.borrowed = true;
}

void reply_empty(struct request *request, unsigned status)
{
    reply_borrow(request, NULL, "", 0);
    request->reply.status = status;
}

/* Seconds after which a client may try again; 0 where trying again is of no use. */
static int retry_after(int code)
{
    if (code == MOED_E_LOADING || code == MOED_E_STUCK || code == MOED_E_DEVICE)
        return RETRY_LATER_S;
    return code == MOED_E_QUEUE_FULL || code == MOED_E_DRAINING || code == MOED_E_NO_MEMORY
               ? RETRY_SOON_S
               : 0;
}

/* Says what would have been accepted: of the coding if it was that, else of the type (RFC 9110,
 * 15.5.16). */
static void refuse_media_type(struct request *request)
{
    const char *coding = request_header(request, "Content-Encoding");
    enum moed_coding known;

    if (coding != NULL && !moed_coding_from_name(coding, &known))
        reply_header(request, "Accept-Encoding", "gzip, deflate, identity");
    else
        reply_header(request, "Accept-Post", "application/json, application/octet-stream");
}

void reply_problem(struct request *request, int code, const char *detail)
{
    struct reply *reply = &request->reply;

    reply_fini(reply); /* an error after a result was begun replaces it */
    reply->status = (unsigned)moed_error_info(code)->http;
    reply->code = code;
    reply->type = "application/problem+json";
    reply->body = moed_wire_print_problem(code, detail, request->id, &reply->size);
    if (retry_after(code) > 0)
        reply_header(request, "Retry-After", "%d", retry_after(code));
    else if (code == MOED_E_UNAUTHORIZED)
        reply_header(request, "WWW-Authenticate", "Bearer realm=\"moed\"%s",
                     request_header(request, "Authorization") != NULL ? ", error=\"invalid_token\""
                                                                      : "");
    else if (code == MOED_E_METHOD)
        reply_header(request, "Allow", "%s", request->allow);
    else if (code == MOED_E_MEDIA_TYPE)
        refuse_media_type(request);
}

char *reply_print(const struct request *request, size_t *size)
{
    const struct reply *reply = &request->reply;
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    bool failed;

    if (out == NULL)
        return NULL;
    fprintf(out, "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: %s\r\n", reply->status,
            MHD_get_reason_phrase_for(reply->status), reply->type);
    for (uint32_t i = 0; i < reply->n_headers; i++)
        fprintf(out, "%s: %s\r\n", reply->headers[i].name, header_value(&reply->headers[i]));
    fprintf(out, "X-Request-Id: %s\r\nContent-Length: %zu\r\n\r\n", request->id, reply->size);
    fwrite(reply->body, 1, reply->size, out);
    failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed)
        return text;
    free(text);
    return NULL;
}

/* The body stays the request's, which outlives the sending. */
static struct MHD_Response *make_response(const struct reply *reply)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply->size, reply->body, MHD_RESPMEM_PERSISTENT);

    if (response == NULL)
        return NULL;
    if (reply->type != NULL)
        MHD_add_response_header(response, "Content-Type", reply->type);
    for (uint32_t i = 0; i < reply->n_headers; i++)
        MHD_add_response_header(response, reply->headers[i].name, header_value(&reply->headers[i]));
    return response;
}

enum MHD_Result reply_send(struct request *request)
{
    struct MHD_Response *response = make_response(&request->reply);
    enum MHD_Result result;

    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "X-Request-Id", request->id);
    if (request->host->closing || request->misframed)
        MHD_add_response_header(response, "Connection", "close");
    result = MHD_queue_response(request->connection, request->reply.status, response);
    MHD_destroy_response(response);
    request->stage = REQUEST_RESPONDING;
    request->turned_ns = moed_now_ns();
    return result;
}
