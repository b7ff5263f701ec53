/* held: which experts of a layer are held here, where only a part is served. The rule, the router
 * and what is computed once a row stay whole; banks of experts keep those that were chosen. */
#ifndef MOED_MODEL_HELD_H
#define MOED_MODEL_HELD_H

#include "src/model/model.h"

/* The lists that a layer's banks point at; all zeros where all experts are held. */
struct model_held {
    uint32_t *experts, *chunks;          /* [held] ascending */
    int32_t *expert_place, *chunk_place; /* [of all] */
};

/* Leaves in a bound layer only the experts that `text` selects; `lists` must outlive it.
 * MOED_E_USAGE for the text, MOED_E_UNSUPPORTED where parts of the layer would not add up. */
int model_hold(const char *text, struct moed_layer *layer, struct model_held *lists,
               struct moed_error *err);
void model_held_free(struct model_held *lists);

#endif
