/* counters: the room's metrics (API.md, "Metrics"), looked up once and kept. Cells may be NULL
 * when memory ran out: nothing is counted then, nothing else fails. */
#ifndef MOED_BATCH_COUNTERS_H
#define MOED_BATCH_COUNTERS_H

#include "queue.h"
#include "tally.h"

struct moed_layer_counters {
    struct moed_metric *batches, *rows, *imbalance;
    struct moed_histogram *compute;
    struct moed_metric **expert_rows; /* [E], or NULL: not wanted */
};

struct moed_counters {
    uint32_t n_layers;
    struct moed_layer_counters *layers; /* as in model->layers */
    struct moed_metric **worker_busy;   /* [workers] */
    struct moed_metric *queue_rows, *queue_requests, *batches_cut, *weight_bytes;
    struct moed_metric *bad_weights, *bad_rows; /* rows that are not finite, by what is to blame */
    struct moed_histogram *queue_wait, *batch_rows, *batch_requests, *active_experts;
};

int moed_counters_init(struct moed_counters *counters, struct moed_metrics *metrics,
                       const struct moed_model *model, const struct moed_batcher_options *options);
void moed_counters_fini(struct moed_counters *counters);

/* A batch that was computed in `seconds`. */
void moed_counters_batch(const struct moed_counters *counters, const struct moed_batch *batch,
                         const struct moed_batch_rows *rows, double seconds);
/* Rows that are not finite: MOED_E_WEIGHTS, or MOED_E_NOT_FINITE by the rows themselves. */
void moed_counters_fault(const struct moed_counters *counters, int status, uint32_t rows);
/* Brings the gauges up to date; the queue's lock is the caller's duty. */
void moed_counters_queue(const struct moed_counters *counters, const struct moed_queue *queue);
void moed_counters_experts(const struct moed_counters *counters, const struct moed_tally *tally);

#endif
