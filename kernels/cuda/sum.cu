/* sum: a row's output from the partial ones of its pairs, in the order of its slots, which is its
 * own affair: no other row changes it. A thread block of 512 threads a row; no block waits for
 * another, and the next launch may overlap up to EARLY_ROWS rows. */
#include "cuda.h"
#include "guard.cuh"
#include "launch.cuh"
#include "reduce.cuh"
#include "residual.cuh"

constexpr int THREADS = 512;
constexpr uint32_t LISTED = 256; /* pairs that are held at a time */

struct row {
    uint32_t t;
    uint32_t first, end;  /* of its pairs, those that are summed */
    const int32_t *pairs; /* routed, chunks, shared; -1: none */
    uint8_t flags;
};

/* Whether this row's f16 activations were in range, by all threads. */
__device__ bool all_held(const struct moed_cuda_sum &s, const row &r)
{
    int held = 1;

    for (uint32_t i = threadIdx.x; i < s.per_row; i += THREADS)
        if (r.pairs[i] >= 0)
            held = held && guard_held(s.guard + 4 * (size_t)r.pairs[i]);
    return __syncthreads_and(held);
}

/* Pairs that there are, in their order, up to LISTED of [first, end): by all threads. */
__device__ uint32_t list_pairs(const row &r, uint32_t first, uint32_t *list)
{
    __shared__ uint32_t counts[THREADS / 32];
    const uint32_t i = first + threadIdx.x, lane = threadIdx.x % 32;
    const int32_t pair = threadIdx.x < LISTED && i < r.end ? r.pairs[i] : -1;
    const unsigned there = __ballot_sync(0xffffffffU, pair >= 0);
    uint32_t at = __popc(there & ((1U << lane) - 1U)), n = 0;

    __syncthreads(); /* the list is not read any more */
    if (lane == 0)
        counts[threadIdx.x / 32] = __popc(there);
    __syncthreads();
    for (uint32_t w = 0; w < LISTED / 32; w++) {
        at += w < threadIdx.x / 32 ? counts[w] : 0;
        n += counts[w];
    }
    if (pair >= 0)
        list[at] = (uint32_t)pair;
    __syncthreads();
    return n;
}

__device__ __forceinline__ void add(float4 &to, const float4 &from)
{
    to.x += from.x;
    to.y += from.y;
    to.z += from.z;
    to.w += from.w;
}

__device__ __forceinline__ void add(float &to, const float &from)
{
    to += from;
}

/* out[i] = begin[i] + Σ partial[list[e]][i], in vectors that divide a row; begin NULL: zeros. */
template <class V>
__device__ void add_listed(const struct moed_cuda_sum &s, const uint32_t *list, uint32_t n,
                           const V *begin, V *out)
{
    const uint32_t vectors = s.cols / (sizeof(V) / sizeof(float));
    const uint32_t stride = s.partial_ld / (sizeof(V) / sizeof(float));

    for (uint32_t i = threadIdx.x; i < vectors; i += THREADS) {
        V sum = begin ? begin[i] : V{};

#pragma unroll 8
        for (uint32_t e = 0; e < n; e++)
            add(sum, ((const V *)s.partial)[(size_t)list[e] * stride + i]);
        out[i] = sum;
    }
}

__device__ void sum_pairs(const struct moed_cuda_sum &s, const row &r, float *out)
{
    __shared__ uint32_t list[LISTED];
    const bool by_four = s.cols % 4 == 0 && s.partial_ld % 4 == 0;
    const float *begin = s.base ? s.base + (size_t)r.t * s.cols : NULL;
    uint32_t first = r.first;

    do {
        const uint32_t n = list_pairs(r, first, list);

        if (by_four)
            add_listed(s, list, n, (const float4 *)begin, (float4 *)out);
        else
            add_listed(s, list, n, begin, out);
        begin = out;
        first += LISTED;
    } while (first < r.end);
}

/* Norm and residual of a whole row. */
__device__ void add_residual(const struct moed_cuda_sum &s, const row &r, float *out)
{
    __shared__ double shared[32];
    double squares = 0.0;
    float scale = 1.0F;

    if (s.post_norm) {
        for (uint32_t i = threadIdx.x; i < s.cols; i += THREADS)
            squares += (double)out[i] * out[i];
        squares = block_reduce(squares, take_sum(), shared);
        scale = 1.0F / sqrtf((float)(squares / s.cols) + s.norm_eps);
    }
    for (uint32_t i = threadIdx.x; i < s.cols; i += THREADS) {
        const float value = s.post_norm ? out[i] * scale * s.post_norm[i] : out[i];

        out[i] = with_residual(s, r.flags, (size_t)r.t * s.cols + i, value);
    }
}

__device__ void note_range(const struct moed_cuda_sum &s, const row &r)
{
    const bool held = all_held(s, r);

    if (threadIdx.x > 0)
        return;
    s.retry[r.t] = !held;
    if (!held)
        *s.any_retry = 1;
}

__global__ void __launch_bounds__(THREADS) add_up(const struct moed_cuda_sum s)
{
    const uint32_t t = blockIdx.x;
    float *out = s.output + (size_t)t * s.cols;

    wait_for_previous_of(s.grid_rows);
    if (t >= s.batch->rows || (s.again && !s.retry[t]))
        return;

    const row r = {t, s.routed ? 0 : s.batch->slots, s.others ? s.per_row : s.batch->slots,
                   s.pair_of + (size_t)t * s.per_row, s.batch->has_flags ? s.flags[t] : (uint8_t)0};

    if (s.guard && !s.again)
        note_range(s, r);
    if (s.not_finite[t]) {
        for (uint32_t i = threadIdx.x; i < s.cols; i += THREADS)
            out[i] = 0.0F;
        return;
    }
    sum_pairs(s, r, out);
    if (!s.epilogue)
        return;
    __syncthreads(); /* elements change threads */
    for (uint32_t i = threadIdx.x; s.ffn_scale != 1.0F && i < s.cols; i += THREADS)
        out[i] *= s.ffn_scale;
    if (r.flags & MOED_CUDA_RESIDUAL)
        add_residual(s, r, out);
}

cudaError_t moed_cuda_add_up(const struct moed_cuda_sum *s, cudaStream_t stream)
{
    return launch(add_up, {dim3(s->grid_rows), THREADS, 0}, stream, *s);
}
