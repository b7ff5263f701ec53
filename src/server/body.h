/* body.h: a request's body while it arrives. */
#ifndef MOED_SERVER_BODY_H
#define MOED_SERVER_BODY_H

#include <moed/base.h>

struct request;

struct body {
    bool chunked, has_length;
    uint64_t declared; /* Content-Length */
    uint64_t seen;     /* bytes that arrived, kept or swallowed */
    char *data;        /* NULL until the first byte, and when it is of no more use */
    size_t size;
    size_t capacity; /* counted in server.body_bytes until body_fini */
};

/* Frees the bytes and gives back their share of what all bodies may hold. On the loop. */
void body_fini(struct request *request);
/* Frees the bytes only; any thread that has the request. Their share stays with the request: what
 * was read out of them takes about as much. */
void body_drop(struct body *body);

/* Reads the framing headers. */
void body_begin(struct request *request);
/* Whether a body so framed may come. MOED_E_LENGTH_REQUIRED, MOED_E_TOO_LARGE, MOED_E_QUEUE_FULL
 * where all bodies together would be too much. */
int body_check(const struct request *request, struct moed_error *err);
static inline bool body_expected(const struct body *body)
{
    return body->chunked || body->declared > 0;
}
/* Keeps the bytes. MOED_E_TOO_LARGE, MOED_E_QUEUE_FULL, MOED_E_NO_MEMORY. */
int body_append(struct request *request, const char *data, size_t size, struct moed_error *err);
/* Answers with a problem in the middle of a body and lets the connection end. */
void body_cut(struct request *request, int code, const char *detail);

#endif
