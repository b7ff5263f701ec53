/* norm: RMSNorm and LayerNorm of one row in f32, sums in double. */
#ifndef MOED_BACKEND_NORM_H
#define MOED_BACKEND_NORM_H

#include <moed/rule.h>

#include <stddef.h>

struct norm {
    enum moed_norm kind;
    const float *weight, *bias; /* [n]; no bias: NULL */
    float eps;
};

/* out = x / sqrt(mean(x²) + eps) · weight (RMS), or the same about the mean (LAYER), + bias.
 * NONE copies. `out` may be `x`. */
void norm_row(const struct norm *norm, const float *x, float *out, size_t n);

#endif
