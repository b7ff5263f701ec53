/* rows: activation rows as the kernels take them, in blocks of 32 inputs.
 *
 * Q8: each 16 inputs are rounded to int8 under one scale, max |x| / 127. An outlier, an
 * input far larger than the rest of its 16, as some channels of a residual stream are, would take
 * the digits of the other 15: it is taken out of q, kept in f32, and multiplied by itself.
 * kernels/README.md has the errors. The sums are for
 * what is the same in all lanes: codes stored with an offset, and minimums. A cache line a block.
 * BF16: rounded to nearest, in pairs. F32: as they are. Rows start at multiples of 64 bytes; the
 * inputs of a last block that is not full are zeros. */
#ifndef MOED_KERNELS_CPU_ROWS_H
#define MOED_KERNELS_CPU_ROWS_H

#include <stddef.h>
#include <stdint.h>

enum moed_rows_kind { MOED_ROWS_F32, MOED_ROWS_BF16, MOED_ROWS_Q8, MOED_ROWS_KINDS };

/* An input this many times larger than every other of its 16 is an outlier. */
#define MOED_OUTLIER_RATIO 4.0F
/* Inputs below this are zero: 127 / x would overflow. */
#define MOED_VANISHES 1e-36F

struct moed_q8 {
    int8_t q[32];          /* 0 for an outlier */
    float scale[2];        /* d of each 16: input i is about d · q[i] */
    float sum;             /* Σ d · q of all 32 */
    int16_t minus[2][2];   /* −Σ q of each 16: at places 0 and 1 of each 4, and at 2 and 3 */
    float outlier[2];      /* that of each 16; 0: none */
    uint8_t outlier_at[2]; /* its index in q */
    uint8_t any_outlier;   /* 1 if either is there */
    uint8_t unused;
};

/* Σ d · q of a block, from its scales and `minus`. */
static inline float moed_q8_sum(const struct moed_q8 *x)
{
    return -(x->scale[0] * (float)(x->minus[0][0] + x->minus[0][1]) +
             x->scale[1] * (float)(x->minus[1][0] + x->minus[1][1]));
}

static inline size_t moed_rows_block_bytes(enum moed_rows_kind kind)
{
    return kind == MOED_ROWS_F32 ? 128 : 64;
}

/* Bytes of a row of `cols` inputs. */
static inline size_t moed_rows_bytes(enum moed_rows_kind kind, uint32_t cols)
{
    const size_t blocks = ((size_t)cols + 31) / 32;

    return blocks * moed_rows_block_bytes(kind);
}

#endif
