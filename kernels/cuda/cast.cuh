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

/* Four inputs from 4 v on; zeros where there are none. */
DEVICE float4 cast_load(const float *from, uint32_t v, uint32_t cols)
{
    float4 x;

    if (cols % 4 == 0)
        return v * 4 < cols ? ((const float4 *)from)[v] : make_float4(0.0F, 0.0F, 0.0F, 0.0F);
    x.x = v * 4 < cols ? from[v * 4] : 0.0F;
    x.y = v * 4 + 1 < cols ? from[v * 4 + 1] : 0.0F;
    x.z = v * 4 + 2 < cols ? from[v * 4 + 2] : 0.0F;
    x.w = v * 4 + 3 < cols ? from[v * 4 + 3] : 0.0F;
    return x;
}

DEVICE float cast_largest(float largest, const float4 &x)
{
    return fmaxf(fmaxf(largest, fmaxf(fabsf(x.x), fabsf(x.y))), fmaxf(fabsf(x.z), fabsf(x.w)));
}

/* 2^-units, in two factors that f32 holds. */
struct cast_by {
    float first, second;

    DEVICE explicit cast_by(int units)
    {
        const int half = -units / 2;

        first = __int_as_float((127 + half) << 23);
        second = __int_as_float((127 - units - half) << 23);
    }
};

/* Puts four inputs in their units; returns `squares` with theirs. */
DEVICE float cast_put(const float4 &x, uint32_t v, const cast_by &by, bool lane_order, __half *to,
                      float squares)
{
    const float values[4] = {x.x, x.y, x.z, x.w};

#pragma unroll
    for (uint32_t j = 0; j < 4; j += 2) { /* two stand together in either order */
        const float2 two = {values[j] * by.first * by.second, values[j + 1] * by.first * by.second};

        squares = fmaf(two.x, two.x, squares);
        squares = fmaf(two.y, two.y, squares);
        *(__half2 *)(to + position(v * 4 + j, lane_order)) = __float22half2_rn(two);
    }
    return squares;
}

/* Of 256 threads, each takes every 256th four inputs. */
DEVICE void cast_row(const struct moed_cuda_cast &h, uint32_t t)
{
    __shared__ float shared[32];
    const uint32_t padded = (h.cols + BLOCK_K - 1) / BLOCK_K * BLOCK_K;
    const float *from = h.from + (size_t)t * h.cols;
    __half *to = (__half *)h.half + (size_t)t * padded;
    float largest = 0.0F, squares = 0.0F;

    for (uint32_t v = threadIdx.x; v * 4 < h.cols; v += CAST_THREADS)
        largest = cast_largest(largest, cast_load(from, v, h.cols));

    const int units = units_of(block_reduce(largest, take_max(), shared));
    const cast_by by(units);

    for (uint32_t v = threadIdx.x; v * 4 < padded; v += CAST_THREADS)
        squares = cast_put(cast_load(from, v, h.cols), v, by, h.lane_order, to, squares);
    squares = block_reduce(squares, take_sum(), shared);
    if (threadIdx.x == 0) {
        h.factor[t] = scalbnf(1.0F, units);
        h.size[t] = sqrtf(squares / (float)h.cols) * h.factor[t];
    }
}

#endif
