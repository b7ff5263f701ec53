/* rows: random hidden states for bench and verify, shaped like real ones. */
#include "rows.h"

/* One channel of a hundred, scattered by Knuth's multiplicative hash. */
static float channel_scale(size_t channel)
{
    const uint32_t hash = (uint32_t)channel * 2654435761U;

    return (hash >> 16) % 100 == 1 ? 8.0F : 1.0F;
}

void rows_fill(struct moed_random *random, float *rows, size_t n, size_t hidden)
{
    for (size_t i = 0; i < n * hidden; i++)
        rows[i] = moed_random_gaussian(random) * channel_scale(i % hidden);
}
