/* rows: a worker's buffers of one batch: gathered from its jobs, converted once each way, and
 * scattered back to them. Sized for the largest batch when the worker starts. A batch of one job in
 * float32 is computed where its rows and its answer are, without a copy. */
#ifndef MOED_BATCH_ROWS_H
#define MOED_BATCH_ROWS_H

#include "queue.h"

struct moed_rows {
    float *hidden, *output;
    const float *in; /* the batch's rows and outputs: the two above, or the only job's own */
    float *out;
    float *weights, *logits;
    int32_t *ids;
    uint8_t *flags, *not_finite;
};

int moed_rows_init(struct moed_rows *rows, const struct moed_model *model, uint32_t max_rows);
void moed_rows_fini(struct moed_rows *rows);

/* Copies a batch's jobs in; `out` is what moed_forward() wants. Where rows are the job's own,
 * somebody else may change them while they are computed (a lane's client): what decides over memory
 * is always copied. */
void moed_rows_gather(struct moed_rows *rows, const struct moed_layer *layer,
                      const struct moed_batch *batch, struct moed_batch_rows *out);
/* Copies the results to the jobs; parts with a row that is not finite are marked. */
void moed_rows_scatter(const struct moed_rows *rows, const struct moed_layer *layer,
                       struct moed_batch *batch);

#endif
