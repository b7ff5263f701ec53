/* tally: how many rows, and how much router weight, each expert of each layer got. Every worker
 * adds to counts of its own, so that counting costs no lock; readers sum them. */
#ifndef MOED_BATCH_TALLY_H
#define MOED_BATCH_TALLY_H

#include "src/batch/batch.h"

/* Counts of one worker; it alone writes. Indexed by layer and by first[layer] + expert. */
struct moed_counts {
    _Atomic uint64_t *layer_rows;
    _Atomic uint64_t *rows;
    _Atomic double *mass;
};

struct moed_tally {
    const struct moed_model *model;
    uint32_t n_counts;
    struct moed_counts *counts;
    struct moed_counts base; /* the sums at the last reset: counts themselves never go back */
    uint64_t *first;         /* [n_layers + 1] */
};

int moed_tally_init(struct moed_tally *tally, const struct moed_model *model, uint32_t workers);
void moed_tally_fini(struct moed_tally *tally);

/* Adds a computed batch of the layer at `place` to worker `worker`'s counts. */
void moed_tally_add(struct moed_tally *tally, uint32_t worker, uint32_t place,
                    const struct moed_batch_rows *batch);
void moed_tally_read(const struct moed_tally *tally, uint32_t place, struct moed_expert_load *out,
                     uint64_t *rows, double *mass);
/* Rows of one expert since the start, whatever was reset. */
uint64_t moed_tally_total(const struct moed_tally *tally, uint32_t place, uint32_t expert);
/* One caller at a time. */
void moed_tally_reset(struct moed_tally *tally);

#endif
