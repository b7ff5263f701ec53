/* mixes: which format each tensor of a block gets: a format's name for all experts alike, or one
 * of llama.cpp's mixes. */
#ifndef MOED_MODEL_MIXES_H
#define MOED_MODEL_MIXES_H

#include "src/gguf/gguf.h"

struct model_mix {
    const char *name;
    const char *base;   /* gate and up of the experts, and down where it is not better */
    const char *better; /* down, in some blocks */
    const char *shared; /* all of a shared expert; NULL: as the others */
    bool (*better_in)(uint32_t block, uint32_t depth); /* NULL: nowhere */
};

struct model_place {
    bool down, shared;
    uint32_t block, depth; /* N, and how many blocks the real model has */
};

/* Fills in the mix called `name`, or the uniform one of a format that can be written (q2_k is the
 * mix). MOED_E_USAGE lists what is known. */
int model_mix_find(const char *name, struct model_mix *out, struct moed_error *err);

/* The format for rows of `cols`. One whose block does not divide `cols` is replaced as
 * llama.cpp's quantiser does. */
const struct moed_format *model_mix_format(const struct model_mix *mix,
                                           const struct model_place *place, uint64_t cols);

#endif
