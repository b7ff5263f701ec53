/* guard: f16 activations are kept in units that are guessed from the size of their row, since their
 * own is known too late. The guard notes what became of the guess: where a value did not fit, or
 * where all of them are so small that f16 has lost digits, the row is computed again in f32. */
#ifndef MOED_CUDA_GUARD_CUH
#define MOED_CUDA_GUARD_CUH

#include <stdint.h>

constexpr float GUARD_MOST = 65000.0F;
constexpr float GUARD_LEAST =
    0.0009765625F; /* 2^-10: f16 rounds it and what is beside it to 2^-25 */

enum guard_seen { GUARD_OVER, GUARD_FINE, GUARD_TINY };

/* Several threads may write; all write 1. */
__device__ __forceinline__ void guard_note(uint8_t *seen, float value)
{
    const float size = fabsf(value);

    if (!(size <= GUARD_MOST))
        seen[GUARD_OVER] = 1;
    else if (size >= GUARD_LEAST)
        seen[GUARD_FINE] = 1;
    else if (size > 0.0F)
        seen[GUARD_TINY] = 1;
}

__device__ __forceinline__ bool guard_held(const uint8_t *seen)
{
    return !seen[GUARD_OVER] && (seen[GUARD_FINE] || !seen[GUARD_TINY]);
}

#endif
