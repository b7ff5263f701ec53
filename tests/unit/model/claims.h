/* claims: what each row of the architecture table promises, one line an architecture, and the least
 * model that a row can bind. */
#ifndef MOED_TEST_CLAIMS_H
#define MOED_TEST_CLAIMS_H

#include "recipe.h"

struct claim {
    const char *arch;
    enum moed_score score;
    char gating; /* expert_gating_func: K heeded, R required, - ignored */
    char renorm; /* Y always, N never, K by expert_weights_norm, k likewise but by default */
    char scale;  /* K by expert_weights_scale, - never */
    char bias;   /* exp_probs_b: R required, o optional, - refused */
    char shared; /* s sum, g gated, d dense tensors, u sum with up fused, - refused */
    char width;  /* F from: E expert_feed_forward_length, F feed_forward_length */
    enum moed_activation act;
    const char *norm;
};

const struct claim *claim_at(size_t i); /* NULL past the end */
bool claim_is_gated(const struct claim *c);
/* The least that the row needs: one block, keys and tensors that have no default. */
void claim_make(const struct claim *c, struct recipe *r);
/* Adds shared experts as the row has them, of width 16. */
void claim_add_shared(const struct claim *c, struct recipe *r);
/* Adds all keys and tensors that the row may heed, and some that it steps over. */
void claim_add_options(const struct claim *c, struct recipe *r);

#define CLAIM_BIAS "blk.0.exp_probs_b.bias"

#endif
