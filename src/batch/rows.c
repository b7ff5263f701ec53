/* rows: copying in and out of a batch. A job's rows stand together in it, in their order, so each
 * part is one conversion each way, or none. */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

int moed_rows_init(struct moed_rows *rows, const struct moed_model *model, uint32_t max_rows)
{
    uint64_t hidden = 0, experts = 0, slots = 0;

    for (uint32_t i = 0; i < model->n_layers; i++) {
        const struct moed_layer *layer = &model->layers[i];

        hidden = larger(hidden, layer->hidden);
        experts = larger(experts, layer->experts);
        slots = larger(slots, larger((uint64_t)max_rows * layer->used, layer->experts));
    }
    *rows = (struct moed_rows){
        .hidden = moed_aligned_alloc(max_rows * hidden, sizeof(float)),
        .output = moed_aligned_alloc(max_rows * hidden, sizeof(float)),
        .weights = moed_aligned_alloc(slots, sizeof(float)),
        .logits = moed_aligned_alloc(max_rows * experts, sizeof(float)),
        .ids = moed_aligned_alloc(slots, sizeof(int32_t)),
        .flags = moed_aligned_alloc(max_rows, 1),
        .not_finite = moed_aligned_alloc(max_rows, 1),
    };
    return rows->hidden == NULL || rows->output == NULL || rows->weights == NULL ||
                   rows->logits == NULL || rows->ids == NULL || rows->flags == NULL ||
                   rows->not_finite == NULL
               ? MOED_E_NO_MEMORY
               : 0;
}

void moed_rows_fini(struct moed_rows *rows)
{
    free(rows->hidden);
    free(rows->output);
    free(rows->weights);
    free(rows->logits);
    free(rows->ids);
    free(rows->flags);
    free(rows->not_finite);
}

/* The element at [row, 0] of an array of `width` elements a row, in a job's own type. */
static const uint8_t *row_in(const void *base, enum moed_dtype dtype, uint32_t row, uint32_t width)
{
    return (const uint8_t *)base + (size_t)row * width * moed_dtype_size(dtype);
}

static uint8_t *row_out(void *base, enum moed_dtype dtype, uint32_t row, uint32_t width)
{
    return (uint8_t *)base + (size_t)row * width * moed_dtype_size(dtype);
}

/* Copies the routing that a part supplies, padding its rows to the batch's width. */
static void gather_routing(struct moed_rows *rows, const struct moed_part *part, uint32_t at,
                           uint32_t slots)
{
    const struct moed_job *job = part->job;

    for (uint32_t i = 0; i < part->rows; i++) {
        const size_t from = ((size_t)part->first + i) * job->slots;
        const size_t to = ((size_t)at + i) * slots;

        for (uint32_t slot = 0; slot < slots; slot++) {
            const bool given = slot < job->slots;

            rows->ids[to + slot] = given ? job->expert_ids[from + slot] : -1;
            rows->weights[to + slot] = given ? job->expert_weights[from + slot] : 0;
        }
    }
}

/* Of partial sums that are to add up, one brings what a row has once. */
static uint8_t flags_of(const struct moed_job *job, const struct moed_layer *layer)
{
    const bool whole = !job->skip_missing || layer->primary;

    return (uint8_t)(whole ? job->flags : job->flags | MOED_ROW_NO_SHARED | MOED_ROW_PART);
}

static bool is_float_place(const void *place)
{
    return (uintptr_t)place % sizeof(float) == 0;
}

/* Has the batch's rows and outputs stand in the worker's buffers, or where those of its only job
 * are, if they are float32: a copy each way costs more than a small layer. */
static void place_rows(struct moed_rows *rows, const struct moed_layer *layer,
                       const struct moed_batch *batch)
{
    const struct moed_part *part = &batch->parts[0];
    const struct moed_job *job = part->job;
    const size_t first = (size_t)part->first * layer->hidden;

    rows->in = rows->hidden;
    rows->out = rows->output;
    if (batch->n_parts != 1)
        return;
    if (job->hidden_dtype == MOED_F32 && is_float_place(job->hidden))
        rows->in = (const float *)job->hidden + first;
    if (job->output_dtype == MOED_F32 && job->output != NULL && is_float_place(job->output) &&
        (job->flags & MOED_ROW_ROUTE_ONLY) == 0)
        rows->out = (float *)job->output + first;
}

void moed_rows_gather(struct moed_rows *rows, const struct moed_layer *layer,
                      const struct moed_batch *batch, struct moed_batch_rows *out)
{
    bool logits = false;
    uint32_t at = 0;

    place_rows(rows, layer, batch);
    for (uint32_t i = 0; i < batch->n_parts; i++) {
        const struct moed_part *part = &batch->parts[i];
        const struct moed_job *job = part->job;

        if (rows->in == rows->hidden)
            moed_dtype_to_f32(job->hidden_dtype,
                              row_in(job->hidden, job->hidden_dtype, part->first, layer->hidden),
                              rows->hidden + (size_t)at * layer->hidden,
                              (size_t)part->rows * layer->hidden);
        if ((job->flags & MOED_ROW_SUPPLIED) != 0)
            gather_routing(rows, part, at, batch->slots);
        memset(rows->flags + at, flags_of(job, layer), part->rows);
        logits = logits || job->logits != NULL;
        at += part->rows;
    }
    memset(rows->not_finite, 0, batch->rows);
    *out = (struct moed_batch_rows){
        .rows = batch->rows,
        .slots = batch->slots,
        .hidden = rows->in,
        .output = rows->out,
        .ids = rows->ids,
        .weights = rows->weights,
        .logits = logits ? rows->logits : NULL,
        .flags = rows->flags,
        .not_finite = rows->not_finite,
    };
}

/* Gives a part the routing that the router chose, as far as its owner wants it. */
static void scatter_routing(const struct moed_rows *rows, const struct moed_part *part, uint32_t at,
                            uint32_t slots)
{
    const struct moed_job *job = part->job;

    for (uint32_t i = 0; i < part->rows; i++) {
        const size_t from = ((size_t)at + i) * slots;
        const size_t to = ((size_t)part->first + i) * job->slots;

        if (job->expert_ids != NULL)
            memcpy(job->expert_ids + to, rows->ids + from, job->slots * sizeof(int32_t));
        if (job->expert_weights != NULL)
            memcpy(job->expert_weights + to, rows->weights + from, job->slots * sizeof(float));
    }
}

/* Counts the slots of a part whose experts are not held here. */
static void find_missing(const struct moed_rows *rows, const struct moed_layer *layer,
                         struct moed_part *part, uint32_t at, uint32_t slots)
{
    const int32_t *ids = rows->ids + (size_t)at * slots;

    if (layer->held == layer->experts ||
        (part->job->flags & (MOED_ROW_ROUTE_ONLY | MOED_ROW_ONLY_SHARED)) != 0)
        return;
    for (size_t i = 0; i < (size_t)part->rows * slots; i++) {
        if (ids[i] < 0 || moed_layer_holds(layer, (uint32_t)ids[i]))
            continue;
        if (part->missing++ == 0) {
            part->missing_row = part->first + (uint32_t)(i / slots);
            part->missing_expert = (uint32_t)ids[i];
        }
    }
}

/* The first of some rows that is not finite, and how many are not. */
static void find_bad(struct moed_part *part, enum moed_fault fault, enum moed_dtype dtype,
                     const uint8_t *rows, uint32_t width)
{
    const size_t size = width * moed_dtype_size(dtype);

    if (moed_dtype_is_finite(dtype, rows, (size_t)part->rows * width))
        return;
    for (uint32_t i = 0; i < part->rows; i++) {
        if (moed_dtype_is_finite(dtype, rows + i * size, width))
            continue;
        if (part->bad_rows++ == 0) {
            part->fault = fault;
            part->bad_row = part->first + i;
        }
    }
}

/* A row is answered with numbers or not at all, in whatever form. */
static void check_output(const struct moed_rows *rows, const struct moed_layer *layer,
                         struct moed_part *part, uint32_t at)
{
    const struct moed_job *job = part->job;
    const uint8_t *computed = row_in(rows->out, MOED_F32, at, layer->hidden);

    if (job->output == NULL || (job->flags & MOED_ROW_ROUTE_ONLY) != 0)
        return;
    find_bad(part, MOED_FAULT_OUTPUT, MOED_F32, computed, layer->hidden);
    if (part->fault == MOED_FAULT_NONE && job->output_dtype != MOED_F32)
        find_bad(part, MOED_FAULT_DTYPE, job->output_dtype,
                 row_in(job->output, job->output_dtype, part->first, layer->hidden), layer->hidden);
    part->bad_at = at + part->bad_row - part->first;
}

static void check_router(const struct moed_rows *rows, struct moed_part *part, uint32_t at)
{
    for (uint32_t i = 0; i < part->rows; i++) {
        if (rows->not_finite[at + i] == 0 || part->bad_rows++ > 0)
            continue;
        part->fault = MOED_FAULT_ROUTER;
        part->bad_row = part->first + i;
        part->bad_at = at + i;
    }
}

static void scatter_part(const struct moed_rows *rows, const struct moed_layer *layer,
                         const struct moed_part *part, uint32_t at, uint32_t slots)
{
    const struct moed_job *job = part->job;

    if (job->output != NULL && (job->flags & MOED_ROW_ROUTE_ONLY) == 0 && rows->out == rows->output)
        moed_dtype_from_f32(job->output_dtype, rows->output + (size_t)at * layer->hidden,
                            row_out(job->output, job->output_dtype, part->first, layer->hidden),
                            (size_t)part->rows * layer->hidden);
    if ((job->flags & MOED_ROW_SUPPLIED) != 0)
        return;
    scatter_routing(rows, part, at, slots);
    if (job->logits != NULL)
        memcpy(job->logits + (size_t)part->first * layer->experts,
               rows->logits + (size_t)at * layer->experts,
               (size_t)part->rows * layer->experts * sizeof(float));
}

void moed_rows_scatter(const struct moed_rows *rows, const struct moed_layer *layer,
                       struct moed_batch *batch)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < batch->n_parts; i++) {
        struct moed_part *part = &batch->parts[i];

        check_router(rows, part, at);
        if (part->fault == MOED_FAULT_NONE) {
            find_missing(rows, layer, part, at, batch->slots);
            scatter_part(rows, layer, part, at, batch->slots);
            check_output(rows, layer, part, at);
        }
        at += part->rows;
    }
}
