/* findings: see findings.h. */
#include "findings.h"

#include "kernels/dtype.h"

#define MOST_LINES 16U /* a file that is zeros from some place on has a fault in every expert */

void findings_note(struct findings *findings, const struct moed_weight *weight, uint64_t at,
                   unsigned seen)
{
    const char *fault = moed_scan_fault(weight, seen);
    char name[160];

    if (fault == NULL || atomic_fetch_add(&findings->found, 1) >= MOST_LINES)
        return;
    moed_scan_name(weight, at, name, sizeof name);
    moed_log(MOED_LOG_WARN, "%s %s: its answers cannot be right", name, fault);
}

void findings_note_f32(struct findings *findings, const struct moed_weight *weight,
                       const float *values)
{
    const uint64_t expert = weight->rows * weight->cols;

    for (uint64_t at = 0; values != NULL && at < weight->count; at++)
        if (!moed_dtype_is_finite(MOED_F32, values + at * expert, expert))
            findings_note(findings, weight, at, MOED_SCAN_NOT_FINITE | MOED_SCAN_NOT_ZERO);
}

void findings_end(const struct findings *findings)
{
    const unsigned found = atomic_load(&findings->found);

    if (found > MOST_LINES)
        moed_log(MOED_LOG_WARN,
                 "%u more tensors or experts have such weights; `moed verify` names all",
                 found - MOST_LINES);
}
