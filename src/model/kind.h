/* kind: what a GGUF file holds, where that is no model with experts. */
#ifndef MOED_MODEL_KIND_H
#define MOED_MODEL_KIND_H

#include "src/gguf/gguf.h"

/* Refuses an adapter, an importance matrix, a projector, a control vector, a vocabulary and a dense
 * model, each with what it is and what to name instead: MOED_E_UNSUPPORTED. `arch` is the file's
 * general.architecture, or NULL where it has none. */
int model_check_kind(const struct moed_gguf *gguf, const char *arch, struct moed_error *err);

#endif
