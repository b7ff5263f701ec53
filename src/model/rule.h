/* rule: the vocabulary in which the architecture table says what an MoE block computes.
 * Plain values: no pointers, no code. The formulas are in src/moe/README.md; a rule is read by
 * src/moe (routing), src/backend and kernels (experts). */
#ifndef MOED_RULE_H
#define MOED_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/activation.h" /* struct moed_expert_rule */
#include "kernels/choice.h"     /* struct moed_router_rule */

/* ---- block: what stands around the sum of experts ---- */
enum moed_norm { MOED_NORM_RMS, MOED_NORM_LAYER, MOED_NORM_NONE };
enum moed_residual {
    MOED_RESIDUAL_INPUT,  /* out = h + residual_scale * ffn, h the row before the norm */
    MOED_RESIDUAL_NORMED, /* out = ffn + residual_scale * norm(h) */
    MOED_RESIDUAL_CALLER  /* not computable from one row: the caller adds it */
};

struct moed_block_rule {
    enum moed_norm norm;
    float norm_eps;
    enum moed_residual residual;
    float residual_scale;         /* 1 unless the architecture scales */
    float ffn_scale;              /* routed and shared sum, times this; 1 for nearly all */
    const char *refuses_norm;     /* why "norm_ffn" cannot be had, or NULL */
    const char *refuses_residual; /* why "norm_ffn_residual" cannot be had, or NULL */
};

#endif
