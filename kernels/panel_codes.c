/* panel_codes: a block becomes one byte a code, and a byte a code becomes a block, by the planes of
 * the format's row. All of a row is constant where these loops are expanded, so that they become
 * straight vector code. */
#include "panel_codes.h"

#include "quant.h"

#define EXPANDED static inline __attribute__((always_inline))

/* Bytes in two's complement become offset binary, and the other way round. */
#define SIGN(p) ((p).bits == 8 ? 0x80 : 0)

/* Bits of a plane into bits `to` and up of the codes; what is below them is there, or to = 0. */
EXPANDED void get_plane(const uint8_t *restrict block, const struct moed_plane p, int n, int to,
                        uint8_t *restrict codes)
{
    const int places = p.bits > 0 ? 8 / p.bits : 1, mask = (1 << p.bits) - 1;

    for (int span = 0; p.bits > 0 && span < n; span += places * p.run)
        for (int l = 0; l < p.run; l++)
#pragma GCC unroll 8
            for (int i = 0; i < places; i++) {
                const int bits = block[p.at + span / places + l] >> (p.shifts >> (4 * i) & 15);
                uint8_t *code = &codes[span + i * p.run + l];

                *code = (uint8_t)((to > 0 ? *code : 0) | ((bits & mask) ^ SIGN(p)) << to);
            }
}

/* Into bits that are zero. */
EXPANDED void put_plane(const uint8_t *restrict codes, const struct moed_plane p, int n, int from,
                        uint8_t *restrict block)
{
    const int places = p.bits > 0 ? 8 / p.bits : 1, mask = (1 << p.bits) - 1;

    for (int span = 0; p.bits > 0 && span < n; span += places * p.run)
        for (int l = 0; l < p.run; l++) {
            int byte = 0;

#pragma GCC unroll 8
            for (int i = 0; i < places; i++)
                byte |= ((codes[span + i * p.run + l] >> from & mask) ^ SIGN(p))
                        << (p.shifts >> (4 * i) & 15);
            block[p.at + span / places + l] = (uint8_t)byte;
        }
}

EXPANDED void get_codes(const uint8_t *block, int n, const struct moed_plane low,
                        const struct moed_plane high, uint8_t *codes)
{
    get_plane(block, low, n, 0, codes);
    get_plane(block, high, n, low.bits, codes);
}

EXPANDED void put_codes(const uint8_t *codes, int n, const struct moed_plane low,
                        const struct moed_plane high, uint8_t *block)
{
    put_plane(codes, low, n, 0, block);
    put_plane(codes, high, n, low.bits, block);
}

#define MOED_QUANT(id, NAME, elements, bytes, scales, d_at, small_at, low, high, ...)       \
    static void get_##NAME(const uint8_t *block, uint8_t *codes)                            \
    {                                                                                       \
        get_codes(block, elements, (struct moed_plane)low, (struct moed_plane)high, codes); \
    }                                                                                       \
    static void put_##NAME(const uint8_t *codes, uint8_t *block)                            \
    {                                                                                       \
        put_codes(codes, elements, (struct moed_plane)low, (struct moed_plane)high, block); \
    }                                                                                       \
    const struct moed_codes moed_codes_##NAME = {get_##NAME, put_##NAME};
#include "formats.def"
