/* plan: src/moe/plan.c, a thread block a planned expert. Each counts all experts for itself, which
 * spares a launch, so that it knows where its pairs begin; and then takes them in the order of
 * their rows. What each slot wants was written down when it was chosen (topk.cu).
 *
 * Block: 1024 threads; shared memory: a count an expert. No block waits for another; the next
 * launch may overlap up to EARLY_ROWS rows. */
#include "launch.cuh"
#include "plan.cuh"
#include "reduce.cuh"

constexpr uint32_t THREADS = 1024;

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

/* Pairs of `expert` from number `pair` on. A thread takes a run of slots: first it counts. */
__device__ void place_all(const struct moed_cuda_plan &p, uint32_t n, uint32_t expert,
                          uint32_t pair)
{
    __shared__ uint32_t before[THREADS / 32];
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t run = (n + THREADS - 1) / THREADS;
    const uint32_t first = threadIdx.x * run, end = first + run < n ? first + run : n;
    uint32_t mine = 0, sum;

    for (uint32_t at = first; at < end; at++)
        mine += wanted(p, at) == (int32_t)expert;
    sum = mine;
    for (uint32_t distance = 1; distance < 32; distance *= 2) {
        const uint32_t other = __shfl_up_sync(0xffffffffU, sum, distance);

        sum += lane >= distance ? other : 0;
    }
    if (lane == 31)
        before[warp] = sum;
    __syncthreads();
    pair += sum - mine;
    for (uint32_t w = 0; w < warp; w++)
        pair += before[w];
    for (uint32_t at = first; at < end && mine > 0; at++)
        if (wanted(p, at) == (int32_t)expert)
            place(p, expert, at, pair++);
}

__global__ void __launch_bounds__(THREADS) plan(const struct moed_cuda_plan p)
{
    extern __shared__ uint32_t counts[];
    __shared__ uint32_t shared[32];
    const uint32_t expert = blockIdx.x;
    uint32_t pair = 0, tile = 0;

    wait_for_previous_of(p.batch->rows);

    const uint32_t n = p.batch->rows * p.per_row;

    count_all(p, n, counts);
    for (uint32_t e = threadIdx.x; e < expert; e += THREADS) {
        pair += counts[e];
        tile += tiles_for(p, counts[e]);
    }
    pair = block_reduce(pair, take_sum(), shared);
    tile = block_reduce(tile, take_sum(), shared);
    make_tiles(p, expert, counts[expert], pair, tile, threadIdx.x, THREADS);
    if (counts[expert] > 0)
        place_all(p, n, expert, pair);
}

cudaError_t moed_cuda_plan_pairs(const struct moed_cuda_plan *p, cudaStream_t stream)
{
    const uint32_t planned = p->experts + 1 + p->chunks;

    return launch(plan, {dim3(planned), THREADS, planned * sizeof(uint32_t)}, stream, *p);
}
