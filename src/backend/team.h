/* team: the few OpenMP calls that the CPU backend makes, and what they are without OpenMP (the
 * ThreadSanitizer build: libgomp's barriers are invisible to it). */
#ifndef MOED_BACKEND_TEAM_H
#define MOED_BACKEND_TEAM_H

#include <stdint.h>

#ifdef _OPENMP
#include <omp.h>

static inline uint32_t team_rank(void)
{
    return (uint32_t)omp_get_thread_num();
}

static inline uint32_t team_limit(uint32_t wanted)
{
    return wanted;
}
#else
static inline uint32_t team_rank(void)
{
    return 0;
}

static inline uint32_t team_limit(uint32_t wanted)
{
    (void)wanted;
    return 1;
}
#endif

#endif
