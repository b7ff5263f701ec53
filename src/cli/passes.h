/* passes: a piece of work that some threads do together, again and again, and the time of the
 * fastest pass. */
#ifndef MOED_CLI_PASSES_H
#define MOED_CLI_PASSES_H

#include "src/base/base.h"

struct passes {
    void (*prepare)(void *context, uint32_t thread); /* once on each thread, untimed; or NULL */
    void (*work)(void *context, uint32_t thread);    /* once a pass on each thread */
    void *context;
    uint32_t count; /* of passes */
};

/* Writes the seconds of the fastest pass, from all threads' start to the last one's end. */
int passes_time(const struct passes *passes, uint32_t threads, double *seconds,
                struct moed_error *err);

#endif
