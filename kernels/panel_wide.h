/* panel_wide: blocks of the types whose codes are indices into grids, or digits, as nibbles with a
 * table; furniture of the panels. Looking a grid up costs more than the memory that it saves, and a
 * grid's values are at most 16: so their panels are wider than the file, and lose nothing. */
#ifndef MOED_KERNELS_PANEL_WIDE_H
#define MOED_KERNELS_PANEL_WIDE_H

#include <stdint.h>

/* Element i is d · scale[i / 32, or i / 16] · (table[codes[i]] − 128). */
struct moed_widened {
    float d;
    uint8_t scale[16];
    uint8_t codes[256];
};

struct moed_wide {
    uint32_t scales; /* of 256 elements: 8 or 16; 0: all are 1, and d is of each 32 */
    uint8_t table[16];
    void (*get)(const uint8_t *block, struct moed_widened *out);
};

/* moed_wide_x of each widened format x. */
#define MOED_WIDE(id, NAME, ...) extern const struct moed_wide moed_wide_##NAME;
#include "formats.def"

#endif
