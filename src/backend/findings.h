/* findings: what is wrong with weights, told in the log while they are loaded. They are looked at
 * on their way into memory, where that costs next to nothing. Furniture of backend. */
#ifndef MOED_BACKEND_FINDINGS_H
#define MOED_BACKEND_FINDINGS_H

#include "src/model/scan.h"

#include <stdatomic.h>

struct findings {
    atomic_uint found; /* weights, or experts of one, that have a fault */
};

/* An expert of a weight, whole, came to these moed_scan bits. Any thread. */
void findings_note(struct findings *findings, const struct moed_weight *weight, uint64_t at,
                   unsigned seen);
/* A small weight, decoded: count × rows × cols floats; NULL: absent. */
void findings_note_f32(struct findings *findings, const struct moed_weight *weight,
                       const float *values);
/* How many more there were than could be told. */
void findings_end(const struct findings *findings);

#endif
