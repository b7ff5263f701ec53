/* gather: the activation rows of one product call, brought together. They lie scattered over a
 * batch, and a product walks them once a panel: side by side in the cache, in the order in which
 * the walk takes them, they are one stream.
 *
 * Rows are cut into tiles of nearly equal height, since a low tile is a slow one. A tile of h rows
 * is [block of 32 inputs][h rows], each a block as in rows.h; the tile that begins with row i
 * begins at i · row bytes. With tiles of one row, rows lie as they were. The outliers
 * of Q8 rows are listed for all rows, so that an input which is one in many of them is met once. */
#ifndef MOED_KERNELS_CPU_GATHER_H
#define MOED_KERNELS_CPU_GATHER_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu/rows.h"

struct moed_outlier {
    float value;
    uint32_t input, row;
};

/* What gathered rows are: `height` is the most rows of a tile. */
struct moed_gather_shape {
    enum moed_rows_kind kind;
    uint32_t cols, height;
};

struct moed_gather {
    uint32_t n, blocks; /* rows, blocks of 32 inputs a row */
    const uint8_t *data;
    const struct moed_outlier *outliers; /* by block; the inputs of a row ascend */
    uint32_t n_outliers;
};

/* How many rows the next tile has when `left` rows are. */
static inline uint32_t moed_tile_rows(uint32_t left, uint32_t height)
{
    const uint32_t tiles = (left + height - 1) / height;

    return (left + tiles - 1) / tiles;
}

/* Bytes from a row's first block to where each of its blocks lies in a tile. */
struct moed_gather_place {
    size_t first, step;
};

/* Where row i of n gathered rows lies. */
struct moed_gather_place moed_gather_place(const struct moed_gather_shape *shape, uint32_t n,
                                           uint32_t i);

/* Copies row i of n to its place. */
void moed_gather_row(const struct moed_gather_shape *shape, uint32_t n, uint32_t i, const void *row,
                     void *data);

/* How many outliers n rows have at most. */
size_t moed_gather_outliers_max(uint32_t n, uint32_t cols);

/* A view of n gathered rows; their outliers are listed in `outliers`. */
void moed_gather_view(const struct moed_gather_shape *shape, uint32_t n, const void *data,
                      struct moed_outlier *outliers, struct moed_gather *out);

#endif
