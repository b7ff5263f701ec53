/* ceilings: measures the peaks of kernels/cpu/peak.h with all threads, and compares. */
#include "ceilings.h"

#include <string.h>

#include "json.h"
#include "passes.h"
#include "probe.h"

enum { PASSES = 20, PASS_NS = 5000000 }; /* short: other processes disturb some passes only */

struct run {
    const struct moed_peak *peak;
    uint64_t rounds;
};

static void work(void *context, uint32_t thread)
{
    const struct run *run = context;
    volatile uint32_t used;

    (void)thread;
    used = run->peak->run(run->rounds);
    (void)used;
}

/* Rounds that take one thread about PASS_NS; the first ones also wake the wide units. */
static uint64_t rounds_of(const struct moed_peak *peak)
{
    struct run run = {peak, 1000};

    for (;; run.rounds *= 4) {
        const uint64_t begin = moed_now_ns();

        work(&run, 0);
        const uint64_t elapsed = moed_now_ns() - begin;

        if (elapsed > PASS_NS / 8)
            return (uint64_t)((double)run.rounds * PASS_NS / (double)elapsed) + 1;
    }
}

static int measure_unit(const struct moed_peak *peak, uint32_t threads, double *gops,
                        struct moed_error *err)
{
    struct run run = {peak, rounds_of(peak)};
    const struct passes passes = {NULL, work, &run, PASSES};
    double seconds;
    const int status = passes_time(&passes, threads, &seconds, err);

    if (status == 0)
        *gops = (double)run.rounds * peak->ops * threads / seconds * 1e-9;
    return status;
}

int ceilings_measure(uint32_t threads, struct ceilings *out, struct moed_error *err)
{
    int status = probe_read_bandwidth(threads, &out->dram_read_gbps, err);

    out->units = 0;
    for (size_t i = 0; moed_peak_at(i) != NULL && out->units < CEILINGS_MAX && status == 0; i++) {
        if (!moed_peak_supported(moed_peak_at(i)))
            continue;
        out->unit[out->units].peak = moed_peak_at(i);
        status = measure_unit(moed_peak_at(i), threads, &out->unit[out->units].gops, err);
        out->units++;
    }
    return status;
}

void ceilings_print(const struct ceilings *ceilings, FILE *out)
{
    fprintf(out, "%-16s %9.1f GB/s\n", "memory", ceilings->dram_read_gbps);
    for (uint32_t i = 0; i < ceilings->units; i++)
        fprintf(out, "%-16s %9.1f GOPS\n", ceilings->unit[i].peak->name, ceilings->unit[i].gops);
    fputc('\n', out);
}

void ceilings_print_json(const struct ceilings *ceilings, FILE *out)
{
    fprintf(out, "{\"ceilings\":{\"dram_read_gbps\":%.6g,\"gops\":{", ceilings->dram_read_gbps);
    for (uint32_t i = 0; i < ceilings->units; i++) {
        fputs(i > 0 ? "," : "", out);
        json_string(out, ceilings->unit[i].peak->name);
        fprintf(out, ":%.6g", ceilings->unit[i].gops);
    }
    fputs("}}}\n", out);
}

/* The unit that multiplies the layer's up projections, or NULL. */
static const struct moed_peak *unit_of(const struct moed_backend *backend,
                                       const struct moed_layer *layer)
{
    const struct moed_isa *isa = moed_isa_by_name(moed_backend_isa(backend));
    const struct moed_product *product;

    if (isa == NULL)
        return NULL;
    product = moed_isa_product(isa, layer->routed.up.format);
    if (product == NULL || strcmp(moed_backend_activations(backend), "f32") == 0)
        return moed_peak_of(isa, MOED_ROWS_F32);
    return moed_peak_of(isa, product->rows);
}

struct bound ceilings_bound(const struct ceilings *ceilings, const struct moed_backend *backend,
                            const struct moed_layer *layer, double of_memory, double gflops)
{
    const struct moed_peak *unit = unit_of(backend, layer);
    struct bound bound = {"memory", of_memory};

    /* Both rates are of one batch: the larger fraction is that of the bound that takes longer. */
    for (uint32_t i = 0; i < ceilings->units; i++)
        if (ceilings->unit[i].peak == unit && gflops / ceilings->unit[i].gops > bound.fraction)
            bound = (struct bound){unit->name, gflops / ceilings->unit[i].gops};
    return bound;
}
