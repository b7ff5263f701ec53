/* formats: the number formats of GGUF tensors: sizes, names, and how to decode them.
 * One row of formats.def a type; ids and layouts are ggml's. */
#ifndef MOED_KERNELS_FORMATS_H
#define MOED_KERNELS_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "random.h"

/* `n` elements, a multiple of the block, from packed `src` (no alignment) to `dst`. */
typedef void moed_decode_fn(const uint8_t *src, float *dst, size_t n);
/* Fills `n` elements at `dst` with random codes whose values have mean about 0 and the
 * standard deviation `sigma`; what `moed synth` writes. */
typedef void moed_fill_fn(struct moed_random *random, float sigma, uint8_t *dst, size_t n);

/* What a look at packed weights finds. An expert that is zero throughout is half a download. */
enum moed_scan { MOED_SCAN_NOT_FINITE = 1, MOED_SCAN_NOT_ZERO = 2 };
/* The moed_scan bits of `n` elements, a multiple of the block: by their scales, where they have
 * some, so that it costs little beside reading them. */
typedef unsigned moed_scan_fn(const uint8_t *src, size_t n);

struct moed_format {
    const char *name;       /* ggml's name, upper case: "Q4_K" */
    uint32_t id;            /* ggml_type */
    uint32_t block;         /* elements a block */
    uint32_t bytes;         /* bytes a block */
    moed_decode_fn *decode; /* NULL: its size is known, its values are not computed here */
    moed_fill_fn *fill;     /* NULL likewise */
    moed_scan_fn *scan;     /* NULL likewise */
};

/* NULL for an id or a name that is not in the table. Names compare without case. */
const struct moed_format *moed_format_by_id(uint32_t id);
const struct moed_format *moed_format_by_name(const char *name);
/* The table itself, for lists in messages and for tests. */
const struct moed_format *moed_format_at(size_t i); /* NULL past the end */

/* Bytes of a row of `cols` elements; false if cols is not a multiple of the block or wraps. */
bool moed_format_row_bytes(const struct moed_format *format, uint64_t cols, uint64_t *out);

#endif
