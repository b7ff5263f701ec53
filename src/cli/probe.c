/* probe: reads a large buffer, each thread its own part. */
#include "probe.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "passes.h"

enum { PASSES = 8 };

struct probe {
    uint64_t *buffer;
    size_t words;   /* of one thread's part, a multiple of 8 */
    uint64_t *sums; /* one a thread: kept, so that the reads are not optimised away */
};

static uint64_t sum_words(const uint64_t *words, size_t n)
{
    uint64_t sums[8] = {0}; /* independent, so that loads and not additions are the limit */

    for (size_t i = 0; i < n; i += 8)
        for (size_t j = 0; j < 8; j++)
            sums[j] += words[i + j];
    for (size_t j = 1; j < 8; j++)
        sums[0] += sums[j];
    return sums[0];
}

/* The first touch places the pages on this thread's NUMA node. */
static void touch_part(void *context, uint32_t thread)
{
    struct probe *probe = context;

    memset(probe->buffer + thread * probe->words, 1, probe->words * sizeof *probe->buffer);
}

static void read_part(void *context, uint32_t thread)
{
    struct probe *probe = context;

    probe->sums[thread] += sum_words(probe->buffer + thread * probe->words, probe->words);
}

/* Four times the last-level cache, from 256 MiB to an eighth of the machine's memory. */
static size_t buffer_bytes(void)
{
    const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const size_t least = (size_t)256 << 20;
    size_t bytes = cache > 0 ? (size_t)cache * 4 : least;
    size_t most = pages > 0 && page > 0 ? (size_t)pages / 8 * (size_t)page : least;

    if (bytes < least)
        bytes = least;
    return bytes < most ? bytes : most;
}

int probe_read_bandwidth(uint32_t threads, double *gbps, struct moed_error *err)
{
    struct probe probe = {.words = buffer_bytes() / sizeof(uint64_t) / threads / 8 * 8};
    const struct passes passes = {touch_part, read_part, &probe, PASSES};
    const size_t bytes = probe.words * threads * sizeof(uint64_t);
    double seconds = 0;
    int status;

    /* Not moed_aligned_alloc: its zeroing would be the first touch. */
    probe.buffer = aligned_alloc(64, bytes);
    probe.sums = moed_calloc(threads, sizeof *probe.sums);
    if (probe.buffer != NULL && probe.sums != NULL)
        status = passes_time(&passes, threads, &seconds, err);
    else
        status = moed_fail(err, MOED_E_NO_MEMORY, "the bandwidth probe needs %zu MiB", bytes >> 20);
    if (status == 0)
        *gbps = (double)bytes / seconds * 1e-9;
    free(probe.sums);
    free(probe.buffer);
    return status;
}
