/* load: how many rows, and how much router weight, each expert of each layer got. Every worker
 * adds to a tally of its own, so that counting costs no lock; readers sum the tallies. */
#ifndef MOED_BATCH_LOAD_H
#define MOED_BATCH_LOAD_H

#include <moed/batch.h>

/* Counts of one worker; it alone writes. Indexed by layer and by first[layer] + expert. */
struct moed_tally {
    _Atomic uint64_t *layer_rows;
    _Atomic uint64_t *rows;
    _Atomic double *mass;
};

struct moed_load {
    const struct moed_model *model;
    uint32_t n_tallies;
    struct moed_tally *tallies;
    struct moed_tally base; /* the sums at the last reset: counts themselves never go back */
    uint64_t *first;        /* [n_layers + 1] */
};

int moed_load_init(struct moed_load *load, const struct moed_model *model, uint32_t workers);
void moed_load_fini(struct moed_load *load);

/* Adds a computed batch of the layer at `place` to worker `worker`'s tally. */
void moed_load_add(struct moed_load *load, uint32_t worker, uint32_t place,
                   const struct moed_batch_rows *batch);
void moed_load_read(const struct moed_load *load, uint32_t place, struct moed_expert_load *out,
                    uint64_t *rows, double *mass);
/* Rows of one expert since the start, whatever was reset. */
uint64_t moed_load_total(const struct moed_load *load, uint32_t place, uint32_t expert);
/* One caller at a time. */
void moed_load_reset(struct moed_load *load);

#endif
