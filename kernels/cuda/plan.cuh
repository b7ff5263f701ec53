/* plan: src/moe/plan.c, slot by slot: what a slot wants was written down when it was chosen
 * (topk.cuh), and becomes a pair of a tile. */
#ifndef MOED_CUDA_PLAN_CUH
#define MOED_CUDA_PLAN_CUH

#include "cuda.h"

#include <math.h>

/* ---- one slot ---- */

/* The planned expert of slot `at` of all; -1: none. */
__device__ __forceinline__ int32_t wanted(const struct moed_cuda_plan &p, uint32_t at)
{
    const int32_t expert = p.wanted[at];

    return p.retry && expert >= 0 && !p.retry[at / p.per_row] ? -1 : expert;
}

/* The weights of all of a row's held experts that share a chunk. */
__device__ inline float chunk_weight(const struct moed_cuda_plan &p, uint32_t row, uint32_t chunk)
{
    const uint32_t slots = p.batch->slots;
    float weight = 0.0F;

    for (uint32_t s = 0; s < slots; s++) {
        const int32_t expert = p.wanted[(size_t)row * p.per_row + s];

        if (expert >= 0 && (uint32_t)expert / p.chunk_size == chunk)
            weight += p.weights[(size_t)row * slots + s];
    }
    return weight * p.chunk_scale;
}

/* What f16 activations are in units of: h grows with the square of what its expert reads, or where
 * it does not, the guard finds out. */
__device__ inline float activation_factor(float size)
{
    if (!(size > 0.0F) || isinf(size))
        return 1.0F;
    return exp2f(fminf(fmaxf(rintf(2.0F * log2f(size)) - 4.0F, -100.0F), 100.0F));
}

__device__ inline float factor_of(const struct moed_cuda_plan &p, bool routed, uint32_t row,
                                  float weight)
{
    float size = __ldcg(routed && p.latent_size ? &p.latent_size[row] : &p.size[row]);

    if (routed && p.weight_on_input)
        size *= fabsf(weight);
    return activation_factor(size);
}

/* Slot `at` of all becomes a pair. */
__device__ inline void place(const struct moed_cuda_plan &p, uint32_t expert, uint32_t at,
                             uint32_t pair)
{
    const uint32_t row = at / p.per_row, slot = at % p.per_row;
    const bool routed = expert < p.experts;
    const float weight = routed                ? p.weights[(size_t)row * p.batch->slots + slot]
                         : expert == p.experts ? p.shared_weight[row]
                                               : chunk_weight(p, row, expert - p.experts - 1);

    p.pair_row[pair] = row;
    p.pair_weight[pair] = weight;
    p.pair_of[at] = (int32_t)pair;
    if (!p.guard)
        return;
    p.pair_factor[pair] = factor_of(p, routed, row, weight);
    for (int g = 0; g < 4; g++)
        p.guard[4 * (size_t)pair + g] = 0;
}

/* ---- tiles ---- */

__device__ inline uint32_t tiles_for(const struct moed_cuda_plan &p, uint32_t count)
{
    return (count + p.columns - 1) / p.columns;
}

/* Where a planned expert is among its bank's matrices. */
__device__ inline uint32_t place_in_bank(const struct moed_cuda_plan &p, uint32_t expert)
{
    if (expert == p.experts)
        return 0;
    if (expert < p.experts)
        return p.place ? (uint32_t)p.place[expert] : expert;
    expert -= p.experts + 1;
    return p.chunk_place ? (uint32_t)p.chunk_place[expert] : expert;
}

/* Tiles of a planned expert's `n` pairs, by `threads` threads of which this is number `i`. */
__device__ inline void make_tiles(const struct moed_cuda_plan &p, uint32_t expert, uint32_t n,
                                  uint32_t pair, uint32_t tile, uint32_t i, uint32_t threads)
{
    const uint32_t end = tile + tiles_for(p, n);
    const bool first = i == 0;

    for (; i < tiles_for(p, n); i += threads) {
        const uint32_t left = n - i * p.columns;

        p.tiles[tile + i] = {place_in_bank(p, expert), pair + i * p.columns,
                             left < p.columns ? left : p.columns};
    }
    if (!first)
        return;
    p.count[expert] = n;
    if (expert + 1 == p.experts)
        p.tile_end[0] = end;
    if (expert == p.experts)
        p.tile_end[1] = end;
    if (expert == p.experts + p.chunks)
        p.tile_end[2] = end;
    if (expert == 0 && !p.retry)
        *p.any_retry = 0;
}

#endif
