/* batch: queues, admission, deadlines, batching and workers: where the requests of the loop
 * thread meet the threads that compute. Knows rows and layers, no sockets and no formats. */
#ifndef MOED_BATCH_H
#define MOED_BATCH_H

#include "src/backend/backend.h"
#include "src/metrics/metrics.h"
#include <stdatomic.h>

#include "kernels/dtype.h"

/* One request. Its owner fills it, keeps it and everything that it points to unmoved until
 * `done` has been called, and frees it afterwards. */
struct moed_job {
    uint32_t layer;    /* a served block number */
    uint32_t rows;     /* n >= 0 */
    uint32_t slots;    /* columns of expert_ids and expert_weights; K unless supplied */
    uint8_t flags;     /* moed_row_flags, for all its rows */
    bool skip_missing; /* on a shard that holds some experts: answer with its part of the sum */
    enum moed_dtype hidden_dtype; /* rows are converted once, into the batch */
    enum moed_dtype output_dtype;
    const void *hidden;    /* [n, H], any alignment */
    void *output;          /* [n, H] of output_dtype; NULL with ROUTE_ONLY */
    int32_t *expert_ids;   /* [n, slots]: in when supplied, else out; NULL: not wanted */
    float *expert_weights; /* likewise */
    float *logits;         /* [n, E] out; NULL: not wanted */
    uint64_t deadline_ns;  /* of moed_now_ns(); 0: none */
    const void *client;    /* who asks: only ever compared with others */
    void (*done)(struct moed_job *job); /* once, if submit returned 0: on a worker's thread or
                                           inside submit, admits or abort, of whichever thread;
                                           must not block */
    void *context;                      /* the owner's */
    atomic_bool cancelled; /* set by the owner from any thread: skip what is not computed */

    /* written before done: */
    int status; /* 0 or MOED_E_*, error says more */
    struct moed_error error;
    uint64_t queue_ns, compute_ns; /* until first computed; sum over its batches */
    uint32_t batch_rows;           /* rows of the (largest) batch that it was in */
    uint64_t missing_slots;        /* left out with skip_missing: their experts are not held */

    /* batch's own */
    struct moed_job *next;
    uint64_t submitted_ns, queued_ns; /* accepted; put at the end of its queue */
    uint32_t place;                   /* of its layer in model->layers */
    uint32_t taken, finished;         /* rows handed to workers; rows come back */
    bool queued;
    bool checked; /* moed_batcher_check found it good; false in a new job */
};

struct moed_batcher_options {    /* 0: the default */
    uint32_t workers;            /* one a NUMA node */
    uint32_t max_batch_rows;     /* 4096 or the backend's max_rows, which it may not exceed */
    uint32_t max_batch_delay_us; /* an idle worker waits so long for co-arriving ones, where a layer
                                    has other clients, from when the request came or others were
                                    answered; 0: it starts at once with what waits */
    uint32_t max_batch_ms;   /* while others are active, a batch takes no longer than about this,
                                by the time that its layer's rows took so far; 0: however long */
    uint32_t spin_us;        /* a worker looks for work so long before it sleeps */
    uint32_t max_queue_rows; /* 16384: waiting, over all layers */
    uint32_t max_queue_requests; /* 512: likewise */
    bool pin;                    /* each worker keeps to the cores of one NUMA node, in turn */
    bool per_expert_metrics;     /* moed_expert_rows_total{layer,expert}: E cells a layer */
};

struct moed_batcher;

/* Starts the workers; `backend`, `model` and `metrics` must outlive it, and `metrics` may not be
 * rendered once it is destroyed. MOED_E_USAGE, MOED_E_NO_MEMORY, or what a worker's workspace
 * failed with. */
int moed_batcher_create(const struct moed_model *model, struct moed_backend *backend,
                        struct moed_metrics *metrics, const struct moed_batcher_options *options,
                        struct moed_batcher **out, struct moed_error *err);
/* Stops taking jobs, waits until those that are queued are done, joins the workers. NULL is
 * fine. */
void moed_batcher_destroy(struct moed_batcher *batcher);

/* What submit refuses for the job's own values (below), which takes long where much routing is
 * supplied: a caller whose thread must not wait checks on another one, and submit only queues. */
int moed_batcher_check(const struct moed_batcher *batcher, struct moed_job *job,
                       struct moed_error *err);
/* 0: accepted, `done` will be called exactly once. Otherwise it never is: MOED_E_QUEUE_FULL
 * (message: found, limit), MOED_E_TOO_LARGE (no queue would hold it), MOED_E_DEADLINE (passed
 * already), MOED_E_UNPROCESSABLE (supplied ids out of range, duplicate in a row, weights not
 * finite; slots over E, or not K where not supplied; none supplied where the layer's router
 * refuses; a norm, a residual or a shared expert that the layer does not have), MOED_E_NOT_SERVED,
 * MOED_E_NO_EXPERT (the shared one is another shard's),
 * MOED_E_DRAINING. Zero rows are accepted and done at once. Never blocks; any thread. What `done`
 * may find in status: 0, MOED_E_NOT_FINITE, MOED_E_WEIGHTS or MOED_E_NO_EXPERT (name the row of the
 * request: it is never answered with NaN or infinity),
 * MOED_E_DEADLINE, MOED_E_CANCELLED, MOED_E_INTERNAL (its batch failed), MOED_E_DEVICE (all do by
 * now), or abort's. */
int moed_batcher_submit(struct moed_batcher *batcher, struct moed_job *job, struct moed_error *err);
/* Whether `rows` more would be refused now, as submit would: for refusing a body before it is
 * read. */
int moed_batcher_admits(struct moed_batcher *batcher, uint32_t rows, struct moed_error *err);
/* The batch that has been computed for longest, for a watchdog. False: nothing is being computed.
 * Never blocks; any thread. */
struct moed_worker_at_work {
    uint32_t worker, layer;
    uint64_t since_ns; /* of moed_now_ns() */
};
bool moed_batcher_oldest(const struct moed_batcher *batcher, struct moed_worker_at_work *out);
/* No more jobs come that others could share a batch with: from now on none waits for
 * max_batch_delay_us. Those that come all the same are taken. */
void moed_batcher_close(struct moed_batcher *batcher);
/* Answers all that waits with `status` (drain's end). A request of which a part is being computed
 * is answered so when that part is done. */
void moed_batcher_abort(struct moed_batcher *batcher, int status, const char *message);

/* ---- load statistics: layer × expert, since start or the last reset ---- */
struct moed_expert_load {
    uint64_t rows; /* rows that experts computed; a row counts once for each of its experts
                      below, and not at all if it was only routed or only shared */
    double jain; /* Jain's fairness index of rows an expert, (Σx)² / (n Σx²), over the n that are
                    held; 1: no rows */
    double max_over_mean; /* of rows an expert; 1: no rows */
};
/* Copies a layer's counts, rows[E] and weight_mass[E] (either may be NULL); any thread.
 * MOED_E_NOT_SERVED. */
int moed_batcher_expert_load(struct moed_batcher *batcher, uint32_t layer,
                             struct moed_expert_load *load, uint64_t *rows, double *weight_mass);
void moed_batcher_reset_load(struct moed_batcher *batcher);

#endif
