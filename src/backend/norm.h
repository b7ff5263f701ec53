/* norm: RMSNorm and LayerNorm of one f32 row. What is summed, and its root, is double: in f32 the
 * mean of squares of a row from 1.8e19 on is infinite, and its norm zeros (as it is in transformers
 * and llama.cpp), while that of any finite row is defined. */
#ifndef MOED_BACKEND_NORM_H
#define MOED_BACKEND_NORM_H

#include "src/model/rule.h"

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
