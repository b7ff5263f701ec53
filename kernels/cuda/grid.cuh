/* grid: all blocks of a cooperative launch meet. Arrivals add up to 2^31, so that the word's
 * highest bit turns when the last has come, and the rest of it is as it was: it needs no clearing
 * between launches. */
#ifndef MOED_CUDA_GRID_CUH
#define MOED_CUDA_GRID_CUH

#include <stdint.h>

/* The word as it is before this block arrives, which every thread that will wait needs. */
__device__ __forceinline__ uint32_t grid_before(const uint32_t *word)
{
    uint32_t now;

    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(word) : "memory");
    return now;
}

/* By one thread, after it has met those of its block whose writes the others are to see, and those
 * that have read grid_before(). */
__device__ __forceinline__ void grid_arrive(uint32_t *word)
{
    const uint32_t mine = blockIdx.x == 0 ? 0x80000000U - (gridDim.x - 1) : 1;

    __threadfence();
    asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(word), "r"(mine) : "memory");
}

/* By any thread: until all blocks have arrived, whose writes it then sees (past L1: __ldcg). */
__device__ __forceinline__ void grid_wait(const uint32_t *word, uint32_t before)
{
    uint32_t now;

    do
        asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(word) : "memory");
    while (((before ^ now) & 0x80000000U) == 0);
}

/* The two by whole blocks. */
__device__ __forceinline__ void grid_meet(uint32_t *word)
{
    uint32_t before = 0;

    if (threadIdx.x == 0)
        before = grid_before(word);
    __syncthreads();
    if (threadIdx.x == 0) {
        grid_arrive(word);
        grid_wait(word, before);
    }
    __syncthreads();
}

#endif
