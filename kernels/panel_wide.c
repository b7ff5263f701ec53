/* panel_wide: the code-book and ternary types as nibbles. The layouts are drawn in reference_iq.c
 * and reference_ternary.c; here only the bytes are named that they keep. */
#include "panel_wide.h"

#include <string.h>

#include "dtype.h"
#include "grids.h"

/* Table entries: a value + 128. */
#define SIGNED_4(a, b, c)                                                          \
    {                                                                              \
        128 + (a), 128 + (b), 128 + (c), 128, 128 - (a), 128 - (b), 128 - (c), 128 \
    }
#define SIGNED_8(a, b, c, d, e, f, g, h)                                                           \
    {                                                                                              \
        128 + (a), 128 + (b), 128 + (c), 128 + (d), 128 + (e), 128 + (f), 128 + (g), 128 + (h),    \
            128 - (a), 128 - (b), 128 - (c), 128 - (d), 128 - (e), 128 - (f), 128 - (g), 128 - (h) \
    }

static uint16_t u16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32_at(const uint8_t *p)
{
    return u16_at(p) | (uint32_t)u16_at(p + 2) << 16;
}

static float f16_at(const uint8_t *p)
{
    return moed_f16_to_f32(u16_at(p));
}

static unsigned with_parity(unsigned signs)
{
    return signs | ((unsigned)__builtin_parity(signs) << 7);
}

/* Eight values of two bits each, and eight sign bits above them. */
static void put_octet(unsigned entry, unsigned signs, uint8_t *codes)
{
    for (int j = 0; j < 8; j++)
        codes[j] = (uint8_t)(((entry >> (2 * j)) & 3) | ((signs >> j) & 1) << 2);
}

/* Four values of three bits each, and four sign bits above them. */
static void put_quad(unsigned entry, unsigned signs, uint8_t *codes)
{
    for (int j = 0; j < 4; j++)
        codes[j] = (uint8_t)(((entry >> (3 * j)) & 7) | ((signs >> j) & 1) << 3);
}

static void put_nibble_scales(const uint8_t *nibbles, struct moed_widened *out)
{
    for (int s = 0; s < 8; s++) {
        out->scale[2 * s] = (uint8_t)(2 * (nibbles[s] & 15) + 1);
        out->scale[2 * s + 1] = (uint8_t)(2 * (nibbles[s] >> 4) + 1);
    }
}

static void get_IQ2_XXS(const uint8_t *block, struct moed_widened *out)
{
    out->d = f16_at(block) * 0.125F;
    for (int s = 0; s < 8; s++) {
        const uint8_t *index = block + 2 + 8 * s;
        const uint32_t word = u32_at(index + 4);

        out->scale[s] = (uint8_t)(2 * (word >> 28) + 1);
        for (int l = 0; l < 4; l++)
            put_octet(moed_grid_iq2_xxs[index[l]], with_parity((word >> (7 * l)) & 127),
                      out->codes + 32 * s + 8 * l);
    }
}
static void get_IQ2_XS(const uint8_t *block, struct moed_widened *out)
{
    out->d = f16_at(block) * 0.125F;
    put_nibble_scales(block + 66, out);
    for (int octet = 0; octet < 32; octet++) {
        const unsigned code = u16_at(block + 2 + 2 * octet);

        put_octet(moed_grid_iq2_xs[code & 511], with_parity(code >> 9), out->codes + 8 * octet);
    }
}
static void get_IQ2_S(const uint8_t *block, struct moed_widened *out)
{
    out->d = f16_at(block) * 0.125F;
    put_nibble_scales(block + 74, out);
    for (int octet = 0; octet < 32; octet++) {
        const int high = block[66 + octet / 4] >> (2 * (octet % 4)) & 3;

        put_octet(moed_grid_iq2_s[block[2 + octet] | high << 8], block[34 + octet],
                  out->codes + 8 * octet);
    }
}
static void get_IQ3_XXS(const uint8_t *block, struct moed_widened *out)
{
    out->d = f16_at(block) * 0.25F;
    for (int octet = 0; octet < 32; octet++) {
        const uint8_t *index = block + 2 + 2 * octet;
        const uint32_t word = u32_at(block + 66 + 4 * (octet / 4));
        const unsigned signs = with_parity((word >> (7 * (octet % 4))) & 127);

        out->scale[octet / 4] = (uint8_t)(2 * (word >> 28) + 1);
        put_quad(moed_grid_iq3_xxs[index[0]], signs, out->codes + 8 * octet);
        put_quad(moed_grid_iq3_xxs[index[1]], signs >> 4, out->codes + 8 * octet + 4);
    }
}
static void get_IQ3_S(const uint8_t *block, struct moed_widened *out)
{
    out->d = f16_at(block);
    for (int s = 0; s < 8; s++)
        out->scale[s] = (uint8_t)(2 * (block[106 + s / 2] >> (4 * (s % 2)) & 15) + 1);
    for (int quad = 0; quad < 64; quad++) {
        const int high = block[66 + quad / 8] >> (quad % 8) & 1;

        put_quad(moed_grid_iq3_s[block[2 + quad] | high << 8],
                 (unsigned)block[74 + quad / 2] >> (4 * (quad % 2)), out->codes + 4 * quad);
    }
}
/* IQ1: eighths of 8 · digit ± 1, digits −1, 0, 1. */
#define EIGHTHS                                                        \
    {                                                                  \
        128 - 7, 128 + 1, 128 + 9, 128, 128 - 9, 128 - 1, 128 + 7, 128 \
    }

static void get_IQ1_S(const uint8_t *block, struct moed_widened *out)
{
    out->d = f16_at(block) * 0.125F;
    for (int octet = 0; octet < 32; octet++) {
        const unsigned word = u16_at(block + 34 + 2 * (octet / 4));
        const unsigned high = word >> (3 * (octet % 4)) & 7;

        out->scale[octet / 4] = (uint8_t)(2 * (word >> 12 & 7) + 1);
        put_octet(moed_grid_iq1_s[block[2 + octet] | high << 8], word >> 15 ? 255 : 0,
                  out->codes + 8 * octet);
    }
}
static void get_IQ1_M(const uint8_t *block, struct moed_widened *out)
{
    unsigned bits = 0;

    for (int word = 0; word < 4; word++)
        bits |= (unsigned)(u16_at(block + 48 + 2 * word) >> 12) << (4 * word);
    out->d = moed_f16_to_f32((uint16_t)bits) * 0.125F;
    for (int group = 0; group < 16; group++)
        out->scale[group] =
            (uint8_t)(2 * (u16_at(block + 48 + group / 4 * 2) >> (3 * (group % 4)) & 7) + 1);
    for (int octet = 0; octet < 32; octet++) {
        const int nibble = block[32 + octet / 2] >> (4 * (octet % 2)) & 15;

        put_octet(moed_grid_iq1_s[block[octet] | (nibble & 7) << 8], nibble & 8 ? 255 : 0,
                  out->codes + 8 * octet);
    }
}
/* ---- digits: the table holds digit − 1, or 1 and −1 ---- */

#define DIGITS             \
    {                      \
        127, 128, 129, 130 \
    }
#define SIGNS    \
    {            \
        127, 129 \
    }

/* As decode_digit() of reference_ternary.c. */
static uint8_t *put_digit(const uint8_t *bytes, int count, int n, uint8_t *codes)
{
    static const uint8_t power[5] = {1, 3, 9, 27, 81};

    for (int i = 0; i < count; i++) {
        const unsigned fraction = (uint8_t)(bytes[i] * power[n]);

        *codes++ = (uint8_t)((fraction * 3) >> 8);
    }
    return codes;
}

static void get_TQ1_0(const uint8_t *block, struct moed_widened *out)
{
    uint8_t *codes = out->codes;

    out->d = f16_at(block + 52);
    memset(out->scale, 1, sizeof out->scale);
    for (int n = 0; n < 5; n++)
        codes = put_digit(block, 32, n, codes);
    for (int n = 0; n < 5; n++)
        codes = put_digit(block + 32, 16, n, codes);
    for (int n = 0; n < 4; n++)
        codes = put_digit(block + 48, 4, n, codes);
}
static void get_TQ2_0(const uint8_t *block, struct moed_widened *out)
{
    out->d = f16_at(block + 64);
    memset(out->scale, 1, sizeof out->scale);
    for (int plane = 0; plane < 8; plane++)
        for (int i = 0; i < 32; i++)
            out->codes[32 * plane + i] = block[32 * (plane / 4) + i] >> (2 * (plane % 4)) & 3;
}
static void get_Q1_0(const uint8_t *block, struct moed_widened *out)
{
    out->d = f16_at(block);
    for (int i = 0; i < 128; i++)
        out->codes[i] = block[2 + i / 8] >> (i % 8) & 1;
}
static void get_Q2_0(const uint8_t *block, struct moed_widened *out)
{
    out->d = f16_at(block);
    for (int i = 0; i < 64; i++)
        out->codes[i] = block[2 + i / 4] >> (2 * (i % 4)) & 3;
}

#define MOED_WIDE(id, NAME, block, bytes, scales, table, fill) \
    const struct moed_wide moed_wide_##NAME = {scales, table, get_##NAME};
#include "formats.def"
