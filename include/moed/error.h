/* Errors: every function that can fail returns 0 or one of these negative codes. */
#ifndef MOED_ERROR_H
#define MOED_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* What the shared library shows to the programs that link it. */
#define MOED_API __attribute__((visibility("default")))

/* X(NAME, "code" of the error body, "title" for people, HTTP status).
 * The one table that ties a code to its text and status; see moed_error_info(). */
#define MOED_ERRORS(X)                                                         \
    X(MALFORMED, "malformed", "Malformed request", 400)                        \
    X(SHAPE, "wrong_shape", "Wrong shape", 400)                                \
    X(UNAUTHORIZED, "unauthorized", "Unauthorized", 401)                       \
    X(NOT_FOUND, "not_found", "Not found", 404)                                \
    X(METHOD, "method_not_allowed", "Method not allowed", 405)                 \
    X(BODY_TIMEOUT, "body_timeout", "The body did not arrive in time", 408)    \
    X(LENGTH_REQUIRED, "length_required", "A Content-Length is required", 411) \
    X(TOO_LARGE, "too_large", "Request too large", 413)                        \
    X(MEDIA_TYPE, "unsupported_media_type", "Unsupported media type", 415)     \
    X(NOT_SERVED, "layer_not_served", "Layer not served here", 421)            \
    X(NO_EXPERT, "expert_not_served", "Expert not served here", 421)           \
    X(UNPROCESSABLE, "unprocessable", "Values cannot be processed", 422)       \
    X(NOT_FINITE, "not_finite", "A value is not finite", 422)                  \
    X(QUEUE_FULL, "queue_full", "Queue full", 429)                             \
    X(CONNECTIONS, "too_many_connections", "Too many connections", 429)        \
    X(CANCELLED, "cancelled", "The client went away", 499)                     \
    X(INTERNAL, "internal", "Internal error", 500)                             \
    X(WEIGHTS, "weights_not_finite", "Weights are not finite", 500)            \
    X(NO_MEMORY, "out_of_memory", "Out of memory", 500)                        \
    X(IO, "io_error", "Input or output failed", 500)                           \
    X(BAD_FILE, "bad_file", "Malformed model file", 500)                       \
    X(UNSUPPORTED, "unsupported", "Not supported", 500)                        \
    X(USAGE, "usage", "Wrong usage", 500)                                      \
    X(LEFT_OUT, "not_implemented", "Not implemented", 501)                     \
    X(LOADING, "loading", "The model is loading", 503)                         \
    X(DEVICE, "device_failed", "A device failed", 503)                         \
    X(DRAINING, "draining", "The server is draining", 503)                     \
    X(STUCK, "stuck", "A worker does not come back", 503)                      \
    X(DEADLINE, "deadline", "The deadline passed", 504)

enum moed_error_index {
    MOED_INDEX_OK,
#define MOED_X(name, code, title, http) MOED_INDEX_##name,
    MOED_ERRORS(MOED_X)
#undef MOED_X
        MOED_ERROR_COUNT
};

enum moed_status {
    MOED_OK = 0,
#define MOED_X(name, code, title, http) MOED_E_##name = -(int)MOED_INDEX_##name,
    MOED_ERRORS(MOED_X)
#undef MOED_X
};

/* What a person needs to know: which file, tensor, field or row; found and expected.
 * Callers own it, usually on the stack; it is only written on failure. */
struct moed_error {
    int code;           /* 0 or MOED_E_* */
    char message[1016]; /* NUL-terminated UTF-8, no newline */
};

struct moed_error_info {
    const char *code;  /* machine-readable, stable */
    const char *title; /* one short phrase */
    int http;          /* status */
};

/* Never NULL; an unknown code gives the INTERNAL row. Any thread. */
MOED_API const struct moed_error_info *moed_error_info(int code);

/* Formats the message into `err` (which may be NULL) and returns `code`, so that a failing
 * function ends in `return moed_fail(err, MOED_E_SHAPE, "found %u, expected %u", a, b);` */
int moed_fail(struct moed_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "format: " before the message that is there already: the caller's context. Returns
 * err->code, so that it can end a failing function too; with NULL, MOED_E_INTERNAL. */
int moed_error_prefix(struct moed_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
#endif
