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
#include "kernels/cpu/gather.h"
#include "kernels/cpu/rows.h"
#include "kernels/formats.h"

/* ---- packed weights: consecutive panels of 16 weight rows (kernels/panel.h) ---- */
struct moed_panels {
    const uint8_t *data;
    size_t panel_bytes;
    uint32_t panels;
    uint32_t cols;       /* inputs */
    const uint8_t *next; /* what is wanted after these panels: fetched while they are walked */
    size_t next_bytes;
};

/* out[i × ld + r] = row i · weight row r, for the gathered rows and 16 × panels weight rows (those
 * that pad the last panel too). */
typedef void moed_multiply_fn(const struct moed_panels *w, const struct moed_gather *x, float *out,
                              size_t ld);

struct moed_product { /* how this instruction set multiplies panels of one format */
    const char *format;
    enum moed_rows_kind rows; /* gathered in tiles of up to `height` */
    uint32_t height;
    moed_multiply_fn *multiply;
};

/* ---- weights as in the file: for formats without panels, and for f32 activations ---- */
struct moed_weight_rows {
    const struct moed_format *format;
    const uint8_t *data; /* the first row */
    size_t row_bytes;
    uint32_t rows;
    uint32_t cols; /* inputs */
};

/* Weight rows that multiply_rows() decodes at a time. */
#define MOED_TILE_ROWS 8

struct moed_isa {
    const char *name;
    bool (*supported)(void);
    const struct moed_product *products; /* ends with format NULL */
    const struct moed_isa *base;         /* whose products serve other formats, or NULL */
    /* The same as a product, over weight rows that are decoded on the way; rows[i] is [cols] f32.
     * `scratch` holds MOED_TILE_ROWS × cols floats, aligned to 64 bytes. */
    void (*multiply_rows)(const struct moed_weight_rows *w, const float *const *rows, uint32_t n,
                          float *out, size_t ld, float *scratch);
    /* A row of `cols` f32 into moed_rows_bytes(kind, cols) bytes; whole blocks of 32 may be
     * prepared one by one. */
    void (*prepare)(enum moed_rows_kind kind, const float *x, uint32_t cols, void *row);
    /* out[i] = activation(gate[i], up[i]); gate may be NULL where the rule is ungated. */
    void (*activate)(const struct moed_expert_rule *rule, const float *gate, const float *up,
                     float *out, size_t n);
};

const struct moed_isa *moed_isa_best(void);
const struct moed_isa *moed_isa_by_name(const char *name); /* NULL: not built in */
const struct moed_isa *moed_isa_at(size_t i);              /* NULL past the end; slowest first */

/* NULL where the format has no panels on this instruction set. */
const struct moed_product *moed_isa_product(const struct moed_isa *isa,
                                            const struct moed_format *format);

#endif
