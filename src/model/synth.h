/* synth: writes models of known shapes with random weights. */
#ifndef MOED_MODEL_SYNTH_H
#define MOED_MODEL_SYNTH_H

#include "src/base/base.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct moed_synth_options {
    const char *preset; /* a name of moed_synth_preset_name() */
    const char *type; /* "q4_k_m", "q8_0", …: a format's name or a mix; NULL: the preset's own */
    uint32_t layers;  /* MoE layers to write, from 1 to as many as a model may have blocks */
    uint64_t seed;
    bool replace; /* a file that is there already */
};
const char *moed_synth_preset_name(size_t i); /* NULL past the end */
const char *moed_synth_mix_name(size_t i);    /* of a type that is a mix; NULL past the end */
/* Writes a valid GGUF of that shape: random weights of a realistic scale, directly in the packed
 * types. MOED_E_USAGE for an unknown preset or type, listing the known ones, and for too many
 * layers; MOED_E_IO for a file that is there and not to be replaced. Nothing is written then. */
int moed_synth(const char *path, const struct moed_synth_options *options, struct moed_error *err);

#endif
