/* cuda_pass: furniture of the CUDA backend: what follows from a pass by itself. */
#ifndef MOED_BACKEND_CUDA_PASS_H
#define MOED_BACKEND_CUDA_PASS_H

#include "cuda.h"

/* Pairs of a tile at most. */
static inline uint32_t columns_of(enum moed_cuda_way way)
{
    static const uint32_t columns[] = {
        [MOED_CUDA_SMALL_M] = 8, [MOED_CUDA_LARGE_M] = 128, [MOED_CUDA_EXACT] = 16};

    return columns[way];
}

static inline uint32_t padded(uint32_t cols)
{
    return (cols + MOED_CUDA_BLOCK_K - 1) / MOED_CUDA_BLOCK_K * MOED_CUDA_BLOCK_K;
}

static inline bool is_exact(const struct cuda_pass *p)
{
    return p->way == MOED_CUDA_EXACT;
}

static inline const float *rows_of(const struct cuda_pass *p)
{
    return p->normed ? p->b->x : p->b->hidden;
}

/* What a row may want of the plan: its slots, their chunks, the shared expert. */
static inline uint32_t per_row(const struct cuda_pass *p)
{
    const uint32_t chunks = p->layer->spec->chunk_size > 0 ? p->slots : 0;

    return p->slots + chunks + (p->layer->banks[1].up.format != NULL);
}

static inline struct cuda_meta meta_of(const struct cuda_pass *p)
{
    const struct moed_layer *s = p->layer->spec;
    const uint32_t chunks = s->chunk_size ? s->experts / s->chunk_size : 0;

    return cuda_meta_of(p->grid_rows, p->slots, s->experts + 1 + chunks);
}

#endif
