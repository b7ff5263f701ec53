/* rows: random hidden states for bench and verify, shaped like real ones. */
#ifndef MOED_CLI_ROWS_H
#define MOED_CLI_ROWS_H

#include <stddef.h>

#include "kernels/random.h"

/* Fills rows[n, hidden] with Gaussian numbers; about 1 % of the channels, always the same ones,
 * are eight times larger, as in the residual streams of trained models, where they make rows
 * hard to quantise. */
void rows_fill(struct moed_random *random, float *rows, size_t n, size_t hidden);

#endif
