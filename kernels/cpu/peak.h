/* peak: what the arithmetic units of this CPU can do at most, to set a kernel's rate against: for
 * each instruction that products are made of, a loop of nothing else, in enough independent sums
 * that latency does not count. */
#ifndef MOED_KERNELS_CPU_PEAK_H
#define MOED_KERNELS_CPU_PEAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu/cpu.h"

struct moed_peak {
    const char *name; /* "vpdpbusd zmm" */
    const char *isa;  /* the instruction set that brings it */
    uint32_t ops;     /* multiplications and additions of a round, a few hundred */
    /* `rounds` rounds on the calling thread. The result means nothing, but must be used. */
    uint32_t (*run)(uint64_t rounds);
};

const struct moed_peak *moed_peak_at(size_t i); /* NULL past the end */
bool moed_peak_supported(const struct moed_peak *peak);

/* The unit that this instruction set's products with rows of this kind keep busy. */
const struct moed_peak *moed_peak_of(const struct moed_isa *isa, enum moed_rows_kind kind);

#endif
