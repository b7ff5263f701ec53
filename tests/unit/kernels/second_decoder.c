/* Every format once more, as "what is element i": byte offsets instead of structs, an index
 * instead of a walk, halves from their definition. Only the grids are shared with the decoders;
 * test_decoders.c checks those against a hash. */
#include "second_decoder.h"

#include "kernels/grids.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static const uint8_t *skip(const uint8_t *p, int bytes)
{
    return p + bytes;
}

static unsigned u16(const uint8_t *p)
{
    return p[0] + 256U * p[1];
}

static unsigned u32(const uint8_t *p)
{
    return u16(p) + 65536U * u16(p + 2);
}

static float from_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

static float half(unsigned bits)
{
    const int exponent = (int)(bits / 1024 % 32);
    const float sign = bits >= 32768 ? -1.0F : 1.0F;
    const float mantissa = (float)(bits % 1024) / 1024;

    if (exponent == 31) {
        return mantissa == 0.0F ? sign * INFINITY : NAN;
    }
    return sign * (exponent == 0 ? ldexpf(mantissa, -14) : ldexpf(1 + mantissa, exponent - 15));
}

static int nib(const uint8_t *p, int i)
{
    return i < 16 ? p[i] % 16 : p[i - 16] / 16;
}

static int bit(const uint8_t *p, int i)
{
    return (p[i / 8] >> (i % 8)) & 1;
}

static const int kv[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                           1,    13,   25,  38,  53,  69,  89,  113};

/* Integers, so that there is no negative zero. */
static float fp4(int n)
{
    static const int magnitude[8] = {0, 1, 2, 3, 4, 6, 8, 12};

    return (float)(n < 8 ? magnitude[n] : -magnitude[n - 8]);
}

static float f32(const uint8_t *b, int i)
{
    return from_bits(u32(skip(b, 4 * i)));
}

static float f16(const uint8_t *b, int i)
{
    return half(u16(skip(b, 2 * i)));
}

static float bf16(const uint8_t *b, int i)
{
    return from_bits(u16(skip(b, 2 * i)) * 65536U);
}

static float q4_0(const uint8_t *b, int i)
{
    return (float)(nib(b + 2, i) - 8) * half(u16(b));
}

static float q4_1(const uint8_t *b, int i)
{
    return (float)nib(b + 4, i) * half(u16(b)) + half(u16(b + 2));
}

static float q5_0(const uint8_t *b, int i)
{
    return (float)(nib(b + 6, i) + 16 * bit(b + 2, i) - 16) * half(u16(b));
}

static float q5_1(const uint8_t *b, int i)
{
    return (float)(nib(b + 8, i) + 16 * bit(b + 4, i)) * half(u16(b)) + half(u16(b + 2));
}

static float q6_0(const uint8_t *b, int i)
{
    const int two = 2 * bit(b + 2 + i % 8, i % 16 / 8 * 4 + i / 16 * 2 + 1) +
                    bit(b + 2 + i % 8, i % 16 / 8 * 4 + i / 16 * 2);

    return (float)(nib(b + 10, i) + 16 * two - 32) * half(u16(b));
}

static float q8_0(const uint8_t *b, int i)
{
    return (float)(int8_t)b[2 + i] * half(u16(b));
}

static float q2_k(const uint8_t *b, int i)
{
    const int h = i / 128;
    const int j = i % 128 / 32;
    const int l = i % 32;
    const int s = b[i / 16];
    const int code = (b[16 + 32 * h + l] >> (2 * j)) & 3;

    return half(u16(b + 80)) * (float)(s & 15) * (float)code - half(u16(b + 82)) * (float)(s >> 4);
}

static float q3_k(const uint8_t *b, int i)
{
    const uint8_t *sc = b + 96;
    const int h = i / 128;
    const int j = i % 128 / 32;
    const int l = i % 32;
    const int s = i / 16;
    const int low4 = s < 8 ? sc[s] & 15 : sc[s - 8] >> 4;
    const int hi2 = (sc[8 + s % 4] >> (2 * (s / 4))) & 3;
    const int v = ((b[32 + 32 * h + l] >> (2 * j)) & 3) - ((b[l] >> (4 * h + j)) & 1 ? 0 : 4);

    return half(u16(b + 108)) * (float)(low4 + 16 * hi2 - 32) * (float)v;
}

/* `fifth`: 1 where codes have a fifth bit, in `high`. */
static float six_bits_each(const uint8_t *q, const uint8_t *high, int fifth, const uint8_t *b,
                           int i)
{
    const uint8_t *sc = b + 4;
    const int s = i / 32;
    const int l = i % 32;
    int n = q[32 * (i / 64) + l];
    int scale;
    int min;

    n = s % 2 == 1 ? n / 16 : n % 16;
    n += 16 * ((high[l] >> s) & fifth);
    if (s < 4) {
        scale = sc[s] % 64;
        min = sc[s + 4] % 64;
    } else {
        scale = sc[s + 4] % 16 + sc[s - 4] / 64 * 16;
        min = sc[s + 4] / 16 + sc[s] / 64 * 16;
    }
    return half(u16(b)) * (float)scale * (float)n - half(u16(b + 2)) * (float)min;
}

static float q4_k(const uint8_t *b, int i)
{
    return six_bits_each(b + 16, b, 0, b, i);
}

static float q5_k(const uint8_t *b, int i)
{
    return six_bits_each(b + 48, b + 16, 1, b, i);
}

static float q6_k(const uint8_t *b, int i)
{
    const int h = i / 128;
    const int k = i % 128 / 32;
    const int l = i % 32;
    const int low = b[64 * h + l + 32 * (k & 1)];
    const int n = k < 2 ? low & 15 : low >> 4;
    const int v = n + 16 * ((b[128 + 32 * h + l] >> (2 * k)) & 3) - 32;

    return half(u16(b + 208)) * (float)(int8_t)b[192 + i / 16] * (float)v;
}

static float iq4_xs(const uint8_t *b, int i)
{
    const int s = i / 32;
    const int low = (b[4 + s / 2] >> (4 * (s % 2))) & 15;
    const int high = (int)(u16(b + 2) >> (2 * s)) & 3;

    return half(u16(b)) * (float)(low + 16 * high - 32) *
           (float)kv[nib(skip(b, 8 + 16 * s), i % 32)];
}

static float nvfp4(const uint8_t *b, int i)
{
    const int e = b[i / 16] & 127;
    const int j = i % 16;
    const int byte = b[4 + 8 * (i / 16) + j % 8];
    float scale = e < 8 ? ldexpf((float)e, -9) : ldexpf(1 + (float)(e % 8) / 8, e / 8 - 7);

    if (b[i / 16] == 0x7F) {
        scale = 0;
    }
    return fp4(j < 8 ? byte % 16 : byte / 16) * (scale / 2);
}

static float iq4_nl(const uint8_t *b, int i)
{
    return half(u16(b)) * (float)kv[nib(b + 2, i)];
}

static float mxfp4(const uint8_t *b, int i)
{
    return (float)ldexp(fp4(nib(b + 1, i)), b[0] - 128);
}

static float tq2_0(const uint8_t *b, int i)
{
    return (float)(((b[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3) - 1) *
           half(u16(b + 64));
}

static float q1_0(const uint8_t *b, int i)
{
    return bit(b + 2, i) != 0 ? half(u16(b)) : -half(u16(b));
}

static float q2_0(const uint8_t *b, int i)
{
    return (float)(bit(b + 2, 2 * i) + 2 * bit(b + 2, 2 * i + 1) - 1) * half(u16(b));
}

/* Base-3 digit n of a byte that holds ceil(value · 256 / 3^5), by repeated multiplication. */
static float tq1_0(const uint8_t *b, int i)
{
    unsigned fraction;
    int digit;

    if (i < 160) {
        fraction = b[i % 32];
        digit = i / 32;
    } else if (i < 240) {
        fraction = b[32 + (i - 160) % 16];
        digit = (i - 160) / 16;
    } else {
        fraction = b[48 + (i - 240) % 4];
        digit = (i - 240) / 4;
    }
    while (digit-- > 0) {
        fraction = fraction * 3 % 256;
    }
    return (float)((int)(fraction * 3 / 256) - 1) * half(u16(b + 52));
}

/* Value j of a grid entry, by division. */
static int digit_of(unsigned entry, int base, int j)
{
    while (j-- > 0) {
        entry /= (unsigned)base;
    }
    return (int)(entry % (unsigned)base);
}

static float iq2_value(const uint16_t *grid, unsigned index, int j)
{
    static const float level[3] = {8, 25, 43};

    return level[digit_of(grid[index], 4, j)];
}

/* +1 or −1: bit j of the seven signs; the eighth is the parity of the others. */
static float seven_signs(unsigned bits, int j)
{
    int ones = 0;

    if (j < 7) {
        return (bits >> j) & 1 ? -1.0F : 1.0F;
    }
    for (int k = 0; k < 7; k++) {
        ones += (int)(bits >> k) & 1;
    }
    return ones % 2 == 1 ? -1.0F : 1.0F;
}

static float iq2_xxs(const uint8_t *b, int i)
{
    const int s = i / 32, l = i % 32 / 8, j = i % 8;
    const unsigned code = u32(skip(b, 6 + 8 * s));

    return half(u16(b)) * (0.5F + (float)(code >> 28)) * 0.25F *
           iq2_value(moed_grid_iq2_xxs, b[2 + 8 * s + l], j) * seven_signs(code >> (7 * l), j);
}

static float iq2_xs(const uint8_t *b, int i)
{
    const int s = i / 32, l = i % 32 / 8, j = i % 8;
    const unsigned code = u16(skip(b, 2 + 8 * s + 2 * l));
    const int u4 = l < 2 ? b[66 + s] % 16 : b[66 + s] / 16;

    return half(u16(b)) * (0.5F + (float)u4) * 0.25F * iq2_value(moed_grid_iq2_xs, code % 512, j) *
           seven_signs(code / 512, j);
}

static float iq2_s(const uint8_t *b, int i)
{
    const int s = i / 32, l = i % 32 / 8;
    const unsigned index = b[2 + i / 8] + 256U * (unsigned)((b[66 + s] >> (2 * l)) & 3);
    const int u4 = l < 2 ? b[74 + s] % 16 : b[74 + s] / 16;

    return half(u16(b)) * (0.5F + (float)u4) * 0.25F * iq2_value(moed_grid_iq2_s, index, i % 8) *
           (bit(b + 34, i) != 0 ? -1.0F : 1.0F);
}

static float iq3_xxs(const uint8_t *b, int i)
{
    const int k = digit_of(moed_grid_iq3_xxs[b[2 + i / 4]], 8, i % 4);
    const unsigned code = u32(skip(b, 66 + 4 * (i / 32)));

    return half(u16(b)) * (0.5F + (float)(code >> 28)) * 0.5F *
           (k == 7 ? 62.0F : (float)(4 + 8 * k)) * seven_signs(code >> (7 * (i % 32 / 8)), i % 8);
}

static float iq3_s(const uint8_t *b, int i)
{
    const int s = i / 32;
    const unsigned index = b[2 + i / 4] + 256U * (unsigned)((b[66 + s] >> (i % 32 / 4)) & 1);
    const int u4 = s % 2 == 1 ? b[106 + s / 2] / 16 : b[106 + s / 2] % 16;

    return half(u16(b)) * (float)(1 + 2 * u4) *
           (float)(1 + 2 * digit_of(moed_grid_iq3_s[index], 8, i % 4)) *
           (bit(b + 74, i) != 0 ? -1.0F : 1.0F);
}

static float iq1_value(unsigned index, int i, bool down)
{
    return (float)(digit_of(moed_grid_iq1_s[index], 4, i % 8) - 1) + (down ? -0.125F : 0.125F);
}

static float iq1_s(const uint8_t *b, int i)
{
    const int s = i / 32, l = i % 32 / 8;
    const unsigned word = u16(skip(b, 34 + 2 * s));
    const unsigned index = b[2 + 4 * s + l] + 256U * ((word >> (3 * l)) % 8);

    return half(u16(b)) * (float)(2 * (int)(word / 4096 % 8) + 1) *
           iq1_value(index, i, word / 32768 != 0);
}

static float iq1_m(const uint8_t *b, int i)
{
    const int s = i / 32, l = i % 32 / 8;
    const unsigned nibble = (b[32 + 2 * s + l / 2] >> (4 * (l % 2))) & 15U;
    const unsigned index = b[4 * s + l] + 256U * (nibble % 8);
    const int u3 = (int)(u16(skip(b, 48 + i / 64 * 2)) >> (3 * (i / 16 % 4))) & 7;

    return half(b[49] / 16U + b[51] / 16U * 16U + b[53] / 16U * 256U + b[55] / 16U * 4096U) *
           (float)(2 * u3 + 1) * iq1_value(index, i, nibble / 8 != 0);
}

/* ggml's names, ids and sizes, typed a second time, by id. */
const struct second_format second_formats[] = {
    {"F32", 0, 1, 4, f32},
    {"F16", 1, 1, 2, f16},
    {"Q4_0", 2, 32, 18, q4_0},
    {"Q4_1", 3, 32, 20, q4_1},
    {"Q5_0", 6, 32, 22, q5_0},
    {"Q5_1", 7, 32, 24, q5_1},
    {"Q8_0", 8, 32, 34, q8_0},
    {"Q8_1", 9, 32, 36, NULL},
    {"Q2_K", 10, 256, 84, q2_k},
    {"Q3_K", 11, 256, 110, q3_k},
    {"Q4_K", 12, 256, 144, q4_k},
    {"Q5_K", 13, 256, 176, q5_k},
    {"Q6_K", 14, 256, 210, q6_k},
    {"Q8_K", 15, 256, 292, NULL},
    {"IQ2_XXS", 16, 256, 66, iq2_xxs},
    {"IQ2_XS", 17, 256, 74, iq2_xs},
    {"IQ3_XXS", 18, 256, 98, iq3_xxs},
    {"IQ1_S", 19, 256, 50, iq1_s},
    {"IQ4_NL", 20, 32, 18, iq4_nl},
    {"IQ3_S", 21, 256, 110, iq3_s},
    {"IQ2_S", 22, 256, 82, iq2_s},
    {"IQ4_XS", 23, 256, 136, iq4_xs},
    {"I8", 24, 1, 1, NULL},
    {"I16", 25, 1, 2, NULL},
    {"I32", 26, 1, 4, NULL},
    {"I64", 27, 1, 8, NULL},
    {"F64", 28, 1, 8, NULL},
    {"IQ1_M", 29, 256, 56, iq1_m},
    {"BF16", 30, 1, 2, bf16},
    {"TQ1_0", 34, 256, 54, tq1_0},
    {"TQ2_0", 35, 256, 66, tq2_0},
    {"MXFP4", 39, 32, 17, mxfp4},
    {"NVFP4", 40, 64, 36, nvfp4},
    {"Q1_0", 41, 128, 18, q1_0},
    {"Q2_0", 42, 64, 18, q2_0},
    {"Q6_0", 133, 32, 26, q6_0},
    {NULL, 0, 0, 0, NULL},
};
