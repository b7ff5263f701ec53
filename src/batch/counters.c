/* counters: names, help and labels of the room's metrics. */
#include "counters.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LABELS_MAX = 64 };

static void init_common(struct moed_counters *c, struct moed_metrics *m)
{
    c->queue_rows =
        moed_metrics_cell(m, MOED_GAUGE, "moed_queue_rows", "Rows that wait in the queues.", NULL);
    c->queue_requests = moed_metrics_cell(m, MOED_GAUGE, "moed_queue_requests",
                                          "Requests that wait in the queues.", NULL);
    c->batches_cut = moed_metrics_cell(m, MOED_COUNTER, "moed_batches_cut_total",
                                       "Batches that took a part of a request, since all of it "
                                       "would have kept others waiting too long.",
                                       NULL);
    c->queue_wait =
        moed_metrics_histogram(m, MOED_BUCKETS_SECONDS, "moed_queue_wait_seconds",
                               "Time a request waited until its first row was taken.", NULL);
    c->batch_rows =
        moed_metrics_histogram(m, MOED_BUCKETS_COUNT, "moed_batch_rows", "Rows of a batch.", NULL);
    c->batch_requests = moed_metrics_histogram(m, MOED_BUCKETS_COUNT, "moed_batch_requests",
                                               "Requests with rows in a batch.", NULL);
    c->active_experts = moed_metrics_histogram(m, MOED_BUCKETS_COUNT, "moed_batch_active_experts",
                                               "Experts that had a row of a batch.", NULL);
    c->weight_bytes = moed_metrics_cell(m, MOED_COUNTER, "moed_expert_weight_bytes_total",
                                        "Bytes of weights that batches used; its rate is the "
                                        "effective bandwidth.",
                                        NULL);
    c->bad_weights = moed_metrics_cell(m, MOED_COUNTER, "moed_rows_not_finite_total",
                                       "Rows refused because what was computed is NaN or infinite, "
                                       "by what is to blame.",
                                       "cause=\"weights\"");
    c->bad_rows =
        moed_metrics_cell(m, MOED_COUNTER, "moed_rows_not_finite_total", "", "cause=\"row\"");
}

static int init_experts(struct moed_layer_counters *c, struct moed_metrics *m,
                        const struct moed_layer *layer)
{
    char labels[LABELS_MAX];

    c->expert_rows = moed_calloc(layer->experts, sizeof(struct moed_metric *));
    if (c->expert_rows == NULL)
        return MOED_E_NO_MEMORY;
    for (uint32_t e = 0; e < layer->experts; e++) {
        snprintf(labels, sizeof labels, "layer=\"%" PRIu32 "\",expert=\"%" PRIu32 "\"",
                 layer->index, e);
        c->expert_rows[e] = moed_metrics_cell(m, MOED_COUNTER, "moed_expert_rows_total",
                                              "Rows that an expert computed.", labels);
    }
    return 0;
}

static void init_layer(struct moed_layer_counters *c, struct moed_metrics *m, uint32_t layer)
{
    char labels[LABELS_MAX];

    snprintf(labels, sizeof labels, "layer=\"%" PRIu32 "\"", layer);
    c->batches =
        moed_metrics_cell(m, MOED_COUNTER, "moed_batches_total", "Batches computed.", labels);
    c->rows = moed_metrics_cell(m, MOED_COUNTER, "moed_rows_total", "Rows computed.", labels);
    c->compute = moed_metrics_histogram(m, MOED_BUCKETS_SECONDS, "moed_batch_compute_seconds",
                                        "Time of a layer's forward pass over a batch.", labels);
    c->imbalance = moed_metrics_cell(m, MOED_GAUGE, "moed_expert_load_imbalance_ratio",
                                     "Rows of the busiest expert over the mean of all.", labels);
}

static void init_worker(struct moed_metric **busy, struct moed_metrics *m, uint32_t worker)
{
    char labels[LABELS_MAX];

    snprintf(labels, sizeof labels, "worker=\"%" PRIu32 "\"", worker);
    *busy = moed_metrics_cell(m, MOED_COUNTER, "moed_worker_busy_seconds_total",
                              "Time that a worker spent on batches.", labels);
}

int moed_counters_init(struct moed_counters *counters, struct moed_metrics *metrics,
                       const struct moed_model *model, const struct moed_batcher_options *options)
{
    *counters = (struct moed_counters){
        .layers = moed_calloc(model->n_layers, sizeof *counters->layers),
        .worker_busy = moed_calloc(options->workers, sizeof(struct moed_metric *)),
    };
    if (counters->layers == NULL || counters->worker_busy == NULL)
        return MOED_E_NO_MEMORY;
    counters->n_layers = model->n_layers;
    init_common(counters, metrics);
    for (uint32_t i = 0; i < options->workers; i++)
        init_worker(&counters->worker_busy[i], metrics, i);
    for (uint32_t i = 0; i < model->n_layers; i++) {
        init_layer(&counters->layers[i], metrics, model->layers[i].index);
        if (options->per_expert_metrics &&
            init_experts(&counters->layers[i], metrics, &model->layers[i]) != 0)
            return MOED_E_NO_MEMORY;
    }
    return 0;
}

void moed_counters_fini(struct moed_counters *counters)
{
    for (uint32_t i = 0; i < counters->n_layers; i++)
        free(counters->layers[i].expert_rows);
    free(counters->layers);
    free(counters->worker_busy);
}

void moed_counters_batch(const struct moed_counters *counters, const struct moed_batch *batch,
                         const struct moed_batch_rows *rows, double seconds)
{
    const struct moed_layer_counters *layer = &counters->layers[batch->place];

    moed_metric_add(layer->batches, 1);
    moed_metric_add(layer->rows, batch->rows);
    if (batch->cut)
        moed_metric_add(counters->batches_cut, 1);
    moed_histogram_observe(layer->compute, seconds);
    moed_histogram_observe(counters->batch_rows, batch->rows);
    moed_histogram_observe(counters->batch_requests, batch->n_parts);
    moed_histogram_observe(counters->active_experts, rows->active_experts);
    moed_metric_add(counters->weight_bytes, (double)rows->weight_bytes);
}

void moed_counters_fault(const struct moed_counters *counters, int status, uint32_t rows)
{
    moed_metric_add(status == MOED_E_WEIGHTS ? counters->bad_weights : counters->bad_rows, rows);
}

void moed_counters_queue(const struct moed_counters *counters, const struct moed_queue *queue)
{
    moed_metric_set(counters->queue_rows, (double)queue->rows);
    moed_metric_set(counters->queue_requests, queue->requests);
}

void moed_counters_experts(const struct moed_counters *counters, const struct moed_tally *tally)
{
    for (uint32_t i = 0; i < counters->n_layers; i++) {
        const struct moed_layer_counters *layer = &counters->layers[i];
        struct moed_expert_load now;

        moed_tally_read(tally, i, &now, NULL, NULL);
        moed_metric_set(layer->imbalance, now.max_over_mean);
        for (uint32_t e = 0; layer->expert_rows != NULL && e < tally->model->layers[i].experts; e++)
            moed_metric_set(layer->expert_rows[e], (double)moed_tally_total(tally, i, e));
    }
}
