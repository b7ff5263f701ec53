/* registry: finds, makes and keeps the series, and updates their cells. */
#include "registry.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct moed_metrics *moed_metrics_create(void)
{
    struct moed_metrics *metrics = moed_calloc(1, sizeof *metrics);

    if (metrics != NULL)
        pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

static void free_series(struct series *series)
{
    free(series->histogram);
    free(series->labels);
    free(series);
}

static void keep(void *series)
{
    (void)series; /* the tree only borrows what the list owns */
}

static void free_family(struct family *family)
{
    tdestroy(family->by_labels, keep);
    for (struct series *series = family->first, *next; series != NULL; series = next) {
        next = series->next;
        free_series(series);
    }
    free(family->name);
    free(family->help);
    free(family);
}

void moed_metrics_destroy(struct moed_metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (struct family *family = metrics->first, *next; family != NULL; family = next) {
        next = family->next;
        free_family(family);
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

static struct family *add_family(struct moed_metrics *metrics, enum family_kind kind,
                                 const char *name, const char *help)
{
    struct family *family = moed_calloc(1, sizeof *family);

    if (family == NULL)
        return NULL;
    family->kind = kind;
    family->name = strdup(name);
    family->help = strdup(help);
    if (family->name == NULL || family->help == NULL) {
        free_family(family);
        return NULL;
    }
    if (metrics->last != NULL)
        metrics->last->next = family;
    else
        metrics->first = family;
    metrics->last = family;
    return family;
}

static struct family *find_family(struct moed_metrics *metrics, const char *name)
{
    struct family *family = metrics->first;

    while (family != NULL && strcmp(family->name, name) != 0)
        family = family->next;
    return family;
}

static int compare_labels(const void *a, const void *b)
{
    return strcmp(((const struct series *)a)->labels, ((const struct series *)b)->labels);
}

static bool is_histogram(enum family_kind kind)
{
    return kind == FAMILY_SECONDS || kind == FAMILY_COUNTS;
}

static struct series *make_series(enum family_kind kind, const char *labels)
{
    struct series *series = moed_calloc(1, sizeof *series);

    if (series == NULL)
        return NULL;
    series->labels = strdup(labels);
    if (is_histogram(kind))
        series->histogram = moed_histogram_create(kind);
    if (series->labels == NULL || (is_histogram(kind) && series->histogram == NULL)) {
        free_series(series);
        return NULL;
    }
    return series;
}

/* There may be a series for each expert of each layer, so they are in a tree. It takes the new
 * one, or shows which is there already. */
static struct series *find_or_add_series(struct family *family, const char *labels)
{
    struct series *series = make_series(family->kind, labels);
    struct series **node;

    if (series == NULL)
        return NULL;
    node = tsearch(series, &family->by_labels, compare_labels);
    if (node == NULL || *node != series) {
        free_series(series);
        return node != NULL ? *node : NULL;
    }
    if (family->last != NULL)
        family->last->next = series;
    else
        family->first = series;
    family->last = series;
    return series;
}

struct series *moed_metrics_series(struct moed_metrics *metrics, enum family_kind kind,
                                   const char *name, const char *help, const char *labels)
{
    const char *inside = labels != NULL ? labels : "";
    struct series *series = NULL;
    struct family *family;

    pthread_mutex_lock(&metrics->lock);
    family = find_family(metrics, name);
    if (family == NULL)
        family = add_family(metrics, kind, name, help);
    if (family != NULL && family->kind == kind)
        series = find_or_add_series(family, inside);
    pthread_mutex_unlock(&metrics->lock);
    return series;
}

struct moed_metric *moed_metrics_cell(struct moed_metrics *metrics, enum moed_metric_kind kind,
                                      const char *name, const char *help, const char *labels)
{
    struct series *series = moed_metrics_series(
        metrics, kind == MOED_COUNTER ? FAMILY_COUNTER : FAMILY_GAUGE, name, help, labels);

    return series != NULL ? &series->cell : NULL;
}

void moed_atomic_add(_Atomic double *sum, double amount)
{
    double old = atomic_load_explicit(sum, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(sum, &old, old + amount, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

void moed_metric_add(struct moed_metric *cell, double amount)
{
    if (cell != NULL)
        moed_atomic_add(&cell->value, amount);
}

void moed_metric_set(struct moed_metric *cell, double value)
{
    if (cell != NULL)
        atomic_store_explicit(&cell->value, value, memory_order_relaxed);
}

double moed_metric_value(const struct moed_metric *cell)
{
    return cell != NULL ? atomic_load_explicit(&cell->value, memory_order_relaxed) : 0.0;
}

void moed_metrics_on_render(struct moed_metrics *metrics, void (*collect)(void *context),
                            void *context)
{
    pthread_mutex_lock(&metrics->lock);
    if (metrics->n_collectors < MAX_COLLECTORS) {
        metrics->collectors[metrics->n_collectors].collect = collect;
        metrics->collectors[metrics->n_collectors].context = context;
        metrics->n_collectors++;
    }
    pthread_mutex_unlock(&metrics->lock);
}
