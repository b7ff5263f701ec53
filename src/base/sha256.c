/* sha256: FIPS 180-4, section 6.2, for fingerprints of weights. */
#include "src/base/base.h"

#include <endian.h>
#include <string.h>

/* Section 4.2.2: fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constants[64] = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
    0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
    0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
    0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
};

static uint32_t rotate_right(uint32_t x, int k)
{
    return (x >> k) | (x << (32 - k));
}

static void compress(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64];
    uint32_t v[8]; /* a to h of the standard */

    for (int t = 0; t < 16; t++) {
        uint32_t word;

        memcpy(&word, block + sizeof word * (size_t)t, sizeof word);
        w[t] = be32toh(word);
    }
    for (int t = 16; t < 64; t++) {
        const uint32_t x = w[t - 15];
        const uint32_t y = w[t - 2];
        const uint32_t sigma0 = rotate_right(x, 7) ^ rotate_right(x, 18) ^ (x >> 3);
        const uint32_t sigma1 = rotate_right(y, 17) ^ rotate_right(y, 19) ^ (y >> 10);

        w[t] = sigma1 + w[t - 7] + sigma0 + w[t - 16];
    }

    memcpy(v, state, sizeof v);
    for (int t = 0; t < 64; t++) {
        const uint32_t a = v[0];
        const uint32_t e = v[4];
        const uint32_t sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        const uint32_t choose = (e & v[5]) ^ (~e & v[6]);
        const uint32_t t1 = v[7] + sum1 + choose + round_constants[t] + w[t];
        const uint32_t sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        const uint32_t majority = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]);

        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + sum0 + majority;
    }
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

void moed_sha256_init(struct moed_sha256 *s)
{
    /* Section 5.3.3: fractional parts of the square roots of the first 8 primes. */
    *s = (struct moed_sha256){.state = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F,
                                        0x9B05688C, 0x1F83D9AB, 0x5BE0CD19}};
}

void moed_sha256_update(struct moed_sha256 *s, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    const size_t held = s->length % sizeof s->block;

    s->length += size;
    if (held > 0) {
        size_t part = sizeof s->block - held;

        if (part > size)
            part = size;
        if (part > 0)
            memcpy(s->block + held, bytes, part);
        if (held + part < sizeof s->block)
            return;
        compress(s->state, s->block);
        bytes += part;
        size -= part;
    }
    for (; size >= sizeof s->block; size -= sizeof s->block) {
        compress(s->state, bytes);
        bytes += sizeof s->block;
    }
    if (size > 0)
        memcpy(s->block, bytes, size);
}

void moed_sha256_final(struct moed_sha256 *s, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    static const uint8_t padding[64] = {0x80};
    const uint64_t bits = htobe64(s->length * 8);
    const size_t held = s->length % sizeof s->block;

    /* 0x80, zeros up to 8 bytes before the end of a block, then the length in bits. */
    moed_sha256_update(s, padding, held < 56 ? 56 - held : 120 - held);
    moed_sha256_update(s, &bits, sizeof bits);
    for (size_t i = 0; i < 64; i++)
        hex[i] = digits[(s->state[i / 8] >> (28 - 4 * (i % 8))) & 15U];
    hex[64] = '\0';
}
