/* walk: where a walk over panels is, and what it writes; furniture of kernels/cpu. Include it
 * behind codes.inc. */
#ifndef MOED_KERNELS_CPU_WALK_H
#define MOED_KERNELS_CPU_WALK_H

#include "cpu.h"
#include "prefetch.h"

struct walk {
    const uint8_t *panel[PANELS];
    size_t panel_bytes;
    const struct moed_gather *x;
    float *out;
    size_t ld;
    int stored; /* columns of out that are there */
    struct prefetch *prefetch;
};

/* The rows of a tile, from row `first` on, at sub-block `sub`: blocks of nx rows lie together. */
OP const struct moed_q8 *rows_at(const struct walk *walk, uint32_t first, int nx, uint32_t sub)
{
    const struct moed_q8 *x = (const struct moed_q8 *)(const void *)walk->x->data;

    return x + (size_t)first * walk->x->blocks + (size_t)sub * (size_t)nx;
}

#endif
