/* choice: how a router chooses experts, as data: from logits to K ids and their weights. The
 * formulas are in src/moe/README.md. */
#ifndef MOED_KERNELS_CHOICE_H
#define MOED_KERNELS_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

/* What a router may have at most: models beyond are refused, and scratch is sized by these. */
#define MOED_MAX_EXPERTS 4096
#define MOED_MAX_GROUPS  256

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

#endif
