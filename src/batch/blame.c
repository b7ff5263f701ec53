/* blame: see blame.h. Zeros times anything finite is finite, whatever the expert, so that what is
 * not finite for a row of zeros is so by the weights. */
#include "blame.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct trial {
    struct moed_worker *worker;
    const struct moed_layer *layer;
    const float *hidden; /* the row */
    const int32_t *ids;  /* its experts and their weights, */
    const float *weights;
    uint32_t slots; /* so many of each */
    uint8_t flags;
};

/* Whether one row is finite, by experts `from` to `to` of its slots, or by no routed one. */
static bool is_finite(const struct trial *t, bool zeros, uint8_t flags, uint32_t from, uint32_t to)
{
    struct moed_rows *rows = &t->worker->trial;
    const uint32_t slots = t->slots;
    struct moed_batch_rows one = {
        .rows = 1,
        .slots = slots,
        .hidden = rows->hidden,
        .output = rows->output,
        .ids = rows->ids,
        .weights = rows->weights,
        .flags = rows->flags,
        .not_finite = rows->not_finite,
    };

    if (zeros)
        memset(rows->hidden, 0, t->layer->hidden * sizeof(float));
    else
        memcpy(rows->hidden, t->hidden, t->layer->hidden * sizeof(float));
    for (uint32_t i = 0; i < slots; i++) {
        const bool tried = i >= from && i < to;

        rows->ids[i] = tried ? t->ids[i] : -1;
        rows->weights[i] = tried ? t->weights[i] : 0;
    }
    rows->flags[0] = flags;
    rows->not_finite[0] = 0;
    if (moed_forward(t->worker->workspace, t->layer->index, &one, NULL) != 0)
        return true; /* says nothing about the row */
    return rows->not_finite[0] == 0 &&
           ((flags & MOED_ROW_ROUTE_ONLY) != 0 ||
            moed_dtype_is_finite(MOED_F32, rows->output, t->layer->hidden));
}

/* Who of the row's experts is not finite alone; NULL: none, together they are. */
static const char *find_culprit(const struct trial *t, char name[32], uint8_t *flags,
                                uint32_t *from, uint32_t *to)
{
    const uint8_t kept = t->flags & MOED_ROW_NORM;

    *flags = kept | MOED_ROW_SUPPLIED | MOED_ROW_NO_SHARED;
    for (uint32_t i = 0; i < t->slots && (t->flags & MOED_ROW_ONLY_SHARED) == 0; i++) {
        if (t->ids[i] < 0 || is_finite(t, false, *flags, i, i + 1))
            continue;
        *from = i;
        *to = i + 1;
        (void)snprintf(name, 32, "expert %" PRId32, t->ids[i]);
        return name;
    }
    *flags = kept | MOED_ROW_SUPPLIED | MOED_ROW_ONLY_SHARED;
    *from = *to = 0;
    if ((t->flags & MOED_ROW_NO_SHARED) == 0 && t->layer->shared.width > 0 &&
        !is_finite(t, false, *flags, 0, 0))
        return "the shared expert";
    return NULL;
}

static float largest(const float *row, uint32_t n)
{
    float most = 0;

    for (uint32_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(row[i]));
    return most;
}

static int blame_router(const struct trial *t, uint32_t row, struct moed_error *err)
{
    const uint8_t flags = (t->flags & MOED_ROW_NORM) | MOED_ROW_ROUTE_ONLY;

    if (!is_finite(t, true, flags, 0, 0))
        return moed_fail(err, MOED_E_WEIGHTS,
                         "layer %" PRIu32 ", row %" PRIu32
                         ": the router's logits are not finite, whatever the row: weights of the "
                         "router, or of the norm before it, are NaN or infinite",
                         t->layer->index, row);
    return moed_fail(err, MOED_E_NOT_FINITE,
                     "layer %" PRIu32 ", row %" PRIu32
                     ": the router's logits are not finite: found numbers up to %g, expected "
                     "smaller ones",
                     t->layer->index, row, (double)largest(t->hidden, t->layer->hidden));
}

static int blame_output(const struct trial *t, uint32_t row, struct moed_error *err)
{
    uint8_t flags;
    uint32_t from, to;
    char name[32];
    const char *who = find_culprit(t, name, &flags, &from, &to);

    if (who == NULL) { /* what remains: the sum, the norm behind it, the residual */
        who = "the sum of its experts";
        flags = t->flags | MOED_ROW_SUPPLIED;
        from = 0;
        to = t->slots;
    }
    if (!is_finite(t, true, flags, from, to))
        return moed_fail(err, MOED_E_WEIGHTS,
                         "layer %" PRIu32 ", row %" PRIu32
                         ": the output of %s is not finite, whatever the row: its weights are NaN "
                         "or infinite (`moed verify` names the tensor)",
                         t->layer->index, row, who);
    return moed_fail(
        err, MOED_E_NOT_FINITE,
        "layer %" PRIu32 ", row %" PRIu32
        ": the output of %s is not finite: found numbers up to %g in the row, expected "
        "smaller ones",
        t->layer->index, row, who, (double)largest(t->hidden, t->layer->hidden));
}

int moed_blame(struct moed_worker *worker, const struct moed_layer *layer,
               const struct moed_part *part, struct moed_error *err)
{
    const struct moed_rows *rows = &worker->rows;
    const size_t at = part->bad_at, slots = worker->batch.slots;
    const struct trial trial = {
        .worker = worker,
        .layer = layer,
        .hidden = rows->in + at * layer->hidden,
        .ids = rows->ids + at * slots,
        .weights = rows->weights + at * slots,
        .slots = (uint32_t)slots,
        .flags = rows->flags[at],
    };

    if (part->fault == MOED_FAULT_DTYPE)
        return moed_fail(err, MOED_E_NOT_FINITE,
                         "layer %" PRIu32 ", row %" PRIu32
                         ": found an output of %g, expected numbers that %s can hold: ask for "
                         "another type",
                         layer->index, part->bad_row,
                         (double)largest(rows->out + at * layer->hidden, layer->hidden),
                         moed_dtype_name(part->job->output_dtype));
    if (part->fault == MOED_FAULT_ROUTER)
        return blame_router(&trial, part->bad_row, err);
    return blame_output(&trial, part->bad_row, err);
}
