/* probe: how fast this machine reads memory, to set a measured weight bandwidth against. */
#ifndef MOED_CLI_PROBE_H
#define MOED_CLI_PROBE_H

#include "src/base/base.h"

/* Reads a buffer several times as large as the last-level cache with `threads` threads, each its
 * own part, and writes the best pass in 10^9 bytes a second. Takes well under a second. */
int probe_read_bandwidth(uint32_t threads, double *gbps, struct moed_error *err);

#endif
