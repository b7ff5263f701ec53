/* render: all families as Prometheus text, format 0.0.4. */
#include "registry.h"

#include <math.h>
#include <stdlib.h>

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

static void write_family(FILE *out, const struct family *family)
{
    static const char *const types[] = {
        [FAMILY_COUNTER] = "counter",
        [FAMILY_GAUGE] = "gauge",
        [FAMILY_SECONDS] = "histogram",
        [FAMILY_COUNTS] = "histogram",
    };

    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
            types[family->kind]);
    for (const struct series *series = family->first; series != NULL; series = series->next)
        if (series->histogram != NULL)
            moed_histogram_write(out, family->name, series);
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

char *moed_metrics_render(struct moed_metrics *metrics, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    bool failed;

    if (out == NULL)
        return NULL;
    collect(metrics);
    for (const struct family *family = metrics->first; family != NULL; family = family->next)
        write_family(out, family);
    moed_process_write(out);

    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
