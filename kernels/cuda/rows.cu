/* rows: a thread block a row: norms, and f32 rows to f16 ones. */
#include "rows.cuh"

#include "cuda.h"
#include "launch.cuh"
#include "reduce.cuh"

constexpr int THREADS = 256;
constexpr int LARGEST = 13; /* a row's largest magnitude is at least 2^13 in its f16 units */

/* NaN and infinity leave a row in units of 1. */
__device__ int units_of(float largest)
{
    return largest > 0.0F && largest <= 3.402823466e38F ? ilogbf(largest) - LARGEST : 0;
}

__global__ void __launch_bounds__(THREADS) halve(const struct moed_cuda_halves h)
{
    __shared__ float shared[32];
    const uint32_t t = blockIdx.x, padded = (h.cols + BLOCK_K - 1) / BLOCK_K * BLOCK_K;
    const float *from = h.from + (size_t)t * h.cols;
    __half *to = (__half *)h.half + (size_t)t * padded;
    float largest = 0.0F, squares = 0.0F;

    follow();
    if (t >= h.batch->rows)
        return;
    for (uint32_t i = threadIdx.x; i < h.cols; i += THREADS)
        largest = fmaxf(largest, fabsf(from[i]));

    const int units = units_of(block_reduce(largest, take_max(), shared));

    for (uint32_t i = threadIdx.x; i < padded; i += THREADS) {
        const float value = i < h.cols ? scalbnf(from[i], -units) : 0.0F;

        squares += value * value;
        to[position(i, h.lane_order)] = __float2half_rn(value);
    }
    squares = block_reduce(squares, take_sum(), shared);
    if (threadIdx.x == 0) {
        h.factor[t] = scalbnf(1.0F, units);
        h.size[t] = scalbnf(sqrtf(squares / (float)h.cols), units);
    }
}

cudaError_t moed_cuda_halve(const struct moed_cuda_halves *h, cudaStream_t stream)
{
    return launch(halve, {dim3(h->grid_rows), THREADS, 0}, stream, *h);
}

__global__ void __launch_bounds__(THREADS) normalise(const struct moed_cuda_normed n)
{
    __shared__ double shared[32];
    const uint32_t t = blockIdx.x;
    const float *from = n.from + (size_t)t * n.cols;
    float *to = n.to + (size_t)t * n.cols;
    double mean = 0.0, squares = 0.0;

    follow();
    if (t >= n.batch->rows)
        return;
    if (n.flags && !(n.flags[t] & n.flag)) {
        for (uint32_t i = threadIdx.x; i < n.cols; i += THREADS)
            to[i] = from[i];
        return;
    }
    if (n.kind == MOED_CUDA_LAYER_NORM) {
        for (uint32_t i = threadIdx.x; i < n.cols; i += THREADS)
            mean += from[i];
        mean = block_reduce(mean, take_sum(), shared) / n.cols;
    }
    for (uint32_t i = threadIdx.x; i < n.cols; i += THREADS)
        squares += (from[i] - mean) * (from[i] - mean);
    squares = block_reduce(squares, take_sum(), shared);

    const float scale = 1.0F / sqrtf((float)(squares / n.cols) + n.eps);

    for (uint32_t i = threadIdx.x; i < n.cols; i += THREADS)
        to[i] = (from[i] - (float)mean) * scale * (n.weight ? n.weight[i] : 1.0F) +
                (n.bias ? n.bias[i] : 0.0F);
}

cudaError_t moed_cuda_normalise(const struct moed_cuda_normed *n, cudaStream_t stream)
{
    return launch(normalise, {dim3(n->grid_rows), THREADS, 0}, stream, *n);
}
