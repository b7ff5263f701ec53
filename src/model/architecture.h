/* architecture: how a row of the table looks. A row says what the MoE block of one
 * general.architecture computes, which keys of the file override that, and which optional tensors
 * it may have. Rows are constants in architectures.c; README.md explains the columns. */
#ifndef MOED_MODEL_ARCHITECTURE_H
#define MOED_MODEL_ARCHITECTURE_H

#include "src/gguf/gguf.h"
#include "src/model/rule.h"

/* What a key of the file may override. */
enum model_field {
    MODEL_FIELD_END, /* ends the list of a row */
    MODEL_FIELD_SCORE,
    MODEL_FIELD_RENORM,
    MODEL_FIELD_SCALE,
    MODEL_FIELD_CLAMP,
    MODEL_FIELD_SHARED_CLAMP,
    MODEL_FIELD_BETA,
    MODEL_FIELD_LAMBDA,
    MODEL_FIELD_RESIDUAL_SCALE,
    MODEL_FIELD_CHUNK_SCALE
};

struct model_override {
    enum model_field field;
    const char *key; /* without "ARCH." */
    bool required;   /* the file must have it: there is no default */
};

#define MODEL_KEYS_MAX 8

enum model_presence { MODEL_NEVER, MODEL_OPTIONAL, MODEL_REQUIRED };

enum model_shared {
    MODEL_SHARED_NONE,
    MODEL_SHARED_SUM,  /* added as it is */
    MODEL_SHARED_GATED /* × sigmoid(ffn_gate_inp_shexp · x) */
};

/* A numeric key within [low, high]; tells variants of one architecture apart. */
struct model_condition {
    const char *key;
    double low, high;
};

/* Zeros are defaults throughout: softmax, no renormalising, SiLU, RMS norm, a scale of 0 means 1.
 */
struct model_arch {
    const char *name;
    struct model_condition when[2]; /* all must hold; the first row that fits is taken */

    struct moed_router_rule router;
    struct moed_expert_rule experts; /* of the routed and of the shared expert alike */
    struct moed_block_rule block;
    struct model_override keys[MODEL_KEYS_MAX];

    const char *width_key;           /* holds F; NULL: expert_feed_forward_length */
    const char *shared_suffix;       /* of ffn_gate…, ffn_up…, ffn_down…; NULL: "_shexp" */
    enum model_shared shared;        /* what a shared expert is, where its tensors are present */
    enum model_presence select_bias; /* exp_probs_b */
    float shared_ffn_scale;          /* block.ffn_scale with a shared expert; 0: 1 */
    bool shared_up_fused;            /* ffn_up_shexp holds gate and up, gate first */
    bool softmax_groups_by_max;      /* groups go by their maximum if score is softmax, unbiased */
    bool chunks;                     /* may have a second bank, ffn_gate_chexps … */
    const char *norm;                /* tensor; NULL: "ffn_norm" */
    const char *post_norm[2];        /* tensors, the first that is present; NULL: none */
    /* router.refuses_routing holds for blocks with this tensor; NULL: for all */
    const char *refuses_routing_with;
};

/* The row called `name` that fits a file of architecture `arch`, or NULL. */
const struct model_arch *model_arch_find(const struct moed_gguf *gguf, const char *arch,
                                         const char *name);
const struct model_arch *model_arch_at(size_t i); /* NULL past the end */

/* Fails with MOED_E_UNSUPPORTED: what the table knows and what the file says of its router. */
int model_arch_unknown(const struct moed_gguf *gguf, const char *name, struct moed_error *err);

#endif
