/* random: a small reproducible generator (xoshiro256++, Blackman and Vigna, public domain
 * algorithm) for synthetic weights and test rows. The same seed gives the same numbers on
 * every machine. Not for secrets. */
#ifndef MOED_KERNELS_RANDOM_H
#define MOED_KERNELS_RANDOM_H

#include <stdint.h>

struct moed_random {
    uint64_t s[4];
};

void moed_random_seed(struct moed_random *r, uint64_t seed); /* any seed, 0 too */
float moed_random_gaussian(struct moed_random *r);           /* mean 0, deviation 1 */

static inline uint64_t moed_random_rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static inline uint64_t moed_random_u64(struct moed_random *r)
{
    const uint64_t result = moed_random_rotl(r->s[0] + r->s[3], 23) + r->s[0];
    const uint64_t t = r->s[1] << 17;

    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = moed_random_rotl(r->s[3], 45);
    return result;
}

/* Uniform in [0, n), n > 0; the bias is under 2^-32 for n < 2^32. */
static inline uint32_t moed_random_below(struct moed_random *r, uint32_t n)
{
    return (uint32_t)(((moed_random_u64(r) >> 32) * n) >> 32);
}

/* Uniform in [0, 1). */
static inline float moed_random_unit(struct moed_random *r)
{
    return (float)(moed_random_u64(r) >> 40) * 0x1p-24F;
}

#endif
