/* golden: the cases under tests/golden: a model and what one of its layers must answer. */
#ifndef MOED_TEST_GOLDEN_H
#define MOED_TEST_GOLDEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct golden_case {
    char name[64]; /* "q4_k", "arch/llama4" */
    char dir[512];
    char model[640]; /* the file to open */
    uint32_t layer, hidden, experts, k, rows;
    char types[128]; /* "gate up down" */
    bool ties;
    float *x, *logits, *weights, *output; /* [T,H] [T,E] [T,K] [T,H] */
    int32_t *ids;                         /* [T,K] */
};

/* Calls `check` for every layer of every case below `root`; returns the number of calls. The case
 * lives until check returns. */
int golden_for_each(const char *root, void (*check)(const struct golden_case *, void *),
                    void *context);

/* sqrt(Σ(a−b)² / Σb²), NaN and infinity counting as infinite. */
double golden_error(const float *a, const float *b, size_t n);

/* The largest error that a backend may show on weights of the case's types. */
double golden_tolerance(const struct golden_case *c, const char *backend);

#endif
