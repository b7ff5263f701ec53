/* order: the one order in which every product sums, so that a row's bits depend on that row alone,
 * whatever kernel its batch was given to. The K inputs are cut at multiples of 256 into parts. A
 * part is one chain of steps of 16 inputs on the matrix units, ascending, whose accumulators begin
 * as zeros; the total begins as zero, to which the parts are added in f32, ascending. Weights are
 * f16 as fragment.cuh makes them. Nothing else splits a sum. */
#ifndef MOED_CUDA_ORDER_CUH
#define MOED_CUDA_ORDER_CUH

#include "fragment.cuh"

constexpr int PART_K = 256;
constexpr int PART_BLOCKS = PART_K / BLOCK_K; /* of 64 inputs */

/* Of a part or a total: a lane's accumulators of 16 rows × 8 pairs. */
DEVICE void begin_sums(float sums[4])
{
#pragma unroll
    for (int i = 0; i < 4; i++)
        sums[i] = 0.0F;
}

DEVICE void add_part(const float part[4], float total[4])
{
#pragma unroll
    for (int i = 0; i < 4; i++)
        total[i] += part[i];
}

#endif
