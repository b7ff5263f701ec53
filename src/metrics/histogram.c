/* histogram: where an observation is counted, and the lines that a histogram prints. */
#include "registry.h"

#include <inttypes.h>
#include <math.h>

static const double seconds_bounds[] = {50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3,
                                        5e-3,  10e-3,  25e-3,  50e-3,  0.1,  0.25,
                                        0.5,   1.0,    2.5,    5.0,    10.0};
static const double count_bounds[] = {1,   2,    4,    8,    16,   32,    64,    128,  256,
                                      512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};

_Static_assert(MOED_ARRAY_LEN(seconds_bounds) <= MAX_BOUNDS, "fits a histogram");
_Static_assert(MOED_ARRAY_LEN(count_bounds) <= MAX_BOUNDS, "fits a histogram");

struct moed_histogram *moed_histogram_create(enum family_kind kind)
{
    struct moed_histogram *histogram = moed_calloc(1, sizeof *histogram);

    if (histogram == NULL)
        return NULL;
    if (kind == FAMILY_SECONDS) {
        histogram->bounds = seconds_bounds;
        histogram->n_bounds = MOED_ARRAY_LEN(seconds_bounds);
    } else {
        histogram->bounds = count_bounds;
        histogram->n_bounds = MOED_ARRAY_LEN(count_bounds);
    }
    return histogram;
}

struct moed_histogram *moed_metrics_histogram(struct moed_metrics *metrics,
                                              enum moed_buckets buckets, const char *name,
                                              const char *help, const char *labels)
{
    const enum family_kind kind = buckets == MOED_BUCKETS_SECONDS ? FAMILY_SECONDS : FAMILY_COUNTS;
    struct series *series = moed_metrics_series(metrics, kind, name, help, labels);

    return series != NULL ? series->histogram : NULL;
}

void moed_histogram_observe(struct moed_histogram *histogram, double value)
{
    size_t bucket = 0;

    /* A NaN belongs in no bucket and would spoil the sum for good. */
    if (histogram == NULL || isnan(value))
        return;
    while (bucket < histogram->n_bounds && value > histogram->bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
    moed_atomic_add(&histogram->sum, value);
}

/* OpenMetrics wants bounds to look like the floats that they are. */
static void write_bound(FILE *out, bool open, double bound)
{
    moed_number_write(out, bound);
    if (open && isfinite(bound) && floor(bound) == bound)
        fputs(".0", out);
}

void moed_histogram_write(FILE *out, bool open, const char *name, const struct series *series)
{
    const struct moed_histogram *histogram = series->histogram;
    const char *labels = series->labels;
    const char *comma = *labels != '\0' ? "," : "";
    const char *left = *labels != '\0' ? "{" : "";
    const char *right = *labels != '\0' ? "}" : "";
    uint64_t total = 0;

    for (size_t i = 0; i <= histogram->n_bounds; i++) {
        total += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        fprintf(out, "%s_bucket{%s%sle=\"", name, labels, comma);
        write_bound(out, open, i < histogram->n_bounds ? histogram->bounds[i] : INFINITY);
        fprintf(out, "\"} %" PRIu64 "\n", total);
    }
    fprintf(out, "%s_sum%s%s%s ", name, left, labels, right);
    moed_number_write(out, atomic_load_explicit(&histogram->sum, memory_order_relaxed));
    fprintf(out, "\n%s_count%s%s%s %" PRIu64 "\n", name, left, labels, right, total);
}
