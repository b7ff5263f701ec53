/* prefetch: fetches what is wanted next while the present panels are walked. Each step fetches its
 * share, so that memory works as evenly as arithmetic does; the processor's own prefetchers stop at
 * the end of a page, and would start anew with each panel. */
#ifndef MOED_KERNELS_CPU_PREFETCH_H
#define MOED_KERNELS_CPU_PREFETCH_H

#include "cpu.h"

struct prefetch {
    const uint8_t *next;
    size_t lines; /* a step */
};

/* To fetch what comes after these panels in so many steps. */
static inline struct prefetch prefetch_of(const struct moed_panels *w, size_t steps)
{
    return (struct prefetch){w->next, (w->next_bytes / 64 + steps - 1) / steps};
}

static inline __attribute__((always_inline)) void prefetch_step(struct prefetch *a)
{
    for (size_t line = 0; line < a->lines; line++, a->next += 64)
        __builtin_prefetch(a->next);
}

#endif
