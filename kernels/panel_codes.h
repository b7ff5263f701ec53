/* panel_codes: a block's codes as one byte each, and back; furniture of the panels. */
#ifndef MOED_KERNELS_PANEL_CODES_H
#define MOED_KERNELS_PANEL_CODES_H

#include <stdint.h>

/* `block` is one block of the format; codes[] are in the order of its elements. put() writes the
 * code bits of a block whose other bytes are set elsewhere and whose code bits are zero. */
struct moed_codes {
    void (*get)(const uint8_t *block, uint8_t *codes);
    void (*put)(const uint8_t *codes, uint8_t *block);
};

/* moed_codes_x of each quantised format x. */
#define MOED_QUANT(id, NAME, ...) extern const struct moed_codes moed_codes_##NAME;
#include "formats.def"

#endif
