/* batch: queues, admission, deadlines, batching and workers: where the requests of the loop
 * thread meet the threads that compute. Knows rows and layers, no sockets and no formats. */
#ifndef MOED_BATCH_H
#define MOED_BATCH_H

#include <moed/backend.h>
#include <moed/metrics.h>
#include <stdatomic.h>

#include "kernels/dtype.h"

/* One request. Its owner fills it, keeps it and everything that it points to unmoved until
 * `done` has been called, and frees it afterwards. */
struct moed_job {
    uint32_t layer;               /* a served block number */
    uint32_t rows;                /* n >= 0 */
    uint32_t slots;               /* columns of expert_ids and expert_weights; K unless supplied */
    uint8_t flags;                /* moed_row_flags, for all its rows */
    enum moed_dtype hidden_dtype; /* rows are converted once, into the batch */
    enum moed_dtype output_dtype;
    const void *hidden;    /* [n, H], any alignment */
    void *output;          /* [n, H] of output_dtype; NULL with ROUTE_ONLY */
    int32_t *expert_ids;   /* [n, slots]: in when supplied, else out; NULL: not wanted */
    float *expert_weights; /* likewise */
    float *logits;         /* [n, E] out; NULL: not wanted */
    uint64_t deadline_ns;  /* of moed_now_ns(); 0: none */
    void (*done)(struct moed_job *job); /* once, on a worker's thread or inside submit's caller
                                           only if submit returned 0; must not block */
    void *context;                      /* the owner's */
    atomic_bool cancelled; /* set by the owner from any thread: skip what is not computed */

    /* written before done: */
    int status; /* 0 or MOED_E_*, error says more */
    struct moed_error error;
    uint64_t queue_ns, compute_ns; /* until first computed; sum over its batches */
    uint32_t batch_rows;           /* rows of the (largest) batch that it was in */

    /* batch's own */
    struct moed_job *next;
    uint64_t submitted_ns;
    uint32_t taken, finished; /* rows handed to workers; rows come back */
    bool queued;
};

struct moed_batcher_options {
    uint32_t workers;            /* 0: one a NUMA node */
    uint32_t max_batch_rows;     /* 4096; at most the backend's max_rows */
    uint32_t max_batch_delay_us; /* 0 */
    uint32_t max_queue_rows;     /* 16384, over all layers */
    uint32_t max_queue_requests; /* 512 */
};

struct moed_batcher;

/* Starts the workers; `backend`, `model` and `metrics` must outlive it. */
int moed_batcher_create(const struct moed_model *model, struct moed_backend *backend,
                        struct moed_metrics *metrics, const struct moed_batcher_options *options,
                        struct moed_batcher **out, struct moed_error *err);
/* Stops taking jobs, waits until those that are queued are done, joins the workers. */
void moed_batcher_destroy(struct moed_batcher *batcher);

/* 0: accepted, `done` will be called exactly once. MOED_E_QUEUE_FULL (message: found, limit),
 * MOED_E_DEADLINE (passed already), MOED_E_UNPROCESSABLE (supplied ids out of range, duplicate
 * in a row, weights not finite; slots over E), MOED_E_NOT_SERVED: not accepted, `done` not called.
 * Zero rows are accepted and done at once. Never blocks; any thread. */
int moed_batcher_submit(struct moed_batcher *batcher, struct moed_job *job, struct moed_error *err);
/* Whether `rows` more would be refused now: for refusing a body before it is read. */
int moed_batcher_admits(struct moed_batcher *batcher, uint32_t rows, struct moed_error *err);
/* Answers all that is queued and not begun with `status` (drain's end). */
void moed_batcher_abort(struct moed_batcher *batcher, int status, const char *message);
/* Rows and requests that wait or are computed. */
void moed_batcher_depth(struct moed_batcher *batcher, uint32_t *rows, uint32_t *requests);

/* ---- load statistics: layer × expert, since start or the last reset ---- */
struct moed_expert_load {
    uint64_t rows; /* rows of the layer */
    double jain; /* Jain's fairness index of rows an expert, (Σx)² / (E Σx²); 1 when no rows */
    double max_over_mean;
};
/* Copies a layer's counts, rows[E] and weight_mass[E] (either may be NULL); any thread. */
int moed_batcher_expert_load(struct moed_batcher *batcher, uint32_t layer,
                             struct moed_expert_load *load, uint64_t *rows, double *weight_mass);
void moed_batcher_reset_load(struct moed_batcher *batcher);

#endif
