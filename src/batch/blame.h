/* blame: who is at fault for a row that is not finite: an expert's weights, the router's, or the
 * row itself. Found by trial: each expert of the row alone, and the same for a row of zeros. */
#ifndef MOED_BATCH_BLAME_H
#define MOED_BATCH_BLAME_H

#include "worker.h"

/* Of the first row with a fault of a part, whose batch still stands in worker->rows; computes on
 * the worker's workspace. MOED_E_WEIGHTS, naming layer, row and expert: weights are not finite, and
 * any row would fare so. MOED_E_NOT_FINITE: the row's numbers are too large, for the expert that is
 * named or for the type in which they are wanted. Allocates nothing. */
int moed_blame(struct moed_worker *worker, const struct moed_layer *layer,
               const struct moed_part *part, struct moed_error *err);

#endif
