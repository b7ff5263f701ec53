/* Every format once more, as "what is element i": byte offsets instead of structs, an index
 * instead of a walk, halves from their definition. Only the grids are shared with the decoders;
 * test_decoders.c checks those against a hash. */
#include "second_decoder.h"

#include "kernels/grids.h"

#include <math.h>
#include <stdlib.h>
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

static float legacy(uint32_t id, const uint8_t *b, int i)
{
    const float d = half(u16(b));

    switch (id) {
    case 2: /* Q4_0 */
        return (float)(nib(b + 2, i) - 8) * d;
    case 3: /* Q4_1 */
        return (float)nib(b + 4, i) * d + half(u16(b + 2));
    case 6: /* Q5_0 */
        return (float)(nib(b + 6, i) + 16 * bit(b + 2, i) - 16) * d;
    case 7: /* Q5_1 */
        return (float)(nib(b + 8, i) + 16 * bit(b + 4, i)) * d + half(u16(b + 2));
    default: /* Q8_0 */
        return (float)(int8_t)b[2 + i] * d;
    }
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

static float q4_or_q5_k(uint32_t id, const uint8_t *b, int i)
{
    const uint8_t *sc = b + 4;
    const uint8_t *q = b + (id == 12 ? 16 : 48);
    const int s = i / 32;
    const int l = i % 32;
    int n = q[32 * (i / 64) + l];
    int scale;
    int min;

    n = s % 2 == 1 ? n / 16 : n % 16;
    if (id == 13) {
        n += 16 * ((b[16 + l] >> s) & 1);
    }
    if (s < 4) {
        scale = sc[s] % 64;
        min = sc[s + 4] % 64;
    } else {
        scale = sc[s + 4] % 16 + sc[s - 4] / 64 * 16;
        min = sc[s + 4] / 16 + sc[s] / 64 * 16;
    }
    return half(u16(b)) * (float)scale * (float)n - half(u16(b + 2)) * (float)min;
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

static float small(uint32_t id, const uint8_t *b, int i)
{
    switch (id) {
    case 20: /* IQ4_NL */
        return half(u16(b)) * (float)kv[nib(b + 2, i)];
    case 23:
        return iq4_xs(b, i);
    case 39: /* MXFP4 */
        return (float)ldexp(fp4(nib(b + 1, i)), b[0] - 128);
    case 40:
        return nvfp4(b, i);
    case 35: /* TQ2_0 */
        return (float)(((b[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3) - 1) *
               half(u16(b + 64));
    case 41: /* Q1_0 */
        return bit(b + 2, i) != 0 ? half(u16(b)) : -half(u16(b));
    default: /* Q2_0 */
        return (float)(bit(b + 2, 2 * i) + 2 * bit(b + 2, 2 * i + 1) - 1) * half(u16(b));
    }
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

static float iq2(uint32_t id, const uint8_t *b, int i)
{
    const int s = i / 32;
    const int l = i % 32 / 8;
    const int j = i % 8;
    const float d = half(u16(b));
    unsigned code;
    unsigned index;
    int u4;

    switch (id) {
    case 16: /* IQ2_XXS */
        code = u32(skip(b, 6 + 8 * s));
        return d * (0.5F + (float)(code >> 28)) * 0.25F *
               iq2_value(moed_grid_iq2_xxs, b[2 + 8 * s + l], j) * seven_signs(code >> (7 * l), j);
    case 17: /* IQ2_XS */
        code = u16(skip(b, 2 + 8 * s + 2 * l));
        u4 = l < 2 ? b[66 + s] % 16 : b[66 + s] / 16;
        return d * (0.5F + (float)u4) * 0.25F * iq2_value(moed_grid_iq2_xs, code % 512, j) *
               seven_signs(code / 512, j);
    default: /* IQ2_S */
        index = b[2 + i / 8] + 256U * (unsigned)((b[66 + s] >> (2 * l)) & 3);
        u4 = l < 2 ? b[74 + s] % 16 : b[74 + s] / 16;
        return d * (0.5F + (float)u4) * 0.25F * iq2_value(moed_grid_iq2_s, index, j) *
               (bit(b + 34, i) != 0 ? -1.0F : 1.0F);
    }
}

static float iq3(uint32_t id, const uint8_t *b, int i)
{
    const int s = i / 32;
    const float d = half(u16(b));
    unsigned index = b[2 + i / 4];
    unsigned code;
    int u4;

    if (id == 18) { /* IQ3_XXS */
        const int k = digit_of(moed_grid_iq3_xxs[index], 8, i % 4);

        code = u32(skip(b, 66 + 4 * s));
        return d * (0.5F + (float)(code >> 28)) * 0.5F * (k == 7 ? 62.0F : (float)(4 + 8 * k)) *
               seven_signs(code >> (7 * (i % 32 / 8)), i % 8);
    }
    index += 256U * (unsigned)((b[66 + s] >> (i % 32 / 4)) & 1); /* IQ3_S */
    u4 = s % 2 == 1 ? b[106 + s / 2] / 16 : b[106 + s / 2] % 16;
    return d * (float)(1 + 2 * u4) * (float)(1 + 2 * digit_of(moed_grid_iq3_s[index], 8, i % 4)) *
           (bit(b + 74, i) != 0 ? -1.0F : 1.0F);
}

static float iq1(uint32_t id, const uint8_t *b, int i)
{
    const int s = i / 32;
    const int l = i % 32 / 8;
    float d;
    float delta;
    int u3;
    unsigned index;

    if (id == 19) { /* IQ1_S */
        const unsigned word = u16(skip(b, 34 + 2 * s));

        d = half(u16(b));
        index = b[2 + 4 * s + l] + 256U * ((word >> (3 * l)) % 8);
        u3 = (int)(word / 4096 % 8);
        delta = word / 32768 != 0 ? -0.125F : 0.125F;
    } else { /* IQ1_M */
        const unsigned nibble = (b[32 + 2 * s + l / 2] >> (4 * (l % 2))) & 15U;

        d = half(b[49] / 16U + b[51] / 16U * 16U + b[53] / 16U * 256U + b[55] / 16U * 4096U);
        index = b[4 * s + l] + 256U * (nibble % 8);
        u3 = (int)(u16(skip(b, 48 + i / 64 * 2)) >> (3 * (i / 16 % 4))) & 7;
        delta = nibble / 8 != 0 ? -0.125F : 0.125F;
    }
    return d * (float)(2 * u3 + 1) *
           ((float)(digit_of(moed_grid_iq1_s[index], 4, i % 8) - 1) + delta);
}

float second_decode(uint32_t id, const uint8_t *block, int i)
{
    switch (id) {
    case 0:
        return from_bits(u32(block));
    case 1:
        return half(u16(block));
    case 30:
        return from_bits(u16(block) * 65536U);
    case 2:
    case 3:
    case 6:
    case 7:
    case 8:
        return legacy(id, block, i);
    case 10:
        return q2_k(block, i);
    case 11:
        return q3_k(block, i);
    case 12:
    case 13:
        return q4_or_q5_k(id, block, i);
    case 14:
        return q6_k(block, i);
    case 16:
    case 17:
    case 22:
        return iq2(id, block, i);
    case 18:
    case 21:
        return iq3(id, block, i);
    case 19:
    case 29:
        return iq1(id, block, i);
    case 34:
        return tq1_0(block, i);
    case 20:
    case 23:
    case 35:
    case 39:
    case 40:
    case 41:
    case 42:
        return small(id, block, i);
    default:
        abort(); /* a new format needs its second form here */
    }
}
