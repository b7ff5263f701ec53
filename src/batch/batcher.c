/* batcher: the room's door: starting and stopping, and the way of a job from its submitter into
 * the queue and back. */
#include "batcher.h"
#include "check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

enum { DEFAULT_BATCH_ROWS = 4096, DEFAULT_QUEUE_ROWS = 16384, DEFAULT_QUEUE_REQUESTS = 512 };

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

static int fill_options(struct moed_batcher *batcher, const struct moed_batcher_options *options,
                        struct moed_error *err)
{
    const uint32_t backend_rows = moed_backend_max_rows(batcher->backend);
    struct moed_batcher_options *o = &batcher->options;

    *o = *options;
    if (o->max_batch_rows > backend_rows) {
        return moed_fail(err, MOED_E_USAGE,
                         "batches of %" PRIu32 " rows were asked for, the backend computes %" PRIu32
                         " at most",
                         o->max_batch_rows, backend_rows);
    }
    if (o->max_batch_rows == 0) {
        o->max_batch_rows = backend_rows < DEFAULT_BATCH_ROWS ? backend_rows : DEFAULT_BATCH_ROWS;
    }
    if (o->workers == 0) {
        o->workers = moed_worker_default_count();
    }
    o->max_queue_rows = or_default(o->max_queue_rows, DEFAULT_QUEUE_ROWS);
    o->max_queue_requests = or_default(o->max_queue_requests, DEFAULT_QUEUE_REQUESTS);
    return 0;
}

static void init_locks(struct moed_batcher *batcher)
{
    pthread_condattr_t monotonic; /* moed_now_ns()'s clock, which nobody sets back */

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&batcher->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&batcher->state, NULL);
    pthread_mutex_init(&batcher->mutex, NULL);
}

/* Starts the workers side by side, then waits for all: a workspace may take long to make. */
static int start_workers(struct moed_batcher *batcher, struct moed_error *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < batcher->options.workers; i++) {
        rc = moed_worker_start(&batcher->workers[i], batcher, i, err);
        if (rc == 0) {
            batcher->n_workers++;
        }
    }
    for (uint32_t i = 0; rc == 0 && i < batcher->n_workers; i++) {
        rc = moed_worker_wait(&batcher->workers[i], err);
    }
    return rc;
}

/* Gauges are read from the queue and the tallies only when somebody looks. */
static void collect(void *context)
{
    struct moed_batcher *batcher = context;

    pthread_mutex_lock(&batcher->mutex);
    moed_counters_queue(&batcher->counters, &batcher->queue);
    pthread_mutex_unlock(&batcher->mutex);
    moed_counters_load(&batcher->counters, &batcher->load);
}

int moed_batcher_create(const struct moed_model *model, struct moed_backend *backend,
                        struct moed_metrics *metrics, const struct moed_batcher_options *options,
                        struct moed_batcher **out, struct moed_error *err)
{
    struct moed_batcher *batcher = moed_calloc(1, sizeof(*batcher));
    int rc;

    if (batcher == NULL) {
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the batcher");
    }
    batcher->model = model;
    batcher->backend = backend;
    init_locks(batcher);
    rc = fill_options(batcher, options, err);
    if (rc != 0) {
        goto fail;
    }
    batcher->workers = moed_calloc(batcher->options.workers, sizeof(*batcher->workers));
    if (batcher->workers == NULL ||
        moed_queue_init(&batcher->queue, model, &batcher->options) != 0 ||
        moed_load_init(&batcher->load, model, batcher->options.workers) != 0 ||
        moed_counters_init(&batcher->counters, metrics, model, &batcher->options) != 0) {
        rc = moed_fail(err, MOED_E_NO_MEMORY, "no memory for the queues of %" PRIu32 " layers",
                       model->n_layers);
        goto fail;
    }
    rc = start_workers(batcher, err);
    if (rc != 0) {
        goto fail;
    }
    moed_metrics_on_render(metrics, collect, batcher);
    *out = batcher;
    return 0;
fail:
    moed_batcher_destroy(batcher);
    return rc;
}

void moed_batcher_destroy(struct moed_batcher *batcher)
{
    if (batcher == NULL) {
        return;
    }
    pthread_mutex_lock(&batcher->mutex);
    batcher->stopping = true;
    batcher->queue.delay_ns = 0; /* there will be no company to wait for */
    pthread_cond_broadcast(&batcher->wake);
    pthread_mutex_unlock(&batcher->mutex);
    for (uint32_t i = 0; i < batcher->n_workers; i++) {
        moed_worker_join(&batcher->workers[i]);
    }
    moed_counters_fini(&batcher->counters);
    moed_load_fini(&batcher->load);
    moed_queue_fini(&batcher->queue);
    free(batcher->workers);
    pthread_cond_destroy(&batcher->wake);
    pthread_cond_destroy(&batcher->state);
    pthread_mutex_destroy(&batcher->mutex);
    free(batcher);
}

/* Makes a job as new and checks what needs no lock. */
static int prepare(struct moed_batcher *batcher, struct moed_job *job, struct moed_error *err)
{
    int rc;

    job->status = 0;
    job->error = (struct moed_error){0};
    job->queue_ns = job->compute_ns = 0;
    job->batch_rows = 0;
    job->next = NULL;
    job->taken = job->finished = 0;
    job->queued = false;
    rc = moed_check_job(batcher->model, job, &job->place, err);
    if (rc != 0) {
        return rc;
    }
    job->submitted_ns = moed_now_ns();
    if (job->deadline_ns != 0 && job->submitted_ns >= job->deadline_ns) {
        return moed_fail(err, MOED_E_DEADLINE,
                         "the deadline passed %.3f ms before the request was queued",
                         (double)(job->submitted_ns - job->deadline_ns) * 1e-6);
    }
    return 0;
}

/* Puts a job into the queue if there is room; one without rows need not wait. */
static int enqueue(struct moed_batcher *batcher, struct moed_job *job, struct moed_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&batcher->mutex);
    if (batcher->stopping) {
        rc = moed_fail(err, MOED_E_DRAINING, "no more requests are taken");
    } else if (job->rows > 0) {
        rc = moed_queue_admit(&batcher->queue, job->rows, err);
    }
    if (rc == 0) {
        atomic_fetch_add(&batcher->open_rows, job->rows);
        atomic_fetch_add(&batcher->open_requests, 1);
    }
    if (rc == 0 && job->rows > 0) {
        moed_queue_push(&batcher->queue, job, job->submitted_ns);
        pthread_cond_signal(&batcher->wake);
    }
    pthread_mutex_unlock(&batcher->mutex);
    return rc;
}

int moed_batcher_submit(struct moed_batcher *batcher, struct moed_job *job, struct moed_error *err)
{
    const uint32_t rows = job->rows;
    int rc = prepare(batcher, job, err);

    if (rc == 0) {
        rc = enqueue(batcher, job, err);
    }
    if (rc != 0) {
        moed_error_prefix(err, "layer %" PRIu32, job->layer);
        moed_counters_rejected(&batcher->counters, rc);
        return rc;
    }
    if (rows == 0) {
        moed_batcher_answer(batcher, job);
    }
    return 0; /* a job with rows is the workers' now, and may be gone already */
}

void moed_batcher_answer(struct moed_batcher *batcher, struct moed_job *jobs)
{
    while (jobs != NULL) {
        struct moed_job *job = jobs;
        const uint32_t rows = job->rows;

        jobs = job->next;
        if (job->taken > 0) {
            moed_histogram_observe(batcher->counters.queue_wait, (double)job->queue_ns * 1e-9);
        }
        moed_counters_rejected(&batcher->counters, job->status);
        job->done(job);
        atomic_fetch_sub(&batcher->open_rows, rows);
        atomic_fetch_sub(&batcher->open_requests, 1);
    }
}

int moed_batcher_admits(struct moed_batcher *batcher, uint32_t rows, struct moed_error *err)
{
    int rc;

    pthread_mutex_lock(&batcher->mutex);
    rc = moed_queue_admit(&batcher->queue, rows, err);
    pthread_mutex_unlock(&batcher->mutex);
    if (rc != 0) {
        moed_counters_rejected(&batcher->counters, rc);
    }
    return rc;
}

void moed_batcher_abort(struct moed_batcher *batcher, int status, const char *message)
{
    struct moed_job *over;

    pthread_mutex_lock(&batcher->mutex);
    over = moed_queue_abort(&batcher->queue, status, message);
    pthread_mutex_unlock(&batcher->mutex);
    moed_batcher_answer(batcher, over);
}

void moed_batcher_depth(struct moed_batcher *batcher, uint32_t *rows, uint32_t *requests)
{
    /* In this order, no requests means no rows: an answer counts its rows down first. */
    *requests = atomic_load(&batcher->open_requests);
    *rows = atomic_load(&batcher->open_rows);
}

int moed_batcher_expert_load(struct moed_batcher *batcher, uint32_t layer,
                             struct moed_expert_load *load, uint64_t *rows, double *weight_mass)
{
    const struct moed_layer *served = moed_model_layer(batcher->model, layer);

    if (served == NULL) {
        return MOED_E_NOT_SERVED;
    }
    moed_load_read(&batcher->load, (uint32_t)(served - batcher->model->layers), load, rows,
                   weight_mass);
    return 0;
}

void moed_batcher_reset_load(struct moed_batcher *batcher)
{
    moed_load_reset(&batcher->load);
}
