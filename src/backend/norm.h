/* norm: RMSNorm and LayerNorm of one row in f32, sums in double. */
#ifndef MOED_BACKEND_NORM_H
#define MOED_BACKEND_NORM_H

#include <moed/rule.h>

#include <stddef.h>

/* out = x / sqrt(mean(x²) + eps) · weight (RMS), or the same about the mean (LAYER), then + bias
 * where there is one (else NULL). NONE copies. `out` may be `x`. */
void norm_row(enum moed_norm kind, const float *x, const float *weight, const float *bias,
              float eps, float *out, size_t n);

#endif
