/* cuda: the door of the GPU's arithmetic. A layer's pass is a row of launches on one stream; no
 * launch waits, and none reads memory of the host. Functions return what the launch itself said;
 * pointers are the device's unless said otherwise.
 *
 * Letters: T rows, H hidden, E experts, K chosen a row, F an expert's width. A planned expert is a
 * routed one [0, E), the shared one E, or a chunk from E + 1 on; a pair (token and expert) is one
 * row of one planned expert, pairs of an expert lying together, rows ascending. */
#ifndef MOED_KERNELS_CUDA_H
#define MOED_KERNELS_CUDA_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/activation.h"
#include "kernels/choice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MOED_CUDA_TILE_ROWS 16
#define MOED_CUDA_BLOCK_K   64   /* inputs that rows are padded to */
#define MOED_CUDA_SLACK     8192 /* bytes behind a matrix's tiles that may be read */

/* ---- weights ---- */
struct moed_cuda_format;

/* A matrix an expert, as tiles (tile.cuh). An interleaved one has the gate's row f at 16 (f / 8) +
 * f % 8 and the up's 8 further on, so that one thread has both. */
struct moed_cuda_matrix {
    const struct moed_cuda_format *format; /* of the host; NULL: absent */
    uint8_t *tiles;
    uint32_t rows, cols, count; /* as multiplied: 2 F rows where interleaved */
    uint32_t blocks;            /* of 16 rows */
    uint64_t block_bytes, expert_bytes;
    bool interleaved;
    float unit; /* see moed_cuda_unit() */
};

/* Rows of one expert as the file has them: of one matrix, or of gate and up. */
struct moed_cuda_source {
    const uint8_t *rows[2];
    size_t row_bytes;
};

/* [0] the largest magnitude of a weight, [1] of a scale, or of a 64th of a minimum: what is_fast
 * and unit are told from. Bits of floats that are not negative, so that they compare as integers.
 */
struct moed_cuda_range {
    uint32_t weight, scale;
};

struct moed_cuda_product;

struct moed_cuda_format {
    const char *name;
    uint32_t block, bytes;      /* of the file */
    uint32_t chunk, tile_bytes; /* inputs and bytes of a tile */
    bool fast;                  /* has products on the matrix units */
    /* Tiles of one expert, whose memory is zero, from its rows; raises *range. */
    cudaError_t (*pack)(const struct moed_cuda_matrix *to, uint32_t expert,
                        const struct moed_cuda_source *from, struct moed_cuda_range *range,
                        cudaStream_t stream);
    /* The same between memory of the host, and back again; `rows` are zero before. */
    void (*pack_host)(const struct moed_cuda_matrix *to, const struct moed_cuda_source *from,
                      uint8_t *tiles);
    void (*unpack_host)(const struct moed_cuda_matrix *from, const uint8_t *tiles,
                        uint8_t *const rows[2], size_t row_bytes);
    /* Weight `k` of a tile's row in f32, and as the matrix units see it. */
    float (*value_host)(const uint8_t *tile, uint32_t row, uint32_t k);
    cudaError_t (*multiply)(const struct moed_cuda_product *p, cudaStream_t stream);
};

const struct moed_cuda_format *moed_cuda_format_by_name(const char *name); /* NULL: none */
const struct moed_cuda_format *moed_cuda_format_at(size_t i);              /* NULL past the end */

/* Fills in blocks and bytes of a matrix whose format, rows, cols, count and interleaved are set;
 * false if they wrap. */
bool moed_cuda_matrix_shape(struct moed_cuda_matrix *m);
/* The power of two that weights are multiplied by as f16; 0 where f16 cannot hold them all. */
float moed_cuda_unit(const struct moed_cuda_format *format, const struct moed_cuda_range *range);

/* ---- a pass ---- */
struct moed_cuda_batch { /* changes with every call, so it is read from memory */
    uint32_t rows, slots;
    uint32_t has_flags; /* 0: all rows are routed, take the shared expert, and nothing else */
};

struct moed_cuda_tile { /* work of a product */
    uint32_t expert;    /* of its bank's matrices */
    uint32_t first, n;  /* pairs */
};

/* Rows as f16: half[t] · factor[t] = from[t], factors powers of two, padded with zeros. */
struct moed_cuda_cast {
    const struct moed_cuda_batch *batch;
    uint32_t grid_rows; /* as many as any batch of this pass may have */
    uint32_t cols;
    const float *from; /* [T, cols] */
    uint16_t *half;    /* [T, cols padded to MOED_CUDA_BLOCK_K] */
    float *factor;     /* [T] */
    float *size;       /* [T] root of the mean square of `from` */
    bool lane_order;   /* rows.cuh */
};
cudaError_t moed_cuda_cast_rows(const struct moed_cuda_cast *h, cudaStream_t stream);

enum moed_cuda_norm { MOED_CUDA_RMS, MOED_CUDA_LAYER_NORM };

struct moed_cuda_normed {
    const struct moed_cuda_batch *batch;
    uint32_t grid_rows, cols;
    enum moed_cuda_norm kind;
    float eps;
    const float *weight, *bias; /* [cols]; NULL: 1 and 0 */
    const uint8_t *flags;       /* rows without `flag` are copied; NULL: none is */
    uint8_t flag;
    const float *from;
    float *to; /* may be `from` */
};
cudaError_t moed_cuda_normalise(const struct moed_cuda_normed *n, cudaStream_t stream);

#define LOGIT_PARTS 8 /* in which a logit is summed */

struct moed_cuda_router {
    const struct moed_cuda_batch *batch;
    uint32_t grid_rows, hidden, experts, used;
    struct moed_router_rule rule;
    const float *weight, *bias, *select_bias; /* [E, H] [E] [E] */
    const float *shared_gate;                 /* [H] or NULL */
    bool has_shared;
    const float *x;       /* [T, H] */
    const uint8_t *flags; /* [T] of enum moed_cuda_flags */
    uint32_t most_rows;
    float *parts;         /* [LOGIT_PARTS][most_rows, E] */
    float *logits;        /* [T, E] */
    int32_t *ids;         /* [T, slots]: read for rows that bring their own */
    float *weights;       /* likewise */
    uint8_t *not_finite;  /* [T] */
    float *shared_weight; /* [T] */
    /* For the plan, [T][per_row]: what a row's slots want, which is planned experts of the routed
     * ones, of their chunks if there are any, and the shared one if there is any; -1: none. */
    uint32_t per_row, chunk_size;
    const int32_t *place; /* as in moed_cuda_plan */
    int32_t *wanted;
    int32_t *pair_of; /* cleared to -1 */
};
enum moed_cuda_flags { /* as enum moed_row_flags, which src/backend/cuda/layout.c asserts */
                       MOED_CUDA_SUPPLIED = 1,
                       MOED_CUDA_NO_SHARED = 2,
                       MOED_CUDA_ONLY_SHARED = 4,
                       MOED_CUDA_NORM = 8,
                       MOED_CUDA_RESIDUAL = 16,
                       MOED_CUDA_ROUTE_ONLY = 32,
                       MOED_CUDA_PART = 64
};
/* `cast`: the same rows as f16 too, unless NULL. */
cudaError_t moed_cuda_logits(const struct moed_cuda_router *r, const struct moed_cuda_cast *cast,
                             cudaStream_t stream);
cudaError_t moed_cuda_topk(const struct moed_cuda_router *r, cudaStream_t stream);

/* The pairs of a batch, expert by expert. */
struct moed_cuda_plan {
    const struct moed_cuda_batch *batch;
    uint32_t experts, chunk_size, chunks; /* P = experts + 1 + chunks */
    float chunk_scale;
    bool weight_on_input;
    uint32_t columns; /* pairs of a tile at most */
    uint32_t per_row;
    const int32_t *wanted; /* [T][per_row] of moed_cuda_router */
    const float *weights, *shared_weight;
    const uint8_t *retry; /* only rows with this; NULL: all */
    /* Where an expert or a chunk is in its bank, -1: not there, and then it gets no pairs; NULL:
     * all are, in order. */
    const int32_t *place, *chunk_place;
    const float *size, *latent_size; /* of rows that experts read; NULL: no latent ones */
    /* out */
    uint32_t *count;    /* [P] pairs */
    uint32_t *tile_end; /* [3] tiles up to the end of a bank: routed, shared, chunks */
    struct moed_cuda_tile *tiles;
    uint32_t *pair_row;
    float *pair_weight;  /* its share of its row's output */
    float *pair_factor;  /* what 1.0 stands for in its f16 activations */
    uint8_t *guard;      /* [pairs][4] cleared: guard.cuh */
    int32_t *pair_of;    /* [T][per_row] the pairs that slots became; -1: none */
    uint32_t *any_retry; /* cleared */
};
cudaError_t moed_cuda_plan_pairs(const struct moed_cuda_plan *p, cudaStream_t stream);

/* Logits, rows as f16, choice and plan of few rows in one launch. `arrived` is 0 before, and after.
 */
bool moed_cuda_front_suits(const struct moed_cuda_router *r, const struct moed_cuda_plan *p);
cudaError_t moed_cuda_front(const struct moed_cuda_router *r, const struct moed_cuda_cast *h,
                            const struct moed_cuda_plan *p, uint32_t *arrived, cudaStream_t stream);

/* output = Σ partials and what the block's rule adds to them. */
struct moed_cuda_sum {
    const struct moed_cuda_batch *batch;
    uint32_t grid_rows, cols;
    bool routed, others; /* which of a row's pairs are summed */
    uint32_t per_row;
    const int32_t *pair_of;
    const float *partial; /* [pairs, partial_ld] */
    uint32_t partial_ld;
    const float *base;         /* [T, cols] to begin with, or NULL */
    const uint8_t *not_finite; /* rows that are zeros */
    const uint8_t *flags;
    bool epilogue; /* what follows applies */
    float ffn_scale, residual_scale, norm_eps;
    bool residual_of_normed;
    const float *post_norm;  /* [cols] or NULL */
    const float *hidden, *x; /* [T, cols] before the norm and after */
    const uint8_t *guard;    /* NULL: nothing was rounded */
    uint8_t *retry;          /* [T] told if guard, obeyed if again */
    uint32_t *any_retry;
    bool again;
    float *output;
};
cudaError_t moed_cuda_add_up(const struct moed_cuda_sum *s, cudaStream_t stream);

/* ---- products ---- */
enum moed_cuda_way { MOED_CUDA_SMALL_M, MOED_CUDA_LARGE_M, MOED_CUDA_EXACT };
enum moed_cuda_epilogue {
    MOED_CUDA_STORE,   /* out[pair, row] = product, f32 */
    MOED_CUDA_ACTIVATE /* out[pair, f] = activation(gate, up), f16 (f32 if exact) */
};

/* out[pair] = matrix of the pair's expert · its row, and what `epilogue` makes of it. */
struct moed_cuda_product {
    struct moed_cuda_matrix matrix;
    enum moed_cuda_way way;
    enum moed_cuda_epilogue epilogue;
    const struct moed_cuda_batch *batch;
    const struct moed_cuda_tile *tiles; /* NULL: all rows of the batch, expert 0 */
    const uint32_t *tile_end;
    int bank; /* whose tiles: [tile_end[bank - 1], tile_end[bank]) */
    uint32_t columns, most_tiles, most_columns; /* of a tile at most; tiles; columns in fact */
    bool planned_before;                 /* tiles were there before the launch before this one */
    const void *in;                      /* [.., in_ld] f16, or f32 if exact */
    uint32_t in_ld;                      /* elements */
    const uint32_t *in_row;              /* [pairs] rows of `in`; NULL: the pair itself */
    const float *in_factor;              /* [rows of in] what its 1.0 stands for; NULL: 1 */
    const float *weight_in, *weight_out; /* [pairs] or NULL: on the product, on the result */
    const float *scale[2], *bias[2]; /* [count], [count, rows]; of gate and up where interleaved */
    const float *gate; /* [pairs, rows] finished gates where they are not interleaved, or NULL */
    struct moed_expert_rule rule;
    void *out;
    uint32_t out_ld;
    bool lane_order;          /* of rows that go out as f16 */
    const float *pair_factor; /* of them */
    uint8_t *guard;
};

/* ---- a pass over few rows in one launch ---- */
struct moed_cuda_layer {
    struct moed_cuda_router router;
    struct moed_cuda_cast cast;
    struct moed_cuda_plan plan;
    struct moed_cuda_product up, down; /* of the routed experts */
    struct moed_cuda_sum sum;
    uint32_t *meeting; /* of this stream alone, and of no other use; 0 at first */
};
/* Whether there is such a launch for these formats, shapes and this device; the layer has routed
 * experts alone, gate and up interleaved, and no norm after it. */
bool moed_cuda_layer_suits(const struct moed_cuda_layer *l);
cudaError_t moed_cuda_layer_pass(const struct moed_cuda_layer *l, cudaStream_t stream);

/* What a device reads at most, in bytes a second: a sum over `bytes` at `data`. */
cudaError_t moed_cuda_read(const void *data, size_t bytes, uint32_t *sum, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
