/* reply.h: the answer of a request, and handing it to libmicrohttpd. */
#ifndef MOED_SERVER_REPLY_H
#define MOED_SERVER_REPLY_H

#include "src/base/base.h"
#include <microhttpd.h>

struct request;

enum { REPLY_MAX_HEADERS = 8 };

struct reply_header {
    const char *name;
    const char *constant; /* the value, if it outlives the server; else NULL */
    char value[96];
};

struct reply {
    unsigned status; /* HTTP; 0: none yet */
    int code;        /* 0 or MOED_E_*, for logs and counters */
    const char *type;
    void *body;
    size_t size;
    bool borrowed; /* the body outlives the server */
    uint32_t n_headers;
    struct reply_header headers[REPLY_MAX_HEADERS];
};

void reply_fini(struct reply *reply);

/* 200 with a body that is freed with the reply, or one that outlives the server. */
void reply_take(struct request *request, const char *type, void *body, size_t size);
void reply_borrow(struct request *request, const char *type, const void *body, size_t size);
void reply_empty(struct request *request, unsigned status);
/* The problem body of `code` (API.md, "Errors"), with the headers that go with it. */
void reply_problem(struct request *request, int code, const char *detail);
void reply_header(struct request *request, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void reply_constant(struct request *request, const char *name, const char *value);
/* The reply as the bytes of an HTTP response that ends its connection, for the caller to free;
 * NULL without memory. */
char *reply_print(const struct request *request, size_t *size);
/* Queues the reply with libmicrohttpd, which reads its body until the request is destroyed. */
enum MHD_Result reply_send(struct request *request);

#endif
