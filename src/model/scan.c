/* scan: see scan.h. */
#include "scan.h"

#include "bind.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS_AT_ONCE UINT64_C(64)

/* Biases and scales of a model may well be zero; a matrix never is. */
static bool is_matrix(const struct moed_weight *weight)
{
    return weight->rows > 1 && weight->cols > 1;
}

const char *moed_scan_fault(const struct moed_weight *weight, unsigned seen)
{
    if ((seen & MOED_SCAN_NOT_FINITE) != 0)
        return "holds NaN or infinite weights";
    if ((seen & MOED_SCAN_NOT_ZERO) == 0 && is_matrix(weight))
        return "holds nothing but zeros";
    return NULL;
}

void moed_scan_name(const struct moed_weight *weight, uint64_t at, char *out, size_t size)
{
    const uint64_t expert = weight->picked != NULL ? weight->picked[at] : at;

    if (weight->count > 1 || weight->picked != NULL)
        (void)snprintf(out, size, "tensor %s, expert %llu", weight->tensor->name,
                       (unsigned long long)expert);
    else
        (void)snprintf(out, size, "tensor %s", weight->tensor->name);
}

static int scan_expert(const struct moed_model *model, const struct moed_weight *w, uint64_t at,
                       uint8_t *buffer, unsigned *seen, struct moed_error *err)
{
    struct moed_weight_span rows = {.expert = at};
    int rc = 0;

    *seen = 0;
    for (; rc == 0 && rows.first < w->rows; rows.first += rows.n) {
        rows.n = w->rows - rows.first < ROWS_AT_ONCE ? w->rows - rows.first : ROWS_AT_ONCE;
        rc = moed_weight_read(model, w, rows, buffer, err);
        if (rc == 0)
            *seen |= w->format->scan(buffer, rows.n * w->cols);
    }
    return rc;
}

int moed_scan_layer(const struct moed_model *model, const struct moed_layer *layer,
                    moed_scan_found *found, void *context, struct moed_error *err)
{
    const struct model_role *role;
    int rc = 0;

    for (size_t i = 0; rc == 0 && (role = model_role_at(i)); i++) {
        const struct moed_weight *w = model_role_weight(layer, role);
        uint8_t *buffer;
        unsigned seen;

        if (w->tensor == NULL || w->count == 0)
            continue;
        buffer = moed_calloc(ROWS_AT_ONCE, w->row_bytes);
        if (buffer == NULL)
            return moed_fail(err, MOED_E_NO_MEMORY, "no memory to read tensor %s", w->tensor->name);
        for (uint64_t at = 0; rc == 0 && at < w->count; at++) {
            const char *fault;

            rc = scan_expert(model, w, at, buffer, &seen, err);
            fault = rc == 0 ? moed_scan_fault(w, seen) : NULL;
            if (fault != NULL)
                found(context, w, at, fault);
        }
        free(buffer);
    }
    return rc;
}
