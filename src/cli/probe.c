/* probe: how fast this machine reads memory, to set a measured weight bandwidth against. */
#include "probe.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PASSES = 8 };

struct probe {
    pthread_mutex_t gate;      /* held until it is known how many readers there are */
    pthread_barrier_t barrier; /* readers and the timing thread, around each pass */
    uint64_t *buffer;
    size_t words; /* of one reader's part, a multiple of 8 */
};

struct reader {
    struct probe *probe;
    pthread_t thread;
    size_t index;
    uint64_t sum; /* kept, so that the reads are not optimised away */
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

static void *read_part(void *argument)
{
    struct reader *reader = argument;
    struct probe *probe = reader->probe;
    uint64_t *part = probe->buffer + reader->index * probe->words;

    /* The first touch places the pages on this thread's NUMA node. */
    memset(part, 1, probe->words * sizeof(*part));
    pthread_mutex_lock(&probe->gate);
    pthread_mutex_unlock(&probe->gate);
    for (int pass = 0; pass < PASSES; pass++) {
        pthread_barrier_wait(&probe->barrier);
        reader->sum += sum_words(part, probe->words);
        pthread_barrier_wait(&probe->barrier);
    }
    return NULL;
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

static double time_passes(struct probe *probe, size_t bytes)
{
    double best = 0;

    for (int pass = 0; pass < PASSES; pass++) {
        uint64_t begin, elapsed;

        pthread_barrier_wait(&probe->barrier);
        begin = moed_now_ns();
        pthread_barrier_wait(&probe->barrier);
        elapsed = moed_now_ns() - begin;
        if (elapsed > 0 && (double)bytes / (double)elapsed > best)
            best = (double)bytes / (double)elapsed; /* bytes a nanosecond: 10^9 a second */
    }
    return best;
}

/* Starts the readers, times them, joins them. */
static double measure(struct probe *probe, struct reader *readers, uint32_t threads)
{
    double gbps = 0;
    uint32_t started = 0;

    pthread_mutex_init(&probe->gate, NULL);
    pthread_mutex_lock(&probe->gate);
    for (; started < threads; started++) {
        readers[started] = (struct reader){.probe = probe, .index = started};
        if (pthread_create(&readers[started].thread, NULL, read_part, &readers[started]) != 0)
            break;
    }
    pthread_barrier_init(&probe->barrier, NULL, started + 1);
    pthread_mutex_unlock(&probe->gate);
    if (started > 0)
        gbps = time_passes(probe, started * probe->words * sizeof(uint64_t));
    for (uint32_t i = 0; i < started; i++)
        pthread_join(readers[i].thread, NULL);
    pthread_barrier_destroy(&probe->barrier);
    pthread_mutex_destroy(&probe->gate);
    return gbps;
}

int probe_read_bandwidth(uint32_t threads, double *gbps, struct moed_error *err)
{
    struct probe probe = {.words = buffer_bytes() / sizeof(uint64_t) / threads / 8 * 8};
    struct reader *readers = moed_calloc(threads, sizeof(*readers));
    int status = 0;

    /* Not moed_aligned_alloc: its zeroing would be the first touch. */
    probe.buffer = aligned_alloc(64, probe.words * threads * sizeof(uint64_t));
    if (!readers || !probe.buffer)
        status = moed_fail(err, MOED_E_NO_MEMORY, "the bandwidth probe needs %zu MiB",
                           probe.words * threads * sizeof(uint64_t) >> 20);
    else if ((*gbps = measure(&probe, readers, threads)) <= 0)
        status = moed_fail(err, MOED_E_INTERNAL, "the bandwidth probe could not start a thread");
    free(probe.buffer);
    free(readers);
    return status;
}
