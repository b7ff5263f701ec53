/* norm: RMSNorm and LayerNorm of one row. */
#include "norm.h"

#include <math.h>
#include <string.h>

void norm_row(const struct norm *norm, const float *x, float *out, size_t n)
{
    double mean = 0.0;
    double squares = 0.0;
    double scale;

    if (norm->kind == MOED_NORM_NONE) {
        memmove(out, x, n * sizeof *x);
        return;
    }
    for (size_t i = 0; norm->kind == MOED_NORM_LAYER && i < n; i++)
        mean += x[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    scale = 1.0 / sqrt(squares / (double)n + norm->eps);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((x[i] - mean) * scale) * norm->weight[i] +
                 (norm->bias != NULL ? norm->bias[i] : 0.0F);
}
