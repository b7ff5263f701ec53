/* residual: an element of a row's output with its residual. */
#ifndef MOED_CUDA_RESIDUAL_CUH
#define MOED_CUDA_RESIDUAL_CUH

#include "cuda.h"

/* ffn_by · value + add_by · also, of element `at` of all rows. */
__device__ __forceinline__ float with_residual(const struct moed_cuda_sum &s, uint8_t flags,
                                               size_t at, float value)
{
    const float also = s.residual_of_normed ? s.x[at] : s.hidden[at];
    const float ffn_by = s.residual_of_normed ? 1.0F : s.residual_scale;
    const float add_by = flags & MOED_CUDA_PART ? 0.0F
                         : s.residual_of_normed ? s.residual_scale
                                                : 1.0F;

    return fmaf(ffn_by, value, add_by * also);
}

#endif
