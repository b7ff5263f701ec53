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
    if (o->max_batch_rows > backend_rows)
        return moed_fail(err, MOED_E_USAGE,
                         "batches of %" PRIu32 " rows were asked for, the backend computes %" PRIu32
                         " at most",
                         o->max_batch_rows, backend_rows);
    if (o->max_batch_rows == 0)
        o->max_batch_rows = backend_rows < DEFAULT_BATCH_ROWS ? backend_rows : DEFAULT_BATCH_ROWS;
    if (o->workers == 0)
        o->workers = moed_numa_nodes();
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
        if (rc == 0)
            batcher->n_workers++;
    }
    for (uint32_t i = 0; rc == 0 && i < batcher->n_workers; i++)
        rc = moed_worker_wait(&batcher->workers[i], err);
    return rc;
}

/* Gauges are read from the queue and the counts only when somebody looks. */
static void collect(void *context)
{
    struct moed_batcher *batcher = context;

    pthread_mutex_lock(&batcher->mutex);
    moed_counters_queue(&batcher->counters, &batcher->queue);
    pthread_mutex_unlock(&batcher->mutex);
    moed_counters_experts(&batcher->counters, &batcher->tally);
}

int moed_batcher_create(const struct moed_model *model, struct moed_backend *backend,
                        struct moed_metrics *metrics, const struct moed_batcher_options *options,
                        struct moed_batcher **out, struct moed_error *err)
{
    struct moed_batcher *batcher = moed_calloc(1, sizeof *batcher);
    int rc;

    if (batcher == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the batcher");
    batcher->model = model;
    batcher->backend = backend;
    init_locks(batcher);
    rc = fill_options(batcher, options, err);
    if (rc != 0)
        goto fail;
    batcher->workers = moed_calloc(batcher->options.workers, sizeof *batcher->workers);
    if (batcher->workers == NULL ||
        moed_queue_init(&batcher->queue, model, &batcher->options) != 0 ||
        moed_tally_init(&batcher->tally, model, batcher->options.workers) != 0 ||
        moed_counters_init(&batcher->counters, metrics, model, &batcher->options) != 0) {
        rc = moed_fail(err, MOED_E_NO_MEMORY, "no memory for the queues of %" PRIu32 " layers",
                       model->n_layers);
        goto fail;
    }
    rc = start_workers(batcher, err);
    if (rc != 0)
        goto fail;
    moed_metrics_on_render(metrics, collect, batcher);
    *out = batcher;
    return 0;
fail:
    moed_batcher_destroy(batcher);
    return rc;
}

void moed_batcher_close(struct moed_batcher *batcher)
{
    pthread_mutex_lock(&batcher->mutex);
    batcher->queue.delay_ns = 0;
    atomic_fetch_add(&batcher->arrivals, 1); /* for those who look out, awake */
    pthread_cond_broadcast(&batcher->wake);
    pthread_mutex_unlock(&batcher->mutex);
}

void moed_batcher_destroy(struct moed_batcher *batcher)
{
    if (batcher == NULL)
        return;
    pthread_mutex_lock(&batcher->mutex);
    batcher->stopping = true;
    pthread_mutex_unlock(&batcher->mutex);
    moed_batcher_close(batcher);
    for (uint32_t i = 0; i < batcher->n_workers; i++)
        moed_worker_join(&batcher->workers[i]);
    moed_counters_fini(&batcher->counters);
    moed_tally_fini(&batcher->tally);
    moed_queue_fini(&batcher->queue);
    free(batcher->workers);
    pthread_cond_destroy(&batcher->wake);
    pthread_cond_destroy(&batcher->state);
    pthread_mutex_destroy(&batcher->mutex);
    free(batcher);
}

int moed_batcher_check(const struct moed_batcher *batcher, struct moed_job *job,
                       struct moed_error *err)
{
    const int rc = moed_check_job(batcher->model, job, err);

    if (rc != 0)
        moed_error_prefix(err, "layer %" PRIu32, job->layer);
    job->checked = rc == 0;
    return rc;
}

/* Makes a job as new; checks what needs no lock. */
static int prepare(struct moed_batcher *batcher, struct moed_job *job, struct moed_error *err)
{
    const int rc = job->checked ? 0 : moed_batcher_check(batcher, job, err);

    if (rc != 0)
        return rc;
    job->checked = false; /* the owner may change it before it comes again */
    job->status = 0;
    job->error = (struct moed_error){0};
    job->queue_ns = job->compute_ns = 0;
    job->batch_rows = 0;
    job->missing_slots = 0;
    job->next = NULL;
    job->taken = job->finished = 0;
    job->queued = false;
    job->place = (uint32_t)(moed_model_layer(batcher->model, job->layer) - batcher->model->layers);
    job->submitted_ns = moed_now_ns();
    if (job->deadline_ns != 0 && job->submitted_ns >= job->deadline_ns)
        return moed_fail(err, MOED_E_DEADLINE,
                         "layer %" PRIu32
                         ": the deadline passed %.3f ms before the request was queued",
                         job->layer, (double)(job->submitted_ns - job->deadline_ns) * 1e-6);
    return 0;
}

/* Whether there is room, with the mutex held. Where there is none, what nobody waits for any more
 * gives up its places; it is answered by the caller, without the mutex. */
static int find_room(struct moed_batcher *batcher, uint32_t rows, struct moed_job **dropped,
                     struct moed_error *err)
{
    *dropped = NULL;
    if (moed_queue_admit(&batcher->queue, rows, NULL) == MOED_E_QUEUE_FULL)
        *dropped = moed_queue_drop_moot(&batcher->queue, moed_now_ns());
    return moed_queue_admit(&batcher->queue, rows, err);
}

/* Puts a job with rows into the queue, if there is room. */
static int enqueue(struct moed_batcher *batcher, struct moed_job *job, struct moed_error *err)
{
    struct moed_job *dropped = NULL;
    int rc;

    pthread_mutex_lock(&batcher->mutex);
    if (batcher->stopping)
        rc = moed_fail(err, MOED_E_DRAINING, "no more requests are taken");
    else
        rc = find_room(batcher, job->rows, &dropped, err);
    if (rc == 0)
        moed_queue_push(&batcher->queue, job, job->submitted_ns);
    pthread_mutex_unlock(&batcher->mutex);
    if (rc == 0) { /* after the mutex, or who wakes up would have to wait for it */
        atomic_fetch_add(&batcher->arrivals, 1);
        pthread_cond_signal(&batcher->wake);
    }
    moed_batcher_answer(batcher, dropped);
    return rc;
}

int moed_batcher_submit(struct moed_batcher *batcher, struct moed_job *job, struct moed_error *err)
{
    const uint32_t layer = job->layer;
    int rc = prepare(batcher, job, err);

    if (rc != 0)
        return rc;
    if (job->rows == 0) { /* need not wait */
        moed_batcher_answer(batcher, job);
        return 0;
    }
    rc = enqueue(batcher, job, err);
    if (rc != 0)
        moed_error_prefix(err, "layer %" PRIu32, layer);
    return rc; /* with 0 the job is the workers' now, and may be gone already */
}

void moed_batcher_answer(struct moed_batcher *batcher, struct moed_job *jobs)
{
    while (jobs != NULL) {
        struct moed_job *job = jobs;

        jobs = job->next;
        if (job->taken > 0)
            moed_histogram_observe(batcher->counters.queue_wait, (double)job->queue_ns * 1e-9);
        job->done(job);
    }
}

int moed_batcher_admits(struct moed_batcher *batcher, uint32_t rows, struct moed_error *err)
{
    struct moed_job *dropped;
    int rc;

    pthread_mutex_lock(&batcher->mutex);
    rc = find_room(batcher, rows, &dropped, err);
    pthread_mutex_unlock(&batcher->mutex);
    moed_batcher_answer(batcher, dropped);
    return rc;
}

bool moed_batcher_oldest(const struct moed_batcher *batcher, struct moed_worker_at_work *out)
{
    out->since_ns = 0;
    for (uint32_t i = 0; i < batcher->n_workers; i++) {
        const struct moed_worker *worker = &batcher->workers[i];
        const uint64_t since = atomic_load_explicit(&worker->since_ns, memory_order_acquire);

        if (since == 0 || (out->since_ns != 0 && since >= out->since_ns))
            continue;
        *out = (struct moed_worker_at_work){
            .worker = i,
            .layer = atomic_load_explicit(&worker->busy_layer, memory_order_relaxed),
            .since_ns = since,
        };
    }
    return out->since_ns != 0;
}

void moed_batcher_abort(struct moed_batcher *batcher, int status, const char *message)
{
    struct moed_job *over;

    pthread_mutex_lock(&batcher->mutex);
    over = moed_queue_abort(&batcher->queue, status, message);
    pthread_mutex_unlock(&batcher->mutex);
    moed_batcher_answer(batcher, over);
}

int moed_batcher_expert_load(struct moed_batcher *batcher, uint32_t layer,
                             struct moed_expert_load *load, uint64_t *rows, double *weight_mass)
{
    const struct moed_layer *served = moed_model_layer(batcher->model, layer);

    if (served == NULL)
        return MOED_E_NOT_SERVED;
    moed_tally_read(&batcher->tally, (uint32_t)(served - batcher->model->layers), load, rows,
                    weight_mass);
    return 0;
}

void moed_batcher_reset_load(struct moed_batcher *batcher)
{
    moed_tally_reset(&batcher->tally);
}
