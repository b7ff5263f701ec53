/* plan: src/moe/plan.c, a thread block a planned expert. Each counts all experts for itself, which
 * spares a launch, so that it knows where its entries begin; and then takes them in the order of
 * their rows. */
#include "cuda.h"
#include "guard.cuh"
#include "launch.cuh"

#include <math.h>

constexpr int THREADS = 256;

struct item { /* a slot of a row that may be an entry of this block's expert */
    uint32_t row, slot;
    int32_t expert; /* planned; -1: none */
    float weight;
};

__device__ bool takes(const struct moed_cuda_plan &p, uint32_t row, int what)
{
    return (p.takes[row] & what) && (!p.retry || p.retry[row]);
}

__device__ bool holds(const struct moed_cuda_plan &p, int32_t expert)
{
    return expert >= 0 && (!p.place || p.place[expert] >= 0);
}

__device__ item routed_item(const struct moed_cuda_plan &p, uint32_t at)
{
    const uint32_t row = at / p.batch->slots;
    const bool taken = holds(p, p.ids[at]) && takes(p, row, MOED_CUDA_TAKES_ROUTED);

    return {row, at % p.batch->slots, taken ? p.ids[at] : -1, p.weights[at]};
}

__device__ item shared_item(const struct moed_cuda_plan &p, uint32_t row)
{
    return {row, 2 * p.batch->slots,
            takes(p, row, MOED_CUDA_TAKES_SHARED) ? (int32_t)p.experts : -1, p.shared_weight[row]};
}

/* The chunk of a slot's expert, at the first slot that has it, with the weights of all. */
__device__ item chunk_item(const struct moed_cuda_plan &p, uint32_t at)
{
    item found = routed_item(p, at);
    const uint32_t first = at - found.slot;
    float weight = 0.0F;

    if (found.expert < 0)
        return found;

    const int32_t chunk = found.expert / (int32_t)p.chunk_size;

    for (uint32_t s = 0; s < p.batch->slots; s++) {
        const int32_t other = p.ids[first + s];

        if (!holds(p, other) || other / (int32_t)p.chunk_size != chunk)
            continue;
        if (s < found.slot)
            return {found.row, found.slot, -1, 0.0F};
        weight += p.weights[first + s];
    }
    return {found.row, p.batch->slots + found.slot, (int32_t)p.experts + 1 + chunk,
            weight * p.chunk_scale};
}

/* Items of one of the three banks. */
__device__ uint32_t item_count(const struct moed_cuda_plan &p, int bank)
{
    if (bank == 2 && p.chunk_size == 0)
        return 0;
    return bank == 1 ? p.batch->rows : p.batch->rows * p.batch->slots;
}

__device__ item item_at(const struct moed_cuda_plan &p, int bank, uint32_t at)
{
    return bank == 0 ? routed_item(p, at) : bank == 1 ? shared_item(p, at) : chunk_item(p, at);
}

/* What f16 activations are in units of: h grows with the square of what its expert reads, or where
 * it does not, the guard finds out. */
__device__ float factor_of(const struct moed_cuda_plan &p, int bank, const item &i)
{
    const bool routed = bank == 0;
    float size = routed && p.latent_size ? p.latent_size[i.row] : p.size[i.row];

    if (routed && p.weight_on_input)
        size *= fabsf(i.weight);
    if (!(size > 0.0F) || isinf(size))
        return 1.0F;
    return exp2f(fminf(fmaxf(rintf(2.0F * log2f(size)) - 4.0F, -100.0F), 100.0F));
}

__device__ void place_entry(const struct moed_cuda_plan &p, int bank, const item &i, uint32_t entry)
{
    p.entry_row[entry] = i.row;
    p.entry_weight[entry] = i.weight;
    p.entry_of[(size_t)i.row * (2 * p.batch->slots + 1) + i.slot] = (int32_t)entry;
    if (!p.guard)
        return;
    p.entry_factor[entry] = factor_of(p, bank, i);
    for (int g = 0; g < 4; g++)
        p.guard[4 * (size_t)entry + g] = 0;
}

/* Numbers this expert's items from `entry` on, in their order. */
__device__ void place_all(const struct moed_cuda_plan &p, int bank, uint32_t expert, uint32_t entry)
{
    __shared__ uint32_t found[THREADS / 32];
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t n = item_count(p, bank);

    for (uint32_t first = 0; first < n; first += THREADS) {
        item i = {0, 0, -1, 0.0F};

        if (first + threadIdx.x < n)
            i = item_at(p, bank, first + threadIdx.x);

        const bool mine = i.expert == (int32_t)expert;
        const unsigned all = __ballot_sync(0xffffffffU, mine);
        uint32_t at = entry + __popc(all & ((1U << lane) - 1U));

        if (lane == 0)
            found[warp] = __popc(all);
        __syncthreads();
        for (uint32_t w = 0; w < THREADS / 32; w++) {
            at += w < warp ? found[w] : 0;
            entry += found[w];
        }
        if (mine)
            place_entry(p, bank, i, at);
        __syncthreads();
    }
}

__device__ uint32_t tiles_for(const struct moed_cuda_plan &p, uint32_t count)
{
    return (count + p.columns - 1) / p.columns;
}

/* Where a planned expert is among its bank's matrices. */
__device__ uint32_t place_in_bank(const struct moed_cuda_plan &p, int bank, uint32_t expert)
{
    const uint32_t at = bank == 0 ? expert : bank == 1 ? 0 : expert - p.experts - 1;
    const int32_t *place = bank == 0 ? p.place : bank == 1 ? NULL : p.chunk_place;

    return place ? (uint32_t)place[at] : at;
}

struct begin {
    uint32_t entry, tile;
};

/* Where an expert's entries and tiles begin, by all threads. */
__device__ begin begin_of(const struct moed_cuda_plan &p, const uint32_t *counts, uint32_t expert)
{
    __shared__ uint32_t entries, tiles;
    begin b = {0, 0};

    if (threadIdx.x == 0)
        entries = tiles = 0;
    __syncthreads();
    for (uint32_t e = threadIdx.x; e < expert; e += THREADS) {
        b.entry += counts[e];
        b.tile += tiles_for(p, counts[e]);
    }
    atomicAdd(&entries, b.entry);
    atomicAdd(&tiles, b.tile);
    __syncthreads();
    b = {entries, tiles};
    __syncthreads();
    return b;
}

__global__ void __launch_bounds__(THREADS) plan(const struct moed_cuda_plan p)
{
    extern __shared__ uint32_t counts[];
    const uint32_t planned = p.experts + 1 + p.chunks, expert = blockIdx.x;
    const int bank = expert < p.experts ? 0 : expert == p.experts ? 1 : 2;

    follow();
    for (uint32_t e = threadIdx.x; e < planned; e += THREADS)
        counts[e] = 0;
    __syncthreads();
    for (int b = 0; b < 3; b++)
        for (uint32_t at = threadIdx.x; at < item_count(p, b); at += THREADS) {
            const item i = item_at(p, b, at);

            if (i.expert >= 0)
                atomicAdd(&counts[i.expert], 1U);
        }
    __syncthreads();

    const uint32_t n = counts[expert];
    const begin b = begin_of(p, counts, expert);

    for (uint32_t i = threadIdx.x; i < tiles_for(p, n); i += THREADS) {
        const uint32_t left = n - i * p.columns;

        p.tiles[b.tile + i] = {place_in_bank(p, bank, expert), b.entry + i * p.columns,
                               left < p.columns ? left : p.columns};
    }
    if (threadIdx.x == 0) {
        p.count[expert] = n;
        if (expert + 1 == p.experts)
            p.tile_end[0] = b.tile + tiles_for(p, n);
        if (expert == p.experts)
            p.tile_end[1] = b.tile + tiles_for(p, n);
        if (expert + 1 == planned)
            p.tile_end[2] = b.tile + tiles_for(p, n);
        if (expert == 0 && !p.retry)
            *p.any_retry = 0;
    }
    if (n > 0)
        place_all(p, bank, expert, b.entry);
}

cudaError_t moed_cuda_plan_entries(const struct moed_cuda_plan *p, cudaStream_t stream)
{
    const uint32_t planned = p->experts + 1 + p->chunks;

    return launch(plan, {dim3(planned), THREADS, planned * sizeof(uint32_t)}, stream, *p);
}
