/* synth_block: which tensors a synthetic block of a preset has, in file order. */
#ifndef MOED_MODEL_SYNTH_BLOCK_H
#define MOED_MODEL_SYNTH_BLOCK_H

#include "architecture.h"
#include "mixes.h"
#include "presets.h"

#define SYNTH_MAX_TENSORS 20

struct synth_shape {
    const struct model_preset *preset;
    const struct model_arch *arch;
    struct model_mix mix;
    uint32_t depth; /* blocks of the real model, which the mix depends on */
};

struct synth_tensor {
    char name[64];
    const struct moed_format *format;
    uint64_t dims[3];
    uint32_t n_dims;
    float mean, sigma; /* of its values; a mean other than 0 only in F32 */
};

struct synth_block {
    const struct synth_shape *shape;
    uint32_t index; /* N of blk.N */
    uint32_t n;
    struct synth_tensor tensors[SYNTH_MAX_TENSORS];
};

void synth_block_init(struct synth_block *block, const struct synth_shape *shape, uint32_t index);

#endif
