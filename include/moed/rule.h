/* rule: the vocabulary in which the architecture table says what an MoE block computes.
 * Plain values: no pointers, no code. The formulas are in src/moe/README.md; a rule is read by
 * src/moe (routing), src/backend and kernels (experts). */
#ifndef MOED_RULE_H
#define MOED_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/activation.h" /* struct moed_expert_rule */

/* What a router may have at most: models beyond are refused, and scratch is sized by these. */
#define MOED_MAX_EXPERTS 4096
#define MOED_MAX_GROUPS  256

/* ---- router: logits -> K expert ids and weights ---- */
enum moed_score {                     /* logits -> score */
                  MOED_SCORE_SOFTMAX, /* over all E */
                  MOED_SCORE_SIGMOID,
                  MOED_SCORE_IDENTITY,      /* the logits themselves */
                  MOED_SCORE_SQRT_SOFTPLUS, /* sqrt(log(1 + exp(x))), softplus(x) = x above 20 */
                  MOED_SCORE_COUNT
};
enum moed_select { /* what the K best are chosen by, before select_bias is added */
                   MOED_SELECT_SCORE,
                   MOED_SELECT_LOGITS,
                   MOED_SELECT_SIGMOID
};
enum moed_group_score { MOED_GROUP_TOP2_SUM, MOED_GROUP_MAX };
enum moed_weight_from {                            /* the weight of a chosen expert */
                        MOED_WEIGHT_SCORE,         /* its score, without the selection bias */
                        MOED_WEIGHT_SOFTMAX_CHOSEN /* softmax over the K chosen scores */
};

struct moed_router_rule {
    enum moed_score score;
    enum moed_select select;
    enum moed_weight_from weight_from;
    enum moed_group_score group_score;
    uint32_t groups;      /* 0 or 1: no groups */
    uint32_t groups_used; /* of them, the best by group_score */
    bool renorm;          /* weights /= max(their sum, renorm_floor) */
    float renorm_floor;
    float scale;          /* weights *= scale; 1: none */
    bool weight_on_input; /* x is multiplied by the weight before the expert, not its output */
    const char *refuses_routing; /* why routing must be supplied with the rows, or NULL */
};

/* ---- block: what stands around the sum of experts ---- */
enum moed_norm { MOED_NORM_RMS, MOED_NORM_LAYER, MOED_NORM_NONE };
enum moed_residual {
    MOED_RESIDUAL_INPUT,  /* out = h + residual_scale * ffn, h the row before the norm */
    MOED_RESIDUAL_NORMED, /* out = ffn + residual_scale * norm(h) */
    MOED_RESIDUAL_CALLER  /* not computable from one row: the caller's affair */
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
