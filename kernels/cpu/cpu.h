/* cpu: the arithmetic of the CPU backend, one table of functions an instruction set. Each table is
 * compiled from the same source with its own flags; moed_isa_best() chooses at run time.
 *
 * The order in which a value is summed depends on its own row and column alone, never on how many
 * rows share a call or where a tile begins: so batches may be cut and merged at will. */
#ifndef MOED_KERNELS_CPU_H
#define MOED_KERNELS_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/activation.h"
#include "kernels/formats.h"

/* A block of consecutive weight rows, packed as in the file. */
struct moed_weight_block {
    const struct moed_format *format;
    const uint8_t *data; /* the first row */
    size_t row_bytes;
    uint32_t rows;
    uint32_t cols; /* inputs */
};

/* Rows of activations, f32: row i is at base + stride × (index ? index[i] : i). */
struct moed_row_view {
    const float *base;
    size_t stride; /* floats */
    const uint32_t *index;
    uint32_t rows;
};

struct moed_isa {
    const char *name;
    bool (*supported)(void);
    /* out[i × ld + r] = row i · weight row r, for all rows and weight rows. `scratch` holds
     * MOED_TILE_ROWS × cols floats, aligned to 64 bytes. */
    void (*multiply)(const struct moed_weight_block *w, const struct moed_row_view *x, float *out,
                     size_t ld, float *scratch);
    /* out[i] = activation(gate[i], up[i]); gate may be NULL where the rule is ungated. */
    void (*activate)(const struct moed_expert_rule *rule, const float *gate, const float *up,
                     float *out, size_t n);
};

/* Weight rows that multiply() decodes at a time. */
#define MOED_TILE_ROWS 8

const struct moed_isa *moed_isa_best(void);
const struct moed_isa *moed_isa_by_name(const char *name); /* NULL: not built in */
const struct moed_isa *moed_isa_at(size_t i);              /* NULL past the end; slowest first */

#endif
