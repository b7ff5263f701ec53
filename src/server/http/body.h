/* body.h: a request's body while it arrives. */
#ifndef MOED_SERVER_BODY_H
#define MOED_SERVER_BODY_H

#include "src/wire/coding.h"

struct request;
struct host;

/* A body up to this size is freed on the loop; larger ones on the pool, since returning so many
 * pages to the kernel takes a millisecond or more. */
enum { BODY_INLINE_FREE = 4 << 20 };
/* How much of a refused body is read and thrown away. A client usually reads its answer only after
 * it has sent everything; closing earlier would reset the connection and lose the answer. */
enum { BODY_DISCARD_MAX = 1 << 20 };

struct body {
    bool chunked, has_length;
    enum moed_coding coding;
    uint64_t declared; /* Content-Length */
    uint64_t seen;     /* bytes that arrived, kept or swallowed */
    char *data;        /* NULL until the first byte, and when it is of no more use */
    size_t size;
    size_t capacity; /* of data; counted in host.body_bytes until body_drop */
    uint64_t beside; /* what else the request holds and counts: rows, outputs, printed text */
    /* In libmicrohttpd's buffer: where a body begins, and the end of what of this one was seen. */
    const char *first, *behind;
};

/* Frees the bytes and gives back their share of what all bodies may hold. On the loop. */
void body_fini(struct request *request);
/* Frees the bytes alone. Any thread that has the request. */
void body_drop(struct request *request);
/* The request holds `bytes` beside its body from now on; any thread that has it. To hold less is
 * always right; MOED_E_QUEUE_FULL, MOED_E_TOO_LARGE as body_take_room, changing nothing. */
int body_hold(struct request *request, uint64_t bytes, struct moed_error *err);

/* Reads the framing headers; `head` is where the request begins in libmicrohttpd's buffer. */
void body_begin(struct request *request, const char *head);
/* Whether a body so framed may come. MOED_E_LENGTH_REQUIRED, MOED_E_TOO_LARGE, MOED_E_QUEUE_FULL
 * where all bodies together would be too much. */
int body_check(const struct request *request, struct moed_error *err);
static inline bool body_expected(const struct body *body)
{
    return body->chunked || body->declared > 0;
}
/* Keeps the bytes, which are counted as seen, if the route takes any. MOED_E_TOO_LARGE,
 * MOED_E_QUEUE_FULL, MOED_E_NO_MEMORY. */
int body_append(struct request *request, const char *data, size_t size, struct moed_error *err);
/* Reads Content-Encoding. MOED_E_MEDIA_TYPE for one that is not accepted. */
int body_read_coding(struct request *request, struct moed_error *err);
/* Puts what a complete body inflates to in its place; any thread that has the request. As
 * moed_wire_inflate, and MOED_E_QUEUE_FULL where all bodies together would be too much. */
int body_unpack(struct request *request, struct moed_error *err);
/* Answers with a problem in the middle of a body and lets the connection end. */
void body_cut(struct request *request, int code, const char *detail);

/* The share of one body in what all of them may hold; any thread. MOED_E_QUEUE_FULL, or
 * MOED_E_TOO_LARGE where there will never be room. */
int body_take_room(struct host *host, uint64_t more, struct moed_error *err);
void body_give_room(struct host *host, uint64_t less);

#endif
