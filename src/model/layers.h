/* layers: selections of blocks like "0-23,40". */
#ifndef MOED_MODEL_LAYERS_H
#define MOED_MODEL_LAYERS_H

#include <moed/base.h>

/* Sets chosen[N] for each block N that `text` names, of `block_count`; the others are left.
 * MOED_E_USAGE says what is wrong with the text. */
int model_select_layers(const char *text, uint32_t block_count, bool *chosen,
                        struct moed_error *err);

#endif
