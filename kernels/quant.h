/* quant: how formats.def describes a type of codes under scales, for C and for CUDA.
 *
 * A value is scale · (code − offset), or scale · code − minimum, or scale · table[code]. The bits
 * of a code lie in one or two planes, low bits first. A plane of `bits` begins at byte `at`: each
 * `run` bytes hold 8 / bits runs of so many elements, one above the other, so that element k has
 * its bits in byte at + k / (run · n) · run + k % run, n being 8 / bits, and in the (k / run %
 * n)-th place of it. Places go up from bit 0, unless PLANE_BY names the first bit of each, four
 * bits a place. Eight-bit codes are two's complement in the file; panels and tiles have them plus
 * 128. Codes of a table count as values plus `offset`, which makes them positive. */
#ifndef MOED_KERNELS_QUANT_H
#define MOED_KERNELS_QUANT_H

#include <stdint.h>

/* X(kind, elements a scale, has minimums, d: bytes, d: how many, bytes of small scales)
 * d lies at byte d_at of a block, the small scales, which d multiplies, at small_at. */
#define MOED_SCALES(X)                                                                    \
    X(D, 32, 0, 2, 1, 0)      /* an f16 */                                                \
    X(D_M, 32, 1, 2, 2, 0)    /* an f16, and an f16 that is added */                      \
    X(E8M0, 32, 0, 1, 1, 0)   /* a power of two */                                        \
    X(UE4M3, 16, 0, 1, 4, 0)  /* small floats without a sign */                           \
    X(SM4, 16, 1, 2, 2, 16)   /* f16 d, dmin; nibbles: scale low, minimum high */         \
    X(SM6, 32, 1, 2, 2, 12)   /* f16 d, dmin; six bits each, packed as in Q4_K */         \
    X(S6_16, 16, 0, 2, 1, 12) /* f16 d; six bits less 32, packed as in Q3_K */            \
    X(S6_32, 32, 0, 2, 2, 4)  /* f16 d, a word of high bits; nibbles: six bits less 32 */ \
    X(S8, 16, 0, 2, 1, 16)    /* f16 d; signed bytes */

enum moed_scales {
#define X(kind, group, minimum, size, count, small) MOED_SCALES_##kind,
    MOED_SCALES(X)
#undef X
};

/* The same columns as constants by kind: MOED_GROUP_D and so on. */
enum {
#define X(kind, group, minimum, size, count, small)                                            \
    MOED_GROUP_##kind = (group), MOED_MINIMUM_##kind = (minimum), MOED_D_SIZE_##kind = (size), \
    MOED_D_COUNT_##kind = (count), MOED_SMALL_##kind = (small),                                \
    MOED_BESIDE_##kind = (size) * (count) + (small),
    MOED_SCALES(X)
#undef X
};

/* OWN: of widened panels, which bring theirs. */
enum moed_table { MOED_TABLE_NONE, MOED_TABLE_NONLINEAR, MOED_TABLE_FP4, MOED_TABLE_OWN };

/* IQ4's values, denser near zero, as weights are. */
#define MOED_NONLINEAR(X)                                                                        \
    X(-127), X(-104), X(-83), X(-65), X(-49), X(-35), X(-22), X(-10), X(1), X(13), X(25), X(38), \
        X(53), X(69), X(89), X(113)
/* E2M1 (OCP Microscaling 1.0, 5.3.3), doubled so that they are integers. */
#define MOED_FP4(X)                                                                           \
    X(0), X(1), X(2), X(3), X(4), X(6), X(8), X(12), X(0), X(-1), X(-2), X(-3), X(-4), X(-6), \
        X(-8), X(-12)

struct moed_plane {
    int bits, at, run; /* bits: 8, 4, 2, 1; 0: there is no such plane */
    unsigned shifts;   /* the first bit of place i: four bits from bit 4 i on */
};

/* Places that go up from bit 0. */
#define MOED_SHIFTS(bits) \
    ((bits) == 4 ? 0x40U : (bits) == 2 ? 0x6420U : (bits) == 1 ? 0x76543210U : 0U)

#endif
