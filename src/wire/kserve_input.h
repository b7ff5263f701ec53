/* kserve_input: one tensor of "inputs" while it is read. */
#ifndef MOED_WIRE_KSERVE_INPUT_H
#define MOED_WIRE_KSERVE_INPUT_H

#include "kserve_parts.h"

/* Its members may come in any order. */
struct kserve_input {
    struct kserve_parts *parts;
    char path[24]; /* "inputs[0]." */
    unsigned name, datatype;
    uint32_t shape[2], binary_size;
    bool named, typed, shaped;
    bool binary;            /* has a binary_size */
    bool read;              /* its data are read */
    struct json_scan later; /* at its data, where they came before what it takes to read them */
};

/* Checks name, type and shape, and lets the request know of them. */
int kserve_input_begin(const struct kserve_input *in, struct moed_error *err);
/* Then its values: numbers at the cursor, or the next bytes behind the JSON. */
int kserve_input_read(struct json_scan *s, const struct kserve_input *in);
int kserve_input_take(const struct kserve_input *in, struct moed_error *err);

#endif
