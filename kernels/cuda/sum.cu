/* sum: a row's output from the partial ones of its entries, in the order of its slots, which is its
 * own affair: no other row changes it. A thread block a row. */
#include "cuda.h"
#include "guard.cuh"
#include "launch.cuh"
#include "reduce.cuh"

constexpr int THREADS = 256;

struct row {
    uint32_t t, slots;
    const int32_t *entries; /* [2 slots + 1]: routed, chunks, shared */
    uint8_t flags;
};

/* Whether this row's f16 activations were in range, by all threads. */
__device__ bool all_held(const struct moed_cuda_sum &s, const row &r)
{
    int held = 1;

    for (uint32_t i = threadIdx.x; i < 2 * r.slots + 1; i += THREADS)
        if (r.entries[i] >= 0)
            held = held && guard_held(s.guard + 4 * (size_t)r.entries[i]);
    return __syncthreads_and(held);
}

__device__ float sum_of(const struct moed_cuda_sum &s, const row &r, uint32_t i)
{
    const uint32_t first = s.routed ? 0 : r.slots;
    const uint32_t end = s.others ? 2 * r.slots + 1 : r.slots;
    float sum = s.base ? s.base[(size_t)r.t * s.cols + i] : 0.0F;

#pragma unroll 8
    for (uint32_t e = first; e < end; e++)
        if (r.entries[e] >= 0)
            sum += s.partial[(size_t)r.entries[e] * s.partial_ld + i];
    return sum;
}

/* out = ffn_by · norm(out) + add_by · add, each thread on its own elements. */
__device__ void add_residual(const struct moed_cuda_sum &s, const row &r, float *out)
{
    __shared__ double shared[32];
    const float *add = (s.residual_of_normed ? s.x : s.hidden) + (size_t)r.t * s.cols;
    const float ffn_by = s.residual_of_normed ? 1.0F : s.residual_scale;
    const float add_by = r.flags & MOED_CUDA_PART ? 0.0F
                         : s.residual_of_normed   ? s.residual_scale
                                                  : 1.0F;
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

        out[i] = ffn_by * value + add_by * add[i];
    }
}

__global__ void __launch_bounds__(THREADS) add_up(const struct moed_cuda_sum s)
{
    const uint32_t t = blockIdx.x;

    follow();

    const uint32_t slots = s.batch->slots;
    const row r = {t, slots, s.entry_of + (size_t)t * (2 * slots + 1),
                   s.batch->has_flags ? s.flags[t] : (uint8_t)0};
    float *out = s.output + (size_t)t * s.cols;
    const float scale = s.finish ? s.ffn_scale : 1.0F;

    if (t >= s.batch->rows || (s.again && !s.retry[t]))
        return;
    if (s.guard && !s.again) {
        const bool held = all_held(s, r);

        if (threadIdx.x == 0) {
            s.retry[t] = !held;
            if (!held)
                *s.any_retry = 1;
        }
    }
    if (s.not_finite[t]) {
        for (uint32_t i = threadIdx.x; i < s.cols; i += THREADS)
            out[i] = 0.0F;
        return;
    }
    for (uint32_t i = threadIdx.x; i < s.cols; i += THREADS)
        out[i] = scale * sum_of(s, r, i);
    if (s.finish && (r.flags & MOED_CUDA_RESIDUAL))
        add_residual(s, r, out);
}

cudaError_t moed_cuda_add_up(const struct moed_cuda_sum *s, cudaStream_t stream)
{
    return launch(add_up, {dim3(s->grid_rows), THREADS, 0}, stream, *s);
}
