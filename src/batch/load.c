/* load: tallies of rows and weight an expert, and what they say about balance. */
#include "load.h"

#include <stdlib.h>

static int tally_init(struct moed_tally *tally, uint32_t layers, uint64_t experts)
{
    tally->layer_rows = moed_calloc(layers, sizeof(*tally->layer_rows));
    tally->rows = moed_calloc(experts, sizeof(*tally->rows));
    tally->mass = moed_calloc(experts, sizeof(*tally->mass));
    return tally->layer_rows == NULL || tally->rows == NULL || tally->mass == NULL
               ? MOED_E_NO_MEMORY
               : 0;
}

static void tally_fini(struct moed_tally *tally)
{
    free(tally->layer_rows);
    free(tally->rows);
    free(tally->mass);
}

int moed_load_init(struct moed_load *load, const struct moed_model *model, uint32_t workers)
{
    const uint32_t n = model->n_layers;

    *load = (struct moed_load){
        .model = model,
        .tallies = moed_calloc(workers, sizeof(*load->tallies)),
        .first = moed_calloc((uint64_t)n + 1, sizeof(*load->first)),
    };
    if (load->tallies == NULL || load->first == NULL) {
        return MOED_E_NO_MEMORY;
    }
    load->n_tallies = workers;
    for (uint32_t i = 0; i < n; i++) {
        load->first[i + 1] = load->first[i] + model->layers[i].experts;
    }
    for (uint32_t i = 0; i < workers; i++) {
        if (tally_init(&load->tallies[i], n, load->first[n]) != 0) {
            return MOED_E_NO_MEMORY;
        }
    }
    return tally_init(&load->base, n, load->first[n]);
}

void moed_load_fini(struct moed_load *load)
{
    for (uint32_t i = 0; i < load->n_tallies; i++) {
        tally_fini(&load->tallies[i]);
    }
    tally_fini(&load->base);
    free(load->tallies);
    free(load->first);
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

void moed_load_add(struct moed_load *load, uint32_t worker, uint32_t place,
                   const struct moed_batch_rows *batch)
{
    struct moed_tally *tally = &load->tallies[worker];
    const uint64_t first = load->first[place];
    uint64_t counted = 0;

    for (uint32_t row = 0; row < batch->rows; row++) {
        const size_t at = (size_t)row * batch->slots;

        if (batch->not_finite[row] != 0 ||
            (batch->flags[row] & (MOED_ROW_ROUTE_ONLY | MOED_ROW_ONLY_SHARED)) != 0) {
            continue;
        }
        counted++;
        for (size_t slot = at; slot < at + batch->slots; slot++) {
            if (batch->ids[slot] >= 0) {
                add_rows(&tally->rows[first + (uint32_t)batch->ids[slot]], 1);
                add_mass(&tally->mass[first + (uint32_t)batch->ids[slot]],
                         (double)batch->weights[slot]);
            }
        }
    }
    add_rows(&tally->layer_rows[place], counted);
}

static uint64_t sum_layer(const struct moed_load *load, uint32_t place)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < load->n_tallies; i++) {
        sum += atomic_load_explicit(&load->tallies[i].layer_rows[place], memory_order_relaxed);
    }
    return sum;
}

static uint64_t sum_rows(const struct moed_load *load, uint64_t at)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < load->n_tallies; i++) {
        sum += atomic_load_explicit(&load->tallies[i].rows[at], memory_order_relaxed);
    }
    return sum;
}

static double sum_mass(const struct moed_load *load, uint64_t at)
{
    double sum = 0;

    for (uint32_t i = 0; i < load->n_tallies; i++) {
        sum += atomic_load_explicit(&load->tallies[i].mass[at], memory_order_relaxed);
    }
    return sum;
}

uint64_t moed_load_total(const struct moed_load *load, uint32_t place, uint32_t expert)
{
    return sum_rows(load, load->first[place] + expert);
}

void moed_load_read(const struct moed_load *load, uint32_t place, struct moed_expert_load *out,
                    uint64_t *rows, double *mass)
{
    const uint64_t first = load->first[place], end = load->first[place + 1];
    double sum = 0, squares = 0, most = 0;

    for (uint64_t at = first; at < end; at++) {
        const uint64_t count = sum_rows(load, at) - atomic_load(&load->base.rows[at]);
        const double x = (double)count;

        sum += x;
        squares += x * x;
        most = x > most ? x : most;
        if (rows != NULL) {
            rows[at - first] = count;
        }
        if (mass != NULL) {
            mass[at - first] = sum_mass(load, at) - atomic_load(&load->base.mass[at]);
        }
    }
    out->rows = sum_layer(load, place) - atomic_load(&load->base.layer_rows[place]);
    out->jain = squares > 0 ? sum * sum / ((double)(end - first) * squares) : 1;
    out->max_over_mean = sum > 0 ? most * (double)(end - first) / sum : 1;
}

void moed_load_reset(struct moed_load *load)
{
    for (uint32_t place = 0; place < load->model->n_layers; place++) {
        atomic_store(&load->base.layer_rows[place], sum_layer(load, place));
        for (uint64_t at = load->first[place]; at < load->first[place + 1]; at++) {
            atomic_store(&load->base.rows[at], sum_rows(load, at));
            atomic_store(&load->base.mass[at], sum_mass(load, at));
        }
    }
}
