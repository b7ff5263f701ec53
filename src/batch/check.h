/* check: whether a job may be queued at all: its layer, its block, its slots, the routing that it
 * supplies. */
#ifndef MOED_BATCH_CHECK_H
#define MOED_BATCH_CHECK_H

#include "src/batch/batch.h"

/* 0, MOED_E_NOT_SERVED or MOED_E_UNPROCESSABLE, with the row and slot where there is one. A batch
 * must never fail for what one of its jobs holds. */
int moed_check_job(const struct moed_model *model, const struct moed_job *job,
                   struct moed_error *err);

#endif
