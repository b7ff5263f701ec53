/* peak_i8mm: the int8 product of 2 × 8 and 8 × 2 matrices. */
#include "peak_loops.h"

#include <arm_neon.h>

static inline int32x4_t start(int i)
{
    return vdupq_n_s32(i);
}

static inline int32x4_t step(int32x4_t sum)
{
    return vmmlaq_s32(sum, vdupq_n_s8(5), vdupq_n_s8(3));
}

PEAK_LOOP(moed_peak_smmla, int32x4_t, start, step)
