/* rows: in which order f16 rows lie. In lane order the 16 inputs of each 64 that one lane of an
 * mma fragment takes (tile.cuh) lie together, so that a lane loads them at once from device memory.
 * The large products go through shared memory, and want the natural order. */
#ifndef MOED_CUDA_ROWS_CUH
#define MOED_CUDA_ROWS_CUH

#include "fragment.cuh"

/* Where input k stands: lane t's step s brings inputs 16 s + {2t, 2t + 1, 2t + 8, 2t + 9}. */
HD uint32_t lane_position(uint32_t k)
{
    return (k & ~63U) | (k >> 1 & 3U) << 4 | (k >> 4 & 3U) << 2 | (k >> 3 & 1U) << 1 | (k & 1U);
}

HD uint32_t position(uint32_t k, bool lane_order)
{
    return lane_order ? lane_position(k) : k;
}

#endif
