/* error: the table that ties a code to its texts and HTTP status, and how functions fail. */
#ifndef MOED_BASE_ERROR_H
#define MOED_BASE_ERROR_H

#include <moed/error.h>

/* Codes that only a server has; the others are in <moed/error.h>. */
enum moed_server_status {
    MOED_E_METHOD = -5,
    MOED_E_BODY_TIMEOUT = -6,
    MOED_E_LENGTH_REQUIRED = -7,
    MOED_E_MEDIA_TYPE = -9,
    MOED_E_CONNECTIONS = -15,
    MOED_E_LEFT_OUT = -24,
    MOED_E_STUCK = -28,
};

/* X(number, NAME, "code" of the error body, "title" for people, HTTP status). Numbers go from 1 up
 * without a gap, and stay: a new code is appended. */
#define MOED_ERRORS(X)                                                            \
    X(1, MALFORMED, "malformed", "Malformed request", 400)                        \
    X(2, SHAPE, "wrong_shape", "Wrong shape", 400)                                \
    X(3, UNAUTHORIZED, "unauthorized", "Unauthorized", 401)                       \
    X(4, NOT_FOUND, "not_found", "Not found", 404)                                \
    X(5, METHOD, "method_not_allowed", "Method not allowed", 405)                 \
    X(6, BODY_TIMEOUT, "body_timeout", "The body did not arrive in time", 408)    \
    X(7, LENGTH_REQUIRED, "length_required", "A Content-Length is required", 411) \
    X(8, TOO_LARGE, "too_large", "Request too large", 413)                        \
    X(9, MEDIA_TYPE, "unsupported_media_type", "Unsupported media type", 415)     \
    X(10, NOT_SERVED, "layer_not_served", "Layer not served here", 421)           \
    X(11, NO_EXPERT, "expert_not_served", "Expert not served here", 421)          \
    X(12, UNPROCESSABLE, "unprocessable", "Values cannot be processed", 422)      \
    X(13, NOT_FINITE, "not_finite", "A value is not finite", 422)                 \
    X(14, QUEUE_FULL, "queue_full", "Queue full", 429)                            \
    X(15, CONNECTIONS, "too_many_connections", "Too many connections", 429)       \
    X(16, CANCELLED, "cancelled", "The client went away", 499)                    \
    X(17, INTERNAL, "internal", "Internal error", 500)                            \
    X(18, WEIGHTS, "weights_not_finite", "Weights are not finite", 500)           \
    X(19, NO_MEMORY, "out_of_memory", "Out of memory", 503)                       \
    X(20, IO, "io_error", "Input or output failed", 500)                          \
    X(21, BAD_FILE, "bad_file", "Malformed model file", 500)                      \
    X(22, UNSUPPORTED, "unsupported", "Not supported", 500)                       \
    X(23, USAGE, "usage", "Wrong usage", 500)                                     \
    X(24, LEFT_OUT, "not_implemented", "Not implemented", 501)                    \
    X(25, LOADING, "loading", "The model is loading", 503)                        \
    X(26, DEVICE, "device_failed", "A device failed", 503)                        \
    X(27, DRAINING, "draining", "The server is draining", 503)                    \
    X(28, STUCK, "stuck", "A worker does not come back", 503)                     \
    X(29, DEADLINE, "deadline", "The deadline passed", 504)

enum {
#define MOED_X(number, name, code, title, http) MOED_INDEX_##name,
    MOED_INDEX_OK,
    MOED_ERRORS(MOED_X)
#undef MOED_X
        MOED_ERROR_COUNT
};

struct moed_error_info {
    const char *code;  /* machine-readable, stable */
    const char *title; /* one short phrase */
    int http;          /* status */
};

/* Never NULL; an unknown code gives the INTERNAL row. Any thread. */
const struct moed_error_info *moed_error_info(int code);

/* Formats the message into `err` (which may be NULL) and returns `code`, so that a failing
 * function ends in `return moed_fail(err, MOED_E_SHAPE, "found %u, expected %u", a, b);` */
int moed_fail(struct moed_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "format: " before the message that is there already: the caller's context. Returns
 * err->code, so that it can end a failing function too; with NULL, MOED_E_INTERNAL. */
int moed_error_prefix(struct moed_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
