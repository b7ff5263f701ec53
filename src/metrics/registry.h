/* registry: what the files of this room share: families of series, and their atomic cells. */
#ifndef MOED_METRICS_REGISTRY_H
#define MOED_METRICS_REGISTRY_H

#include "src/metrics/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { MAX_COLLECTORS = 8, MAX_BOUNDS = 17 };

struct moed_metric {
    _Atomic double value;
};

struct moed_histogram {
    const double *bounds; /* upper bounds of the buckets, rising; one more holds the rest */
    size_t n_bounds;
    _Atomic uint64_t buckets[MAX_BOUNDS + 1]; /* not cumulative: rendering adds them up */
    _Atomic double sum;
};

/* The last two are histograms, which differ in their buckets. */
enum family_kind { FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_SECONDS, FAMILY_COUNTS };

/* One line of output, or a histogram's lines. */
struct series {
    struct series *_Atomic next; /* in order of creation */
    char *labels;                /* "" without labels */
    struct moed_metric cell;
    struct moed_histogram *histogram; /* NULL but in a family of histograms */
};

/* All series of a name. */
struct family {
    struct family *_Atomic next;
    char *name, *help;
    enum family_kind kind;
    struct series *_Atomic first;
    struct series *last;
    void *by_labels; /* a tsearch tree of the same series */
};

/* Families and series are only ever added, whole and at the end, until the registry goes: so a
 * reader needs no lock, however long it takes, and whoever adds one meanwhile does not wait. */
struct moed_metrics {
    pthread_mutex_t lock; /* for adding */
    struct family *_Atomic first;
    struct family *last;
    struct {
        void (*collect)(void *context);
        void *context;
    } collectors[MAX_COLLECTORS];
    size_t n_collectors;
};

/* The series of that name and labels, made if it is new; NULL when out of memory or when the name
 * is of another kind already. */
struct series *moed_metrics_series(struct moed_metrics *metrics, enum family_kind kind,
                                   const char *name, const char *help, const char *labels);

/* Adds without a lock, from any thread. */
void moed_atomic_add(_Atomic double *sum, double amount);

/* NULL when out of memory; free() it. */
struct moed_histogram *moed_histogram_create(enum family_kind kind);
/* ---- text; `open` is OpenMetrics ---- */
/* "# HELP" and "# TYPE". OpenMetrics calls a counter without the _total of its samples. */
void moed_family_write(FILE *out, bool open, const char *name, const char *type, const char *help);
void moed_histogram_write(FILE *out, bool open, const char *name, const struct series *series);
void moed_process_write(FILE *out, bool open);
/* A sample's value: the shorter of two forms that read back as the same double. */
void moed_number_write(FILE *out, double value);

#endif
