/* random: seeding, and the one distribution that is not a line in the header. */
#include "random.h"

/* splitmix64 (Vigna, public domain algorithm): spreads any seed, 0 too, over the whole state. */
static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9E3779B97F4A7C15U);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

void moed_random_seed(struct moed_random *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        r->s[i] = splitmix(&seed);
    }
}

/* The sum of eight uniform 16-bit numbers, centred and scaled: mean 0 and deviation 1 exactly,
 * tails to 4.9. In integers up to the one multiplication, so that it is the same on every
 * machine, which a logarithm from libm would not be. */
float moed_random_gaussian(struct moed_random *r)
{
    const int32_t doubled_mean = 8 * 65535;
    const float scale = 9.34406183e-6F; /* 1 / sqrt(8 (65536^2 - 1) / 12), halved */
    int32_t sum = 0;

    for (int i = 0; i < 2; i++) {
        for (uint64_t bits = moed_random_u64(r), part = 0; part < 4; part++, bits >>= 16) {
            sum += (int32_t)(bits & 0xFFFFU);
        }
    }
    return (float)(2 * sum - doubled_mean) * scale;
}
