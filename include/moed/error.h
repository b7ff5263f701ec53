/* error.h: every function that can fail returns 0 or one of these negative codes. */
#ifndef MOED_ERROR_H
#define MOED_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* What the shared library shows to the programs that link it. */
#define MOED_API __attribute__((visibility("default")))

/* A number means the same for ever: new codes take new numbers, and none is used again. A server
 * may answer a client with a code that is not here: moed_error_name() knows it. */
enum moed_status {
    MOED_OK = 0,
    MOED_E_MALFORMED = -1,      /* bytes that cannot be read */
    MOED_E_SHAPE = -2,          /* rows or slots that do not fit the layer */
    MOED_E_UNAUTHORIZED = -3,   /* no key, or one that is not known */
    MOED_E_NOT_FOUND = -4,      /* no such layer */
    MOED_E_TOO_LARGE = -8,      /* more rows or bytes than are taken at once */
    MOED_E_NOT_SERVED = -10,    /* the layer is not loaded */
    MOED_E_NO_EXPERT = -11,     /* the expert is not loaded */
    MOED_E_UNPROCESSABLE = -12, /* an id out of range, a layer that needs a supplied routing */
    MOED_E_NOT_FINITE = -13,    /* a number is NaN or infinite, or became so */
    MOED_E_QUEUE_FULL = -14,    /* too much is waiting: try again */
    MOED_E_CANCELLED = -16,     /* the caller gave up */
    MOED_E_INTERNAL = -17,      /* a fault of moed */
    MOED_E_WEIGHTS = -18,       /* weights of the model are NaN or infinite */
    MOED_E_NO_MEMORY = -19,     /* no memory */
    MOED_E_IO = -20,            /* a file or connection failed */
    MOED_E_BAD_FILE = -21,      /* not a model file, or a damaged one */
    MOED_E_UNSUPPORTED = -22,   /* a model, type, device or version that moed does not know */
    MOED_E_USAGE = -23,         /* an option that makes no sense */
    MOED_E_LOADING = -25,       /* the model is loading: try again */
    MOED_E_DEVICE = -26,        /* a GPU failed */
    MOED_E_DRAINING = -27,      /* the server is stopping: ask another */
    MOED_E_DEADLINE = -29,      /* the deadline passed */
};

/* What a person needs to know: which file, tensor, field or row; found and expected.
 * Callers own it, usually on the stack; it is only written on failure. */
struct moed_error {
    int code;           /* 0 or MOED_E_* */
    char message[1016]; /* NUL-terminated UTF-8, no newline */
};

/* The code in machine-readable form, stable: "queue_full". Never NULL; "internal" for a number that
 * is none. Any thread. */
MOED_API const char *moed_error_name(int code);

#ifdef __cplusplus
}
#endif
#endif
