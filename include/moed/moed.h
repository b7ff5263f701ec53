/* moed.h: load a mixture-of-experts model from GGUF and run its MoE layers, without the server.
 *
 *     struct moed *m;
 *     struct moed_error err;
 *     struct moed_call call = {.size = sizeof call, .rows = 1, .hidden = x, .output = y};
 *
 *     if (moed_open("model.gguf", NULL, &m, &err) != 0 || moed_run(m, &call, &err) != 0)
 *         die(err.message);
 *     moed_close(m);
 *
 * Link with `pkg-config --cflags --libs moed`. Letters: T rows (tokens), H hidden size, E experts,
 * K experts a row. Matrices are row-major float32.
 *
 * Structs begin with their `size`, so that later versions can append fields: set it to the struct's
 * own sizeof, and what you do not mention to zero, which is the default of every field. A program
 * that was compiled with an older header keeps its meaning; one with a newer header that uses
 * fields which the library does not know gets MOED_E_USAGE.
 *
 * Threads: models are independent. Of one struct moed, one call runs at a time, from any thread
 * (the same one for the best use of its team, whose other threads are the library's own).
 * fork(): the child has memory but no threads or devices of its own, so there a model of its parent
 * is MOED_E_USAGE to every call but moed_close; the parent's goes on, and the child may open its
 * own. */
#ifndef MOED_MOED_H
#define MOED_MOED_H

#include <moed/error.h>
#include <moed/version.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct moed; /* a loaded model */

struct moed_options {
    size_t size;
    const char *layers;    /* "0-23,40"; NULL: all MoE layers of the file */
    const char *arch_file; /* describes one more architecture; NULL: only those that moed knows */
    const char *backend;   /* "auto", "cpu", "cuda", "reference"; NULL: auto */
    const char *isa;       /* NULL: the best that this CPU has */
    uint32_t threads;      /* 0: physical cores */
    uint32_t max_rows;     /* of one internal step; 0: 4096. Calls with more rows are cut up */
    int f32_rows;          /* not 0: rows are not rounded to int8 for quantised weights: slower */
    int map;               /* not 0: leave the weights in the file's mapping */
};

struct moed_layer_info {
    size_t size;                           /* set by the caller */
    uint32_t layer;                        /* block number, N of blk.N */
    uint32_t hidden, experts, used, width; /* H, E, K, F */
    uint64_t bytes;                        /* of its weights in the file */
};

/* The routing of a call: written where `supplied` is 0, read where it is not (an id of -1 skips its
 * slot; weights are used as they are). */
struct moed_routing {
    size_t size;
    int supplied;
    uint32_t slots; /* columns; K unless supplied */
    int32_t *ids;   /* [T, slots] */
    float *weights; /* [T, slots] */
    float *logits;  /* [T, E] written unless supplied; NULL: not wanted */
};

/* Where the time of a call went; durations in nanoseconds. */
struct moed_timing {
    size_t size;           /* set by the caller */
    uint64_t total_ns;     /* of the whole call */
    uint64_t compute_ns;   /* of its internal steps, by this machine's clock */
    uint64_t device_ns;    /* of them, by the GPU's clock; 0 without one */
    uint64_t weight_bytes; /* of the weights that had to be read, as they are in the file */
    uint32_t steps;        /* of at most max_rows rows each */
};

struct moed_call {
    size_t size;
    uint32_t layer;               /* block number */
    size_t rows;                  /* T, any number */
    const float *hidden;          /* [T, H]: normed rows */
    float *output;                /* [T, H]: the MoE block's sum, without the residual. NULL: route
                                     only, into `routing`, which is then not supplied */
    struct moed_routing *routing; /* NULL: not wanted */
    /* Both are looked at before each step. What they end has written the rows before it. */
    uint64_t deadline_ns;            /* by CLOCK_MONOTONIC; 0: none */
    int (*cancelled)(void *context); /* not 0: give up; NULL: never */
    void *cancelled_context;
    struct moed_timing *timing; /* NULL: not wanted */
};

/* The version of the library that runs, like MOED_VERSION. Any thread. */
MOED_API const char *moed_version(void);

/* Loads layers of a model. `options` may be NULL, as may `err` in all calls. 0, or
 *   MOED_E_IO           the file cannot be read
 *   MOED_E_BAD_FILE     it is no GGUF file, or a damaged one
 *   MOED_E_UNSUPPORTED  its architecture or a type is not known, or this machine lacks the ISA
 *   MOED_E_USAGE        an option makes no sense, or `size` does
 *   MOED_E_NOT_FOUND    a layer that was asked for is not in the file
 *   MOED_E_NO_MEMORY    weights and workspaces do not fit
 *   MOED_E_DEVICE       a GPU failed */
MOED_API int moed_open(const char *path, const struct moed_options *options, struct moed **out,
                       struct moed_error *err);
/* NULL is fine. */
MOED_API void moed_close(struct moed *m);

MOED_API size_t moed_layer_count(const struct moed *m);
/* The i-th layer that is loaded. MOED_E_NOT_FOUND past the last; MOED_E_USAGE: `out->size`. */
MOED_API int moed_layer_at(const struct moed *m, size_t i, struct moed_layer_info *out);

/* The layer's MoE block over the call's rows. Without 0 no output may be used:
 *   MOED_E_NOT_SERVED     the layer is not loaded
 *   MOED_E_SHAPE          slots other than K where the layer routes
 *   MOED_E_UNPROCESSABLE  an id out of range or twice in a row, a weight that is not finite, or a
 *                         layer that needs a supplied routing
 *   MOED_E_NOT_FINITE     the named row's logits or output are not finite
 *   MOED_E_DEADLINE       the deadline had passed before a step
 *   MOED_E_CANCELLED      cancelled() said so
 *   MOED_E_USAGE          a `size`, no output and no routing to write, or a child after fork()
 *   MOED_E_NO_MEMORY      the first routing without output needs room that there is not
 *   MOED_E_DEVICE         a GPU failed, or the mapped file was changed
 *   MOED_E_INTERNAL       a fault of moed, or of a GPU in this call */
MOED_API int moed_run(struct moed *m, const struct moed_call *call, struct moed_error *err);

#ifdef __cplusplus
}
#endif
#endif
