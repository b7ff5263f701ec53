/* metrics: counters, gauges and histograms with atomic cells, and their text, Prometheus' or
 * OpenMetrics'. Cells live as long as the registry; updating one takes no lock and may be done from
 * any thread. Base units: seconds, bytes; counters end in _total. */
#ifndef MOED_METRICS_H
#define MOED_METRICS_H

#include "src/base/base.h"

struct moed_metrics; /* a registry */
struct moed_metric;  /* a cell: one name with one set of labels */

enum moed_metric_kind { MOED_COUNTER, MOED_GAUGE };

struct moed_metrics *moed_metrics_create(void);
void moed_metrics_destroy(struct moed_metrics *metrics);

/* Finds or creates the cell. `labels` is the inside of the braces, values escaped already
 * ("layer=\"3\""), or NULL. All cells of a name share kind and help. NULL when out of memory.
 * Takes a lock: look cells up once and keep them. */
struct moed_metric *moed_metrics_cell(struct moed_metrics *metrics, enum moed_metric_kind kind,
                                      const char *name, const char *help, const char *labels);
void moed_metric_add(struct moed_metric *cell, double amount); /* NULL cells are ignored */
void moed_metric_set(struct moed_metric *cell, double value);
double moed_metric_value(const struct moed_metric *cell);

/* Histograms: durations have buckets from 50 µs to 10 s, counts powers of two to 65536. */
enum moed_buckets { MOED_BUCKETS_SECONDS, MOED_BUCKETS_COUNT };
struct moed_histogram;
struct moed_histogram *moed_metrics_histogram(struct moed_metrics *metrics,
                                              enum moed_buckets buckets, const char *name,
                                              const char *help, const char *labels);
void moed_histogram_observe(struct moed_histogram *histogram, double value);

/* Called before each rendering, on the rendering thread, to refresh gauges that are read from
 * elsewhere (queue depths, process memory). At most 8 collectors. */
void moed_metrics_on_render(struct moed_metrics *metrics, void (*collect)(void *context),
                            void *context);
enum moed_metrics_format {
    MOED_PROMETHEUS_TEXT, /* text/plain; version=0.0.4 */
    MOED_OPENMETRICS      /* application/openmetrics-text; version=1.0.0 */
};
/* All metrics as text in a buffer that the caller frees; NULL when out of memory. Also adds
 * process_* (cpu seconds, resident and virtual bytes, open and max fds, start time). */
char *moed_metrics_render(struct moed_metrics *metrics, enum moed_metrics_format format,
                          size_t *size);

#endif
