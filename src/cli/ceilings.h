/* ceilings: what this machine can do at most, memory and arithmetic, and how near a measured layer
 * came to the one that bounds it. */
#ifndef MOED_CLI_CEILINGS_H
#define MOED_CLI_CEILINGS_H

#include "src/backend/backend.h"
#include <stdio.h>

#include "kernels/cpu/peak.h"

#define CEILINGS_MAX 16

struct ceilings {
    double dram_read_gbps;
    uint32_t units;
    struct {
        const struct moed_peak *peak;
        double gops;
    } unit[CEILINGS_MAX]; /* those that the CPU has */
};

/* Measures all of them with `threads` threads, in a second or two. */
int ceilings_measure(uint32_t threads, struct ceilings *out, struct moed_error *err);

/* For people, a line each, or as one JSON object on one line. */
void ceilings_print(const struct ceilings *ceilings, FILE *out);
void ceilings_print_json(const struct ceilings *ceilings, FILE *out);

struct bound {
    const char *name; /* "memory", or the unit's: whichever would take longer */
    double fraction;  /* of that bound that was reached */
};

/* `of_memory` is the fraction of the memory's bandwidth that a batch reached, `gflops` its rate;
 * the unit is the one that the backend computes the layer's up projection with. Other backends than
 * the CPU's have the memory bound alone. */
struct bound ceilings_bound(const struct ceilings *ceilings, const struct moed_backend *backend,
                            const struct moed_layer *layer, double of_memory, double gflops);

#endif
