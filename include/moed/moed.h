/* moed.h: load a mixture-of-experts model from GGUF and run its MoE layers, without the server.
 *
 *     struct moed *m;
 *     struct moed_error err;
 *     struct moed_call call = {.layer = 0, .rows = 1, .hidden = x, .output = y};
 *
 *     if (moed_open("model.gguf", NULL, &m, &err) != 0 || moed_run(m, &call, &err) != 0)
 *         die(err.message);
 *     moed_close(m);
 *
 * Link with `pkg-config --cflags --libs moed`. Letters: T rows (tokens), H hidden size, E experts,
 * K experts a row. Matrices are row-major float32. */
#ifndef MOED_MOED_H
#define MOED_MOED_H

#include <moed/error.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct moed; /* a loaded model */

struct moed_options {      /* all zeros: defaults */
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
    uint32_t layer;                        /* block number, N of blk.N */
    uint32_t hidden, experts, used, width; /* H, E, K, F */
    uint64_t bytes;                        /* of its weights in the file */
};

/* The routing of a call: filled in where `supplied` is 0, read where it is not (an id of -1
 * skips its slot; weights are used as they are). */
struct moed_routing {
    int supplied;
    uint32_t slots; /* columns; K unless supplied */
    int32_t *ids;   /* [T, slots] */
    float *weights; /* [T, slots] */
    float *logits;  /* [T, E] written unless supplied; NULL: not wanted */
};

MOED_API const char *moed_version(void);

/* 0, or a negative code with the reason in *err (which may be NULL). */
MOED_API int moed_open(const char *path, const struct moed_options *options, struct moed **out,
                       struct moed_error *err);
MOED_API void moed_close(struct moed *m); /* NULL is fine */

MOED_API size_t moed_layer_count(const struct moed *m);
MOED_API int moed_layer_at(const struct moed *m, size_t i, struct moed_layer_info *out);

struct moed_call {
    uint32_t layer;               /* block number */
    size_t rows;                  /* T, any number */
    const float *hidden;          /* [T, H]: normed rows */
    float *output;                /* [T, H]: the MoE block's sum, without the residual */
    struct moed_routing *routing; /* NULL: not wanted */
};

/* The layer's MoE block over the call's rows. One call at a time for each struct moed, always from
 * the same thread for the best use of its thread team. MOED_E_NOT_SERVED, MOED_E_UNPROCESSABLE
 * (an id out of range or twice in a row, a weight that is not finite; or the layer needs a supplied
 * routing), MOED_E_SHAPE, MOED_E_NOT_FINITE naming the row: then no output may be used. */
MOED_API int moed_run(struct moed *m, const struct moed_call *call, struct moed_error *err);

#ifdef __cplusplus
}
#endif
#endif
