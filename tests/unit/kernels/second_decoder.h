/* A second form of formats.def and of every decoder, by element index, written from the format
 * tables alone. */
#ifndef SECOND_DECODER_H
#define SECOND_DECODER_H

#include <stdint.h>

struct second_format {
    const char *name;
    uint32_t id, block, bytes;
    float (*value)(const uint8_t *block, int i); /* element i; NULL: of a type without decoder */
};

extern const struct second_format second_formats[]; /* ends with name NULL */

#endif
