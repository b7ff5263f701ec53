/* peak_neon: NEON's units: fused multiply and add, and the int8 dot product. */
#include "peak_loops.h"

#include <arm_neon.h>

static inline float32x4_t start_fma(int i)
{
    return vdupq_n_f32((float)i);
}

static inline float32x4_t step_fma(float32x4_t sum)
{
    return vfmaq_f32(vdupq_n_f32(0.5F), sum, vdupq_n_f32(0.5F));
}

PEAK_LOOP(moed_peak_fmla, float32x4_t, start_fma, step_fma)

static inline int32x4_t start_dot(int i)
{
    return vdupq_n_s32(i);
}

static inline int32x4_t step_dot(int32x4_t sum)
{
    return vdotq_s32(sum, vdupq_n_s8(5), vdupq_n_s8(3));
}

PEAK_LOOP(moed_peak_sdot, int32x4_t, start_dot, step_dot)
