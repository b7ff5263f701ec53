/* reference: what the decoders share. Furniture of kernels/: the way in is formats.h.
 *
 * A decoder is a packed struct, the layout of one block, and a function that writes the values
 * of one block; MOED_DECODER makes a moed_decode_fn of the two. They are the oracle for every
 * other kernel: plain f32 arithmetic, multiplied in the order written, nothing fused. */
#ifndef MOED_KERNELS_REFERENCE_H
#define MOED_KERNELS_REFERENCE_H

#include "dtype.h"
#include "formats.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "blocks are read as they lie in memory");

/* MOED_BLOCK_x elements and MOED_BYTES_x bytes, and the functions, of each format x. */
enum {
#define MOED_FORMAT(id, NAME, block, bytes, ...) \
    MOED_BLOCK_##NAME = (block), MOED_BYTES_##NAME = (bytes),
#include "formats.def"
};

#define MOED_FORMAT(id, NAME, block, bytes, ...) \
    moed_decode_fn moed_decode_##NAME;           \
    moed_fill_fn moed_fill_##NAME;               \
    moed_scan_fn moed_scan_##NAME;
#include "formats.def"

/* Needs struct block_NAME and decode_NAME(const struct block_NAME *b, float *y). */
#define MOED_DECODER(NAME)                                                   \
    _Static_assert(sizeof(struct block_##NAME) == MOED_BYTES_##NAME, #NAME); \
    void moed_decode_##NAME(const uint8_t *src, float *dst, size_t n)        \
    {                                                                        \
        const struct block_##NAME *b = (const void *)src;                    \
                                                                             \
        for (size_t i = 0; i < n / MOED_BLOCK_##NAME; i++) {                 \
            decode_##NAME(&b[i], &dst[i * MOED_BLOCK_##NAME]);               \
        }                                                                    \
    }

/* Blocks lie at any address in a file: no padding, no alignment. */
#define MOED_PACKED __attribute__((packed))

/* Half the value of an E8M0 scale (OCP Microscaling 1.0, 5.4.1), 2^(e-128): the FP4 table below
 * is doubled. Its NaN, 255, is 2^127 as in ggml. */
float moed_e8m0_half(uint8_t e);
/* Half the value of an unsigned E4M3 scale: bias 7, no infinities; 0x7F counts as 0. */
float moed_ue4m3_half(uint8_t e);

#endif
