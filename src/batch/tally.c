/* tally: counts of rows and weight an expert, and what they say about balance. */
#include "tally.h"

#include <stdlib.h>

static int counts_init(struct moed_counts *counts, uint32_t layers, uint64_t experts)
{
    counts->layer_rows = moed_calloc(layers, sizeof *counts->layer_rows);
    counts->rows = moed_calloc(experts, sizeof *counts->rows);
    counts->mass = moed_calloc(experts, sizeof *counts->mass);
    return counts->layer_rows == NULL || counts->rows == NULL || counts->mass == NULL
               ? MOED_E_NO_MEMORY
               : 0;
}

static void counts_fini(struct moed_counts *counts)
{
    free(counts->layer_rows);
    free(counts->rows);
    free(counts->mass);
}

int moed_tally_init(struct moed_tally *tally, const struct moed_model *model, uint32_t workers)
{
    const uint32_t n = model->n_layers;

    *tally = (struct moed_tally){
        .model = model,
        .counts = moed_calloc(workers, sizeof *tally->counts),
        .first = moed_calloc((uint64_t)n + 1, sizeof *tally->first),
    };
    if (tally->counts == NULL || tally->first == NULL)
        return MOED_E_NO_MEMORY;
    tally->n_counts = workers;
    for (uint32_t i = 0; i < n; i++)
        tally->first[i + 1] = tally->first[i] + model->layers[i].experts;
    for (uint32_t i = 0; i < workers; i++)
        if (counts_init(&tally->counts[i], n, tally->first[n]) != 0)
            return MOED_E_NO_MEMORY;
    return counts_init(&tally->base, n, tally->first[n]);
}

void moed_tally_fini(struct moed_tally *tally)
{
    for (uint32_t i = 0; i < tally->n_counts; i++)
        counts_fini(&tally->counts[i]);
    counts_fini(&tally->base);
    free(tally->counts);
    free(tally->first);
}

/* A cell has one writer, so a load and a store do; no read-modify-write is needed. */
static void add_rows(_Atomic uint64_t *cell, uint64_t amount)
{
    const uint64_t value = atomic_load_explicit(cell, memory_order_relaxed);

    atomic_store_explicit(cell, value + amount, memory_order_relaxed);
}

static void add_mass(_Atomic double *cell, double amount)
{
    const double value = atomic_load_explicit(cell, memory_order_relaxed);

    atomic_store_explicit(cell, value + amount, memory_order_relaxed);
}

void moed_tally_add(struct moed_tally *tally, uint32_t worker, uint32_t place,
                    const struct moed_batch_rows *batch)
{
    struct moed_counts *counts = &tally->counts[worker];
    const struct moed_layer *layer = &tally->model->layers[place];
    const uint64_t first = tally->first[place];
    uint64_t counted = 0;

    for (uint32_t row = 0; row < batch->rows; row++) {
        const size_t at = (size_t)row * batch->slots;

        if (batch->not_finite[row] != 0 ||
            (batch->flags[row] & (MOED_ROW_ROUTE_ONLY | MOED_ROW_ONLY_SHARED)) != 0)
            continue;
        counted++;
        for (size_t slot = at; slot < at + batch->slots; slot++) {
            if (batch->ids[slot] >= 0 && moed_layer_holds(layer, (uint32_t)batch->ids[slot])) {
                add_rows(&counts->rows[first + (uint32_t)batch->ids[slot]], 1);
                add_mass(&counts->mass[first + (uint32_t)batch->ids[slot]],
                         (double)batch->weights[slot]);
            }
        }
    }
    add_rows(&counts->layer_rows[place], counted);
}

static uint64_t sum_layer(const struct moed_tally *tally, uint32_t place)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < tally->n_counts; i++)
        sum += atomic_load_explicit(&tally->counts[i].layer_rows[place], memory_order_relaxed);
    return sum;
}

static uint64_t sum_rows(const struct moed_tally *tally, uint64_t at)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < tally->n_counts; i++)
        sum += atomic_load_explicit(&tally->counts[i].rows[at], memory_order_relaxed);
    return sum;
}

static double sum_mass(const struct moed_tally *tally, uint64_t at)
{
    double sum = 0;

    for (uint32_t i = 0; i < tally->n_counts; i++)
        sum += atomic_load_explicit(&tally->counts[i].mass[at], memory_order_relaxed);
    return sum;
}

uint64_t moed_tally_total(const struct moed_tally *tally, uint32_t place, uint32_t expert)
{
    return sum_rows(tally, tally->first[place] + expert);
}

void moed_tally_read(const struct moed_tally *tally, uint32_t place, struct moed_expert_load *out,
                     uint64_t *rows, double *mass)
{
    const uint64_t first = tally->first[place], end = tally->first[place + 1];
    const uint64_t rows_before = atomic_load(&tally->base.layer_rows[place]);
    const double held = tally->model->layers[place].held;
    double sum = 0, squares = 0, most = 0;

    for (uint64_t at = first; at < end; at++) {
        /* The base first: one that a reset makes meanwhile may be larger than our sum. */
        const uint64_t before = atomic_load(&tally->base.rows[at]);
        const uint64_t count = sum_rows(tally, at) - before;
        const double x = (double)count;

        sum += x;
        squares += x * x;
        most = x > most ? x : most;
        if (rows != NULL)
            rows[at - first] = count;
        if (mass != NULL) {
            const double mass_before = atomic_load(&tally->base.mass[at]);

            mass[at - first] = sum_mass(tally, at) - mass_before;
        }
    }
    out->rows = sum_layer(tally, place) - rows_before;
    out->jain = squares > 0 ? sum * sum / (held * squares) : 1;
    out->max_over_mean = sum > 0 ? most * held / sum : 1;
}

void moed_tally_reset(struct moed_tally *tally)
{
    for (uint32_t place = 0; place < tally->model->n_layers; place++) {
        atomic_store(&tally->base.layer_rows[place], sum_layer(tally, place));
        for (uint64_t at = tally->first[place]; at < tally->first[place + 1]; at++) {
            atomic_store(&tally->base.rows[at], sum_rows(tally, at));
            atomic_store(&tally->base.mass[at], sum_mass(tally, at));
        }
    }
}
