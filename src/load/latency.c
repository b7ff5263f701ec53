/* latency.c: a histogram of times whose bins grow with the time: 128 to each doubling.
 *
 *   bin = 128 · s + (ns >> s), where s leaves the 8 highest bits; below 256 a bin a nanosecond */
#include "src/load/load.h"

enum { SUB_BITS = 7, SUB = 1 << SUB_BITS };

static size_t bin_of(uint64_t ns)
{
    unsigned shift;

    if (ns < SUB)
        return (size_t)ns;
    shift = 63U - (unsigned)__builtin_clzll(ns) - SUB_BITS;
    return ((size_t)shift << SUB_BITS) + (size_t)(ns >> shift);
}

/* The largest time in a bin. */
static uint64_t end_of(size_t bin)
{
    unsigned shift;

    if (bin < (size_t)2 * SUB)
        return bin;
    shift = (unsigned)(bin >> SUB_BITS) - 1;
    return ((bin - ((uint64_t)shift << SUB_BITS) + 1) << shift) - 1;
}

void moed_latency_add(struct moed_latency *latency, uint64_t ns)
{
    latency->bins[bin_of(ns)]++;
    latency->count++;
    latency->max = ns > latency->max ? ns : latency->max;
}

uint64_t moed_latency_at(const struct moed_latency *latency, double share)
{
    const double wanted = share * (double)latency->count;
    uint64_t seen = 0;

    for (size_t bin = 0; bin < MOED_LATENCY_BINS; bin++) {
        seen += latency->bins[bin];
        if (seen > 0 && (double)seen >= wanted)
            return end_of(bin) < latency->max ? end_of(bin) : latency->max;
    }
    return latency->max;
}
