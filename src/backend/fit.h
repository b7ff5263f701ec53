/* fit: whether weights and workspaces go into the memory that there is. */
#ifndef MOED_BACKEND_FIT_H
#define MOED_BACKEND_FIT_H

#include "src/backend/backend.h"

/* Before `weights` bytes are read into private memory: says what is needed and what there is, in
 * the log where somebody watches the loading. MOED_E_NO_MEMORY where it cannot fit. */
int fit_check(const struct moed_model *model, const struct moed_backend_options *options,
              uint64_t weights, struct moed_error *err);

#endif
