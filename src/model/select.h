/* select: which blocks, or which experts of a block, are to be served: texts like "0-23,40". */
#ifndef MOED_MODEL_SELECT_H
#define MOED_MODEL_SELECT_H

#include "src/base/base.h"

/* What is chosen among, for messages too. */
struct model_choice {
    const char *option; /* "layers" */
    const char *one;    /* "block" */
    const char *of;     /* "the model" */
    uint32_t count;
};

/* Sets chosen[N] for each number N that `text` names; the others are left. MOED_E_USAGE says what
 * is wrong with the text. */
int model_select(const char *text, const struct model_choice *among, bool *chosen,
                 struct moed_error *err);

#endif
