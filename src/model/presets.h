/* presets: the shapes of models that people run, for `moed synth`. */
#ifndef MOED_MODEL_PRESETS_H
#define MOED_MODEL_PRESETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum preset_key_kind { PRESET_KEY_END, PRESET_KEY_U32, PRESET_KEY_F32, PRESET_KEY_BOOL };

struct model_preset_key {
    enum preset_key_kind kind;
    const char *key; /* without "ARCH." */
    double value;
};

enum preset_extra { /* bits: tensors beside the experts */
                    PRESET_SELECT_BIAS = 1,
                    PRESET_SHARED_GATE = 2,
                    PRESET_BIASES = 4 /* of router and experts */
};

struct model_preset {
    const char *name, *arch;
    uint32_t hidden, width, experts, used; /* H, F, E, K */
    uint32_t shared_width;                 /* 0: no shared expert */
    uint32_t depth;                        /* blocks of the real model, which its mix depends on */
    const char *type;                      /* of its published GGUFs: a format or a mix */
    unsigned extras;
    struct model_preset_key keys[6]; /* beside those that every file has */
};

const struct model_preset *model_preset_at(size_t i); /* NULL past the end */

#endif
