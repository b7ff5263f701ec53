/* experts: binds a bank of experts: gate, up and down with their biases and scales. */
#ifndef MOED_MODEL_EXPERTS_H
#define MOED_MODEL_EXPERTS_H

#include "tensor.h"

struct model_bank {
    const char *suffix; /* "_exps", "_shexp" or "" after ffn_gate, ffn_up, ffn_down */
    uint64_t width;     /* what the experts read and write: I = O */
    uint64_t count;     /* E, or 1 */
    bool up_is_fused;   /* the up tensor holds gate and up, gate first */
};

bool model_bank_present(const struct model_block *block, const char *suffix);

/* Binds into `out`, whose rule says whether the experts are gated. Every shape is checked against
 * the others; F is the row length of the down tensor. */
int model_bind_bank(const struct model_block *block, const struct model_bank *bank,
                    struct moed_experts *out);

bool model_is_gated(enum moed_activation activation);

#endif
