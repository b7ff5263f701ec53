/* cast: an f32 row to an f16 one with a power of two, by one thread block. */
#ifndef MOED_CUDA_CAST_CUH
#define MOED_CUDA_CAST_CUH

#include "cuda.h"
#include "reduce.cuh"
#include "rows.cuh"

constexpr int CAST_THREADS = 256;
constexpr int LARGEST = 13; /* a row's largest magnitude is at least 2^13 in its f16 units */

/* NaN and infinity leave a row in units of 1. */
DEVICE int units_of(float largest)
{
    return largest > 0.0F && largest <= 3.402823466e38F ? ilogbf(largest) - LARGEST : 0;
}

DEVICE void cast_row(const struct moed_cuda_cast &h, uint32_t t)
{
    __shared__ float shared[32];
    const uint32_t padded = (h.cols + BLOCK_K - 1) / BLOCK_K * BLOCK_K;
    const float *from = h.from + (size_t)t * h.cols;
    __half *to = (__half *)h.half + (size_t)t * padded;
    float largest = 0.0F, squares = 0.0F;

    for (uint32_t i = threadIdx.x; i < h.cols; i += CAST_THREADS)
        largest = fmaxf(largest, fabsf(from[i]));

    const int units = units_of(block_reduce(largest, take_max(), shared));

    for (uint32_t i = threadIdx.x; i < padded; i += CAST_THREADS) {
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

#endif
