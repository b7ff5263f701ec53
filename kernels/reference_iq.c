/* reference: the code-book types. An index picks a vector of 8 (IQ1, IQ2) or 4 (IQ3) values from a
 * grid, sign bits and a small scale do the rest. Everywhere below, s counts groups of 32 elements
 * and l the four octets in a group. */
#include "grids.h"
#include "reference.h"

static const float iq2_levels[4] = {8, 25, 43};
static const float iq3_xxs_levels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
static const float iq3_s_levels[8] = {1, 3, 5, 7, 9, 11, 13, 15};

/* Seven stored sign bits; the eighth makes their number even. */
static unsigned with_parity(unsigned signs)
{
    return signs | ((unsigned)__builtin_parity(signs) << 7);
}

static float *write_octet(uint16_t entry, unsigned signs, float scale, float *y)
{
    for (int j = 0; j < 8; j++) {
        const float value = scale * iq2_levels[(entry >> (2 * j)) & 3];

        *y++ = (signs >> j) & 1 ? -value : value;
    }
    return y;
}

static float *write_quad(uint16_t entry, const float levels[8], unsigned signs, float scale,
                         float *y)
{
    for (int j = 0; j < 4; j++) {
        const float value = scale * levels[(entry >> (3 * j)) & 7];

        *y++ = (signs >> j) & 1 ? -value : value;
    }
    return y;
}

/*  byte   0       2                                            66
 *         d f16 │ (index u8 × 4, ssss 4 × 7 sign bits u32) × 8
 *  value  d · (ssss + ½) · ¼ · ±grid */
struct block_IQ2_XXS {
    uint16_t d;
    struct {
        uint8_t index[4];
        uint32_t signs;
    } MOED_PACKED group[8];
} MOED_PACKED;

static void decode_IQ2_XXS(const struct block_IQ2_XXS *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int s = 0; s < 8; s++) {
        const uint32_t word = b->group[s].signs;
        const float scale = d * (0.5F + (float)(word >> 28)) * 0.25F;

        for (int l = 0; l < 4; l++) {
            const unsigned signs = with_parity((word >> (7 * l)) & 127);

            y = write_octet(moed_grid_iq2_xxs[b->group[s].index[l]], signs, scale, y);
        }
    }
}
MOED_DECODER(IQ2_XXS)

/* Scale of 16 elements in IQ2_XS and IQ2_S: octets 0 and 1 have the low nibble, 2 and 3 the high.
 */
static float iq2_scale(float d, uint8_t nibbles, int l)
{
    return d * (0.5F + (float)((nibbles >> (4 * (l / 2))) & 15)) * 0.25F;
}

/*  byte   0       2                                66                74
 *         d f16 │ 7 sign bits, 9 index bits × 32 │ hhhhllll × 8
 *  value  d · (nibble + ½) · ¼ · ±grid */
struct block_IQ2_XS {
    uint16_t d;
    uint16_t codes[32];
    uint8_t scales[8];
} MOED_PACKED;

static void decode_IQ2_XS(const struct block_IQ2_XS *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int octet = 0; octet < 32; octet++) {
        const unsigned code = b->codes[octet];
        const float scale = iq2_scale(d, b->scales[octet / 4], octet % 4);

        y = write_octet(moed_grid_iq2_xs[code & 511], with_parity(code >> 9), scale, y);
    }
}
MOED_DECODER(IQ2_XS)

/*  byte   0       2                34             66             74              82
 *         d f16 │ index u8 × 32  │ signs × 32   │ 33221100 × 8 │ hhhhllll × 8
 *  bits 2l of high[s]: bits 8, 9 of the index of octet l
 *  value  d · (nibble + ½) · ¼ · ±grid */
struct block_IQ2_S {
    uint16_t d;
    uint8_t index[32];
    uint8_t signs[32];
    uint8_t high[8];
    uint8_t scales[8];
} MOED_PACKED;

static void decode_IQ2_S(const struct block_IQ2_S *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int octet = 0; octet < 32; octet++) {
        const int s = octet / 4;
        const int l = octet % 4;
        const int index = b->index[octet] | (((b->high[s] >> (2 * l)) & 3) << 8);

        y = write_octet(moed_grid_iq2_s[index], b->signs[octet], iq2_scale(d, b->scales[s], l), y);
    }
}
MOED_DECODER(IQ2_S)

/*  byte   0       2                66                              98
 *         d f16 │ index u8 × 64  │ (ssss 4 × 7 sign bits u32) × 8
 *  value  d · (ssss + ½) · ½ · ±grid, two indices an octet */
struct block_IQ3_XXS {
    uint16_t d;
    uint8_t index[32][2];
    uint32_t signs[8];
} MOED_PACKED;

static void decode_IQ3_XXS(const struct block_IQ3_XXS *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int octet = 0; octet < 32; octet++) {
        const uint32_t word = b->signs[octet / 4];
        const float scale = d * (0.5F + (float)(word >> 28)) * 0.5F;
        const unsigned signs = with_parity((word >> (7 * (octet % 4))) & 127);
        const uint8_t *index = b->index[octet];

        y = write_quad(moed_grid_iq3_xxs[index[0]], iq3_xxs_levels, signs, scale, y);
        y = write_quad(moed_grid_iq3_xxs[index[1]], iq3_xxs_levels, signs >> 4, scale, y);
    }
}
MOED_DECODER(IQ3_XXS)

/*  byte   0       2                66         74             106             110
 *         d f16 │ index u8 × 64  │ high × 8 │ signs × 32   │ hhhhllll × 4
 *  bit q of high[s]: bit 8 of the index of quad q; nibble s of scales
 *  value  d · (1 + 2 · nibble) · ±grid */
struct block_IQ3_S {
    uint16_t d;
    uint8_t index[64];
    uint8_t high[8];
    uint8_t signs[32];
    uint8_t scales[4];
} MOED_PACKED;

static void decode_IQ3_S(const struct block_IQ3_S *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int quad = 0; quad < 64; quad++) {
        const int s = quad / 8;
        const int index = b->index[quad] | (((b->high[s] >> (quad % 8)) & 1) << 8);
        const int nibble = (b->scales[s / 2] >> (4 * (s % 2))) & 15;
        const unsigned signs = (unsigned)b->signs[quad / 2] >> (4 * (quad % 2));

        y = write_quad(moed_grid_iq3_s[index], iq3_s_levels, signs, d * (float)(1 + 2 * nibble), y);
    }
}
MOED_DECODER(IQ3_S)

static float *write_ternary(uint16_t entry, float delta, float scale, float *y)
{
    static const float levels[4] = {-1, 0, 1};

    for (int j = 0; j < 8; j++) {
        *y++ = scale * (levels[(entry >> (2 * j)) & 3] + delta);
    }
    return y;
}

/*  byte   0       2                34                          50
 *         d f16 │ index u8 × 32  │ Dsss 4 × 3 bits u16 × 8
 *  bits 3l of a word: bits 8 to 10 of the index of octet l; D: the sign of delta, ±⅛
 *  value  d · (2 · sss + 1) · (grid + delta) */
struct block_IQ1_S {
    uint16_t d;
    uint8_t index[32];
    uint16_t high[8];
} MOED_PACKED;

static void decode_IQ1_S(const struct block_IQ1_S *b, float *y)
{
    const float d = moed_f16_to_f32(b->d);

    for (int octet = 0; octet < 32; octet++) {
        const int word = b->high[octet / 4];
        const int index = b->index[octet] | (((word >> (3 * (octet % 4))) & 7) << 8);
        const float scale = d * (float)(2 * ((word >> 12) & 7) + 1);

        y = write_ternary(moed_grid_iq1_s[index], word >> 15 ? -0.125F : 0.125F, scale, y);
    }
}
MOED_DECODER(IQ1_S)

/*  byte   0               32                   48                              56
 *         index u8 × 32 │ DiiiDiii × 16      │ (dddd 4 × 3 bits u16) × 4
 *  nibble of octet l (low if l is even): bits 8 to 10 of its index, and the sign of delta, ±⅛
 *  the four dddd, word 0 lowest, are the f16 d; three bits sss for each 16 elements
 *  value  d · (2 · sss + 1) · (grid + delta) */
struct block_IQ1_M {
    uint8_t index[32];
    uint8_t high[16];
    uint16_t scales[4];
} MOED_PACKED;

static void decode_IQ1_M(const struct block_IQ1_M *b, float *y)
{
    unsigned bits = 0;
    float d;

    for (int word = 0; word < 4; word++) {
        bits |= (unsigned)(b->scales[word] >> 12) << (4 * word);
    }
    d = moed_f16_to_f32((uint16_t)bits);

    for (int octet = 0; octet < 32; octet++) {
        const int nibble = b->high[octet / 2] >> (4 * (octet % 2));
        const int index = b->index[octet] | ((nibble & 7) << 8);
        const int group = octet / 2;
        const int code = (b->scales[group / 4] >> (3 * (group % 4))) & 7;

        y = write_ternary(moed_grid_iq1_s[index], nibble & 8 ? -0.125F : 0.125F,
                          d * (float)(2 * code + 1), y);
    }
}
MOED_DECODER(IQ1_M)
