/* check: whether a job may be queued at all: its layer, its slots, the routing it supplies. */
#ifndef MOED_BATCH_CHECK_H
#define MOED_BATCH_CHECK_H

#include <moed/batch.h>

/* 0 with the layer's place in model->layers, or MOED_E_NOT_SERVED or MOED_E_UNPROCESSABLE with
 * the row and slot. A batch must never fail for what one of its jobs holds. */
int moed_check_job(const struct moed_model *model, const struct moed_job *job, uint32_t *place,
                   struct moed_error *err);

#endif
