/* render: all families as Prometheus text, format 0.0.4, or as OpenMetrics 1.0.0, which differs in
 * what counters are called, how buckets are written, and its last line. */
#include "registry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void moed_number_write(FILE *out, double value)
{
    char text[32];

    if (isnan(value)) {
        fputs("NaN", out);
    } else if (isinf(value)) {
        fputs(value > 0 ? "+Inf" : "-Inf", out);
    } else {
        snprintf(text, sizeof text, "%.15g", value);
        if (strtod(text, NULL) != value)
            snprintf(text, sizeof text, "%.17g", value);
        fputs(text, out);
    }
}

static void write_cell(FILE *out, const char *name, const struct series *series)
{
    if (*series->labels != '\0')
        fprintf(out, "%s{%s} ", name, series->labels);
    else
        fprintf(out, "%s ", name);
    moed_number_write(out, moed_metric_value(&series->cell));
    fputc('\n', out);
}

void moed_family_write(FILE *out, bool open, const char *name, const char *type, const char *help)
{
    static const char total[] = "_total";
    int size = (int)strlen(name), end = size - (int)strlen(total);

    if (open && end > 0 && strcmp(name + end, total) == 0)
        size = end;
    fprintf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", size, name, help, size, name, type);
}

static void write_family(FILE *out, bool open, const struct family *family)
{
    static const char *const types[] = {
        [FAMILY_COUNTER] = "counter",
        [FAMILY_GAUGE] = "gauge",
        [FAMILY_SECONDS] = "histogram",
        [FAMILY_COUNTS] = "histogram",
    };

    moed_family_write(out, open, family->name, types[family->kind], family->help);
    for (const struct series *series = family->first; series != NULL; series = series->next)
        if (series->histogram != NULL)
            moed_histogram_write(out, open, family->name, series);
        else
            write_cell(out, family->name, series);
}

/* Without the lock held during the calls: a collector may look cells up. */
static void collect(struct moed_metrics *metrics)
{
    size_t n_collectors;

    pthread_mutex_lock(&metrics->lock);
    n_collectors = metrics->n_collectors;
    pthread_mutex_unlock(&metrics->lock);
    for (size_t i = 0; i < n_collectors; i++)
        metrics->collectors[i].collect(metrics->collectors[i].context);
}

char *moed_metrics_render(struct moed_metrics *metrics, enum moed_metrics_format format,
                          size_t *size)
{
    const bool open = format == MOED_OPENMETRICS;
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    bool failed;

    if (out == NULL)
        return NULL;
    collect(metrics);
    for (const struct family *family = metrics->first; family != NULL; family = family->next)
        write_family(out, open, family);
    moed_process_write(out, open);
    if (open)
        fputs("# EOF\n", out);

    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
