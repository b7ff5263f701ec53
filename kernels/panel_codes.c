/* panel_codes: where each type keeps its codes. The layouts are drawn in reference_*.c; here a
 * block becomes one byte a code, and a byte a code becomes a block. */
#include "panel_codes.h"

#include <string.h>

/* ---- nibbles: element i in the low half of byte i, element i + n in its high half ---- */

static void get_nibbles(const uint8_t *q, uint8_t *codes, int n)
{
    for (int i = 0; i < n; i++) {
        codes[i] = q[i] & 15;
        codes[i + n] = q[i] >> 4;
    }
}

static void put_nibbles(const uint8_t *codes, uint8_t *q, int n)
{
    for (int i = 0; i < n; i++)
        q[i] = (uint8_t)((codes[i] & 15) | (codes[i + n] << 4));
}

/* A type of 32 nibbles that begin at byte `at`. */
#define NIBBLES_32(name, at)                                     \
    static void get_##name(const uint8_t *block, uint8_t *codes) \
    {                                                            \
        get_nibbles(block + (at), codes, 16);                    \
    }                                                            \
    static void put_##name(const uint8_t *codes, uint8_t *block) \
    {                                                            \
        put_nibbles(codes, block + (at), 16);                    \
    }                                                            \
    const struct moed_codes moed_codes_##name = {get_##name, put_##name};

NIBBLES_32(q4_0, 2) /* IQ4_NL too */
NIBBLES_32(q4_1, 4)
NIBBLES_32(mxfp4, 1)

/* A type of 256 nibbles that begin at byte `at`, 64 elements to 32 bytes. */
#define NIBBLES_256(name, at)                                       \
    static void get_##name(const uint8_t *block, uint8_t *codes)    \
    {                                                               \
        for (int s = 0; s < 4; s++)                                 \
            get_nibbles(block + (at) + s * 32, codes + s * 64, 32); \
    }                                                               \
    static void put_##name(const uint8_t *codes, uint8_t *block)    \
    {                                                               \
        for (int s = 0; s < 4; s++)                                 \
            put_nibbles(codes + s * 64, block + (at) + s * 32, 32); \
    }

NIBBLES_256(q4_k, 16)
const struct moed_codes moed_codes_q4_k = {get_q4_k, put_q4_k};

/* IQ4_XS: 32 elements to 16 bytes. */
static void get_iq4_xs(const uint8_t *block, uint8_t *codes)
{
    for (int s = 0; s < 8; s++)
        get_nibbles(block + 8 + s * 16, codes + s * 32, 16);
}

static void put_iq4_xs(const uint8_t *codes, uint8_t *block)
{
    for (int s = 0; s < 8; s++)
        put_nibbles(codes + s * 32, block + 8 + s * 16, 16);
}
const struct moed_codes moed_codes_iq4_xs = {get_iq4_xs, put_iq4_xs};

/* NVFP4: 16 elements to 8 bytes. */
static void get_nvfp4(const uint8_t *block, uint8_t *codes)
{
    for (int s = 0; s < 4; s++)
        get_nibbles(block + 4 + s * 8, codes + s * 16, 8);
}

static void put_nvfp4(const uint8_t *codes, uint8_t *block)
{
    for (int s = 0; s < 4; s++)
        put_nibbles(codes + s * 16, block + 4 + s * 8, 8);
}
const struct moed_codes moed_codes_nvfp4 = {get_nvfp4, put_nvfp4};

/* ---- 32 nibbles with a fifth bit each in a word: bit i belongs to element i ---- */

static void get_fifth(const uint8_t *word, uint8_t *codes)
{
    for (int i = 0; i < 32; i++)
        codes[i] |= (uint8_t)(((word[i / 8] >> (i % 8)) & 1) << 4);
}

static void put_fifth(const uint8_t *codes, uint8_t *word)
{
    for (int i = 0; i < 32; i++)
        word[i / 8] |= (uint8_t)((codes[i] >> 4) << (i % 8));
}

#define FIVE_BITS_32(name, word, at)                             \
    static void get_##name(const uint8_t *block, uint8_t *codes) \
    {                                                            \
        get_nibbles(block + (at), codes, 16);                    \
        get_fifth(block + (word), codes);                        \
    }                                                            \
    static void put_##name(const uint8_t *codes, uint8_t *block) \
    {                                                            \
        put_nibbles(codes, block + (at), 16);                    \
        put_fifth(codes, block + (word));                        \
    }                                                            \
    const struct moed_codes moed_codes_##name = {get_##name, put_##name};

FIVE_BITS_32(q5_0, 2, 6)
FIVE_BITS_32(q5_1, 4, 8)

/* ---- Q8_0: two's complement becomes offset binary ---- */

static void get_q8_0(const uint8_t *block, uint8_t *codes)
{
    for (int i = 0; i < 32; i++)
        codes[i] = block[2 + i] ^ 0x80;
}

static void put_q8_0(const uint8_t *codes, uint8_t *block)
{
    for (int i = 0; i < 32; i++)
        block[2 + i] = codes[i] ^ 0x80;
}
const struct moed_codes moed_codes_q8_0 = {get_q8_0, put_q8_0};

/* ---- K types: planes of bits of elements that are 32 apart ---- */

/* Two bits an element: bits 2j of byte 32 h + l belong to element 128 h + 32 j + l; they become
 * bits `to` and up of the code. */
static void get_pairs(const uint8_t *q, uint8_t *codes, int to)
{
    for (int h = 0; h < 2; h++)
        for (int j = 0; j < 4; j++)
            for (int l = 0; l < 32; l++)
                codes[128 * h + 32 * j + l] |= (uint8_t)(((q[32 * h + l] >> (2 * j)) & 3) << to);
}

static void put_pairs(const uint8_t *codes, uint8_t *q, int from)
{
    for (int h = 0; h < 2; h++)
        for (int j = 0; j < 4; j++)
            for (int l = 0; l < 32; l++)
                q[32 * h + l] |= (uint8_t)(((codes[128 * h + 32 * j + l] >> from) & 3) << (2 * j));
}

/* One bit an element: bit s of byte l belongs to element 32 s + l. */
static void get_bits(const uint8_t *q, uint8_t *codes, int to)
{
    for (int s = 0; s < 8; s++)
        for (int l = 0; l < 32; l++)
            codes[32 * s + l] |= (uint8_t)(((q[l] >> s) & 1) << to);
}

static void put_bits(const uint8_t *codes, uint8_t *q, int from)
{
    for (int s = 0; s < 8; s++)
        for (int l = 0; l < 32; l++)
            q[l] |= (uint8_t)(((codes[32 * s + l] >> from) & 1) << s);
}

static void get_q2_k(const uint8_t *block, uint8_t *codes)
{
    memset(codes, 0, 256);
    get_pairs(block + 16, codes, 0);
}

static void put_q2_k(const uint8_t *codes, uint8_t *block)
{
    put_pairs(codes, block + 16, 0);
}
const struct moed_codes moed_codes_q2_k = {get_q2_k, put_q2_k};

static void get_q3_k(const uint8_t *block, uint8_t *codes)
{
    memset(codes, 0, 256);
    get_pairs(block + 32, codes, 0);
    get_bits(block, codes, 2);
}

static void put_q3_k(const uint8_t *codes, uint8_t *block)
{
    put_pairs(codes, block + 32, 0);
    put_bits(codes, block, 2);
}
const struct moed_codes moed_codes_q3_k = {get_q3_k, put_q3_k};

NIBBLES_256(q5_k_low, 48)

static void get_q5_k(const uint8_t *block, uint8_t *codes)
{
    get_q5_k_low(block, codes);
    get_bits(block + 16, codes, 4);
}

static void put_q5_k(const uint8_t *codes, uint8_t *block)
{
    put_q5_k_low(codes, block);
    put_bits(codes, block + 16, 4);
}
const struct moed_codes moed_codes_q5_k = {get_q5_k, put_q5_k};

/* Q6_K's nibbles: byte 64 h + l holds elements 128 h + l and 128 h + 64 + l. */
static void get_q6_k(const uint8_t *block, uint8_t *codes)
{
    for (int h = 0; h < 2; h++)
        get_nibbles(block + 64 * h, codes + 128 * h, 64);
    get_pairs(block + 128, codes, 4);
}

static void put_q6_k(const uint8_t *codes, uint8_t *block)
{
    for (int h = 0; h < 2; h++)
        put_nibbles(codes + 128 * h, block + 64 * h, 64);
    put_pairs(codes, block + 128, 4);
}
const struct moed_codes moed_codes_q6_k = {get_q6_k, put_q6_k};
