/* ring: a warp's own slots in shared memory, through which its weights stream by bulk copies. */
#ifndef MOED_CUDA_RING_CUH
#define MOED_CUDA_RING_CUH

#include "fragment.cuh"

/* Copies come after this thread's reads and writes of shared memory where they will write, once the
 * block has met. */
DEVICE void fence_for_copies()
{
#if HAVE_BULK
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

struct warp_ring {
    uint8_t *slots;
    uint32_t barriers; /* shared address, of one a slot */
    uint32_t slot_bytes, n;
    uint32_t to_fill, to_take, parity;

    /* Of all barriers that there may be; `n` may be told later. */
    DEVICE void init(uint32_t most)
    {
        to_fill = to_take = parity = 0;
        if (threadIdx.x % 32 == 0)
            for (uint32_t i = 0; i < most; i++)
                barrier_init(barriers + i * 8, 1);
        barriers_visible();
        __syncwarp();
    }

    /* All lanes have left the slot that is filled. */
    DEVICE void fill(const uint8_t *from, uint32_t bytes)
    {
        if (threadIdx.x % 32 == 0) {
            barrier_expect(barriers + to_fill * 8, bytes);
            copy_bulk(shared_address(slots + to_fill * slot_bytes), from, bytes,
                      barriers + to_fill * 8);
        }
        __syncwarp();
        to_fill = to_fill + 1 == n ? 0 : to_fill + 1;
    }

    /* The slot that was filled first and not taken yet, when it has come. */
    DEVICE const uint8_t *take()
    {
        const uint8_t *slot = slots + to_take * slot_bytes;

        barrier_wait(barriers + to_take * 8, parity);
        __syncwarp();
        to_take++;
        if (to_take == n) {
            to_take = 0;
            parity ^= 1;
        }
        return slot;
    }
};

#endif
