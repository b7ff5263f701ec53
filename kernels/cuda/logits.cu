/* logits: the router's product in f32, since experts must be chosen as they are elsewhere. A warp
 * multiplies some experts by some rows, its lanes apart along the inputs, so that what it loads it
 * uses several times from registers. */
#include "cuda.h"
#include "launch.cuh"
#include "reduce.cuh"

constexpr int WARPS = 8;

/* A block's shape: a warp has `experts` × `rows`; `along` warps share the inputs of the same ones,
 * the others have other experts (`across` of them) and other rows. */
template <int EXPERTS, int ROWS, int ALONG, int ACROSS> struct shape {
    static constexpr int experts = EXPERTS, rows = ROWS, along = ALONG;
    static constexpr int block_experts = EXPERTS * ACROSS;
    static constexpr int block_rows = ROWS * (WARPS / ALONG / ACROSS);
};

using thin = shape<2, 8, WARPS, 1>; /* few rows: many small blocks */
using wide = shape<8, 8, 1, 2>;

struct vectors {
    const float *at;
    uint32_t n, cols; /* vectors that there are; inputs of one */
};

/* One input of `N` vectors; zeros for those that are not there. */
template <int N>
__device__ __forceinline__ void load_inputs(const vectors &v, uint32_t k, float out[N])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        out[i] = i < (int)v.n && k < v.cols ? v.at[(size_t)i * v.cols + k] : 0.0F;
}

template <class S>
__device__ __forceinline__ void multiply_part(const vectors &w, const vectors &x, uint32_t first,
                                              float (&sums)[S::experts][S::rows])
{
#pragma unroll 2
    for (uint32_t k = first; k < w.cols; k += 32 * S::along) {
        float a[S::experts], b[S::rows];

        load_inputs<S::experts>(w, k, a);
        load_inputs<S::rows>(x, k, b);
#pragma unroll
        for (int e = 0; e < S::experts; e++)
#pragma unroll
            for (int t = 0; t < S::rows; t++)
                sums[e][t] = fmaf(a[e], b[t], sums[e][t]);
    }
}

template <class S>
__global__ void __launch_bounds__(WARPS * 32) logits(const struct moed_cuda_router r)
{
    __shared__ float parts[WARPS][S::experts][S::rows];
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t place = warp / S::along, across = S::block_experts / S::experts;
    const uint32_t e = blockIdx.x * S::block_experts + place % across * S::experts;
    const uint32_t t = blockIdx.y * S::block_rows + place / across * S::rows;
    const vectors w = {r.weight + (size_t)e * r.hidden, e < r.experts ? r.experts - e : 0,
                       r.hidden};
    float sums[S::experts][S::rows] = {};

    follow();

    const uint32_t rows = r.batch->rows;
    const vectors x = {r.x + (size_t)t * r.hidden, t < rows ? rows - t : 0, r.hidden};

    if (w.n > 0 && x.n > 0)
        multiply_part<S>(w, x, warp % S::along * 32 + lane, sums);
#pragma unroll
    for (int i = 0; i < S::experts; i++)
#pragma unroll
        for (int j = 0; j < S::rows; j++) {
            const float sum = warp_reduce(sums[i][j], take_sum());

            if (lane == 0)
                parts[warp][i][j] = sum;
        }
    __syncthreads();
    if (warp % S::along != 0)
        return;
    for (uint32_t i = lane; i < S::experts * S::rows; i += 32) {
        const uint32_t expert = i % S::experts, row = i / S::experts;
        float sum = r.bias && expert < w.n ? r.bias[e + expert] : 0.0F;

        for (uint32_t p = 0; p < S::along; p++)
            sum += parts[warp + p][expert][row];
        if (expert < w.n && row < x.n)
            r.logits[(size_t)(t + row) * r.experts + e + expert] = sum;
    }
}

template <class S>
static cudaError_t multiply(const struct moed_cuda_router *r, cudaStream_t stream)
{
    const dim3 grid((r->experts + S::block_experts - 1) / S::block_experts,
                    (r->grid_rows + S::block_rows - 1) / S::block_rows);

    return launch(logits<S>, {grid, WARPS * 32, 0}, stream, *r);
}

cudaError_t moed_cuda_logits(const struct moed_cuda_router *r, cudaStream_t stream)
{
    return r->grid_rows <= 32 || r->invariant ? multiply<thin>(r, stream)
                                              : multiply<wide>(r, stream);
}
