/* plan: src/moe/plan.c, a thread block a planned expert. Each counts all experts for itself, which
 * spares a launch, so that it knows where its entries begin; and then takes them in the order of
 * their rows. What each slot wants was written down when it was chosen (choose.cu). */
#include "cuda.h"
#include "guard.cuh"
#include "launch.cuh"
#include "reduce.cuh"

#include <math.h>

constexpr uint32_t THREADS = 1024;

/* ---- one slot ---- */

/* The planned expert of slot `at` of all; -1: none. */
__device__ __forceinline__ int32_t wanted(const struct moed_cuda_plan &p, uint32_t at)
{
    const int32_t expert = p.wanted[at];

    return p.retry && expert >= 0 && !p.retry[at / p.per_row] ? -1 : expert;
}

/* The weights of all of a row's held experts that share a chunk. */
__device__ float chunk_weight(const struct moed_cuda_plan &p, uint32_t row, uint32_t chunk)
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
__device__ float factor_of(const struct moed_cuda_plan &p, bool routed, uint32_t row, float weight)
{
    float size = routed && p.latent_size ? p.latent_size[row] : p.size[row];

    if (routed && p.weight_on_input)
        size *= fabsf(weight);
    if (!(size > 0.0F) || isinf(size))
        return 1.0F;
    return exp2f(fminf(fmaxf(rintf(2.0F * log2f(size)) - 4.0F, -100.0F), 100.0F));
}

/* Slot `at` of all becomes an entry. */
__device__ void place(const struct moed_cuda_plan &p, uint32_t expert, uint32_t at, uint32_t entry)
{
    const uint32_t row = at / p.per_row, slot = at % p.per_row;
    const bool routed = expert < p.experts;
    const float weight = routed                ? p.weights[(size_t)row * p.batch->slots + slot]
                         : expert == p.experts ? p.shared_weight[row]
                                               : chunk_weight(p, row, expert - p.experts - 1);

    p.entry_row[entry] = row;
    p.entry_weight[entry] = weight;
    p.entry_of[at] = (int32_t)entry;
    if (!p.guard)
        return;
    p.entry_factor[entry] = factor_of(p, routed, row, weight);
    for (int g = 0; g < 4; g++)
        p.guard[4 * (size_t)entry + g] = 0;
}

/* ---- all slots ---- */

/* counts[P] of all planned experts, in shared memory, by all threads. */
__device__ void count_all(const struct moed_cuda_plan &p, uint32_t n, uint32_t *counts)
{
    const uint32_t planned = p.experts + 1 + p.chunks;

    for (uint32_t e = threadIdx.x; e < planned; e += THREADS)
        counts[e] = 0;
    __syncthreads();
#pragma unroll 4
    for (uint32_t at = threadIdx.x; at < n; at += THREADS) {
        const int32_t expert = wanted(p, at);

        if (expert >= 0)
            atomicAdd(&counts[expert], 1U);
    }
    __syncthreads();
}

/* Entries of `expert` from number `entry` on. A thread takes a run of slots: first it counts. */
__device__ void place_all(const struct moed_cuda_plan &p, uint32_t n, uint32_t expert,
                          uint32_t entry)
{
    __shared__ uint32_t before[THREADS / 32];
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t run = (n + THREADS - 1) / THREADS;
    const uint32_t first = threadIdx.x * run, end = first + run < n ? first + run : n;
    uint32_t mine = 0, sum;

    for (uint32_t at = first; at < end; at++)
        mine += wanted(p, at) == (int32_t)expert;
    sum = mine;
    for (uint32_t apart = 1; apart < 32; apart *= 2) {
        const uint32_t other = __shfl_up_sync(0xffffffffU, sum, apart);

        sum += lane >= apart ? other : 0;
    }
    if (lane == 31)
        before[warp] = sum;
    __syncthreads();
    entry += sum - mine;
    for (uint32_t w = 0; w < warp; w++)
        entry += before[w];
    for (uint32_t at = first; at < end && mine > 0; at++)
        if (wanted(p, at) == (int32_t)expert)
            place(p, expert, at, entry++);
}

/* ---- tiles ---- */

__device__ uint32_t tiles_for(const struct moed_cuda_plan &p, uint32_t count)
{
    return (count + p.columns - 1) / p.columns;
}

/* Where a planned expert is among its bank's matrices. */
__device__ uint32_t place_in_bank(const struct moed_cuda_plan &p, uint32_t expert)
{
    if (expert == p.experts)
        return 0;
    if (expert < p.experts)
        return p.place ? (uint32_t)p.place[expert] : expert;
    expert -= p.experts + 1;
    return p.chunk_place ? (uint32_t)p.chunk_place[expert] : expert;
}

__device__ void make_tiles(const struct moed_cuda_plan &p, uint32_t expert, uint32_t n,
                           uint32_t entry, uint32_t tile)
{
    const uint32_t end = tile + tiles_for(p, n);

    for (uint32_t i = threadIdx.x; i < tiles_for(p, n); i += THREADS) {
        const uint32_t left = n - i * p.columns;

        p.tiles[tile + i] = {place_in_bank(p, expert), entry + i * p.columns,
                             left < p.columns ? left : p.columns};
    }
    if (threadIdx.x > 0)
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

__global__ void __launch_bounds__(THREADS) plan(const struct moed_cuda_plan p)
{
    extern __shared__ uint32_t counts[];
    __shared__ uint32_t shared[32];
    const uint32_t expert = blockIdx.x;
    uint32_t entry = 0, tile = 0;

    follow();

    const uint32_t n = p.batch->rows * p.per_row;

    count_all(p, n, counts);
    for (uint32_t e = threadIdx.x; e < expert; e += THREADS) {
        entry += counts[e];
        tile += tiles_for(p, counts[e]);
    }
    entry = block_reduce(entry, take_sum(), shared);
    tile = block_reduce(tile, take_sum(), shared);
    make_tiles(p, expert, counts[expert], entry, tile);
    if (counts[expert] > 0)
        place_all(p, n, expert, entry);
}

cudaError_t moed_cuda_plan_entries(const struct moed_cuda_plan *p, cudaStream_t stream)
{
    const uint32_t planned = p->experts + 1 + p->chunks;

    return launch(plan, {dim3(planned), THREADS, planned * sizeof(uint32_t)}, stream, *p);
}
