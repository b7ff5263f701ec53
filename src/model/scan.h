/* scan: weights that cannot be right: NaN or infinite ones, and experts that are zero throughout,
 * as the end of a download that only reserved its space is. */
#ifndef MOED_MODEL_SCAN_H
#define MOED_MODEL_SCAN_H

#include "src/model/model.h"

/* What is wrong with an expert of a weight whose bytes came to the moed_scan bits `seen`, as a
 * sentence about it, or NULL. Only matrices of experts may not be zero. */
const char *moed_scan_fault(const struct moed_weight *weight, unsigned seen);

/* A weight, or one expert of it, with a fault: "tensor blk.3.ffn_up_exps.weight, expert 17". `at`
 * is the expert's place among those held. */
void moed_scan_name(const struct moed_weight *weight, uint64_t at, char *out, size_t size);

/* Told of each weight, or expert of one, that has a fault. */
typedef void moed_scan_found(void *context, const struct moed_weight *weight, uint64_t at,
                             const char *fault);
/* Reads all that is held of a layer. MOED_E_IO, MOED_E_NO_MEMORY. */
int moed_scan_layer(const struct moed_model *model, const struct moed_layer *layer,
                    moed_scan_found *found, void *context, struct moed_error *err);

#endif
