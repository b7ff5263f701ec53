/* worker: the life of a computing thread: start, take, compute, settle, until the batcher stops. */
#include "batcher.h"
#include "blame.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TELL_NS UINT64_C(1000000000)

/* Each worker has a NUMA node, in turn, unless its team is too large for one. */
static void choose_cores(const struct moed_worker *worker)
{
    const uint32_t nodes = moed_numa_nodes(), node = worker->index % nodes;
    const uint32_t team = moed_backend_threads(worker->batcher->backend);

    if (nodes == 1)
        return;
    if (moed_run_on_node(node, team))
        moed_log(MOED_LOG_INFO, "worker %" PRIu32 " keeps to NUMA node %" PRIu32 " of %" PRIu32,
                 worker->index, node, nodes);
    else
        moed_log(MOED_LOG_WARN,
                 "worker %" PRIu32 " is not kept to NUMA node %" PRIu32
                 ": that has fewer than its %" PRIu32 " threads take, or it is forbidden",
                 worker->index, node, team);
}

/* Everything that a warm batch needs, made on the thread that will use it: memory lands on its
 * NUMA node and the workspace's team belongs to it. */
static int set_up(struct moed_worker *worker, struct moed_error *err)
{
    struct moed_batcher *batcher = worker->batcher;
    const uint32_t rows = batcher->options.max_batch_rows;
    const uint32_t requests = batcher->options.max_queue_requests;

    if (batcher->options.pin)
        choose_cores(worker); /* before it has memory or a team */
    worker->batch.parts =
        moed_calloc(rows < requests ? rows : requests, sizeof *worker->batch.parts);
    if (worker->batch.parts == NULL || moed_rows_init(&worker->rows, batcher->model, rows) != 0 ||
        moed_rows_init(&worker->trial, batcher->model, 1) != 0)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for batches of %" PRIu32 " rows", rows);
    return moed_workspace_create(batcher->backend, &worker->workspace, err);
}

static void tear_down(struct moed_worker *worker)
{
    if (worker->workspace != NULL)
        moed_workspace_destroy(worker->workspace);
    moed_rows_fini(&worker->rows);
    moed_rows_fini(&worker->trial);
    free(worker->batch.parts);
}

static void report_state(struct moed_worker *worker, enum moed_worker_state state)
{
    pthread_mutex_lock(&worker->batcher->mutex);
    worker->state = state;
    pthread_cond_broadcast(&worker->batcher->state);
    pthread_mutex_unlock(&worker->batcher->mutex);
}

/* Sleeps until there may be something to take; `wake_ns` 0: until told. */
static void wait_for_work(struct moed_batcher *batcher, uint64_t wake_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(wake_ns / 1000000000),
                                   .tv_nsec = (long)(wake_ns % 1000000000)};

    if (wake_ns == 0)
        pthread_cond_wait(&batcher->wake, &batcher->mutex);
    else
        pthread_cond_timedwait(&batcher->wake, &batcher->mutex, &until);
}

/* Looks out for arrivals, awake and without the mutex, before a sleep that costs both sides more
 * than it is worth if the next job is near. Returns with the mutex held. */
static void look_out(struct moed_batcher *batcher)
{
    const unsigned seen = atomic_load(&batcher->arrivals);
    const uint64_t until = moed_now_ns() + batcher->options.spin_us * UINT64_C(1000);

    pthread_mutex_unlock(&batcher->mutex);
    while (atomic_load(&batcher->arrivals) == seen && moed_now_ns() < until)
        sched_yield(); /* whoever else has work on this processor goes first */
    pthread_mutex_lock(&batcher->mutex);
}

/* Waits for a batch; it may be empty if all that waited was dropped. False: there will be no
 * more. */
static bool take(struct moed_worker *worker)
{
    struct moed_batcher *batcher = worker->batcher;
    struct moed_job *dropped = NULL;
    bool awake = batcher->options.spin_us > 0;
    bool found;

    pthread_mutex_lock(&batcher->mutex);
    for (;;) {
        const uint64_t now = moed_now_ns();
        uint64_t wake_ns;
        uint32_t place;

        found = moed_queue_pick(&batcher->queue, now, &place, &wake_ns);
        if (found) {
            dropped = moed_queue_take(&batcher->queue, place, now, &worker->batch);
            break;
        }
        if (batcher->stopping)
            break;
        if (awake)
            look_out(batcher);
        else
            wait_for_work(batcher, wake_ns);
        awake = false;
    }
    /* What is left over is another worker's, which may have slept through its coming. */
    if (batcher->queue.requests > 0)
        pthread_cond_signal(&batcher->wake);
    pthread_mutex_unlock(&batcher->mutex);
    moed_batcher_answer(batcher, dropped);
    return found;
}

/* A shard's sum without some of its experts: what was asked for, or an error. */
static void settle_missing(const struct moed_batcher *batcher, const struct moed_part *part)
{
    struct moed_job *job = part->job;
    const struct moed_set held = moed_layer_held(&batcher->model->layers[job->place]);
    char served[256];

    if (job->skip_missing) {
        job->missing_slots += part->missing;
        return;
    }
    moed_set_print(&held, served, sizeof served);
    moed_job_fail(job, MOED_E_NO_EXPERT,
                  "layer %" PRIu32 ", row %" PRIu32 ": expert %" PRIu32
                  " is not served here; served: %s",
                  job->layer, part->missing_row, part->missing_expert, served);
}

/* Books one part as computed. True if its job is over with it. */
static bool settle_part(struct moed_batcher *batcher, const struct moed_part *part,
                        const struct moed_batch *batch, uint64_t compute_ns)
{
    struct moed_job *job = part->job;

    job->finished += part->rows;
    job->compute_ns += compute_ns;
    job->batch_rows = batch->rows > job->batch_rows ? batch->rows : job->batch_rows;
    if (part->missing > 0)
        settle_missing(batcher, part);
    if (job->status != 0 && job->queued)
        moed_queue_remove(&batcher->queue, job);
    return moed_job_is_over(job);
}

/* Hands the results of a batch to its jobs, or its failure. */
static void settle(struct moed_worker *worker, uint64_t compute_ns, const struct moed_error *failed)
{
    struct moed_batcher *batcher = worker->batcher;
    struct moed_job *over = NULL;
    struct moed_job **end = &over;

    pthread_mutex_lock(&batcher->mutex);
    for (uint32_t i = 0; i < worker->batch.n_parts; i++) {
        const struct moed_part *part = &worker->batch.parts[i];

        if (failed != NULL)
            moed_job_fail(part->job, failed->code, "%s", failed->message);
        if (settle_part(batcher, part, &worker->batch, compute_ns)) {
            *end = part->job;
            end = &part->job->next;
        }
    }
    *end = NULL;
    moed_queue_answered(&batcher->queue, worker->batch.place, moed_now_ns());
    moed_queue_timed(&batcher->queue, worker->batch.place, worker->batch.rows, compute_ns);
    pthread_mutex_unlock(&batcher->mutex);
    moed_batcher_answer(batcher, over);
}

/* Every request that meets them is answered so; a line a second is enough to know. */
static void tell(struct moed_worker *worker, const struct moed_error *err)
{
    const uint64_t now = moed_now_ns();

    if (worker->told_ns != 0 && now - worker->told_ns < TELL_NS)
        return;
    worker->told_ns = now;
    moed_log(MOED_LOG_ERROR, "%s", err->message);
}

/* Says of each part with a fault what is to blame: here, where there is a workspace to ask. */
static void blame_parts(struct moed_worker *worker, const struct moed_layer *layer)
{
    struct moed_batcher *batcher = worker->batcher;

    for (uint32_t i = 0; i < worker->batch.n_parts; i++) {
        const struct moed_part *part = &worker->batch.parts[i];
        struct moed_error err;
        int rc;

        if (part->fault == MOED_FAULT_NONE)
            continue;
        rc = moed_blame(worker, layer, part, &err);
        moed_counters_fault(&batcher->counters, rc, part->bad_rows);
        if (rc == MOED_E_WEIGHTS)
            tell(worker, &err);
        pthread_mutex_lock(&batcher->mutex);
        moed_job_fail(part->job, rc, "%s", err.message);
        pthread_mutex_unlock(&batcher->mutex);
    }
}

static void compute(struct moed_worker *worker)
{
    struct moed_batcher *batcher = worker->batcher;
    struct moed_batch *batch = &worker->batch;
    const struct moed_layer *layer = &batcher->model->layers[batch->place];
    const uint64_t begin = moed_now_ns();
    uint64_t forward, end;
    struct moed_batch_rows rows;
    struct moed_error err;
    int rc;

    moed_rows_gather(&worker->rows, layer, batch, &rows);
    forward = moed_now_ns();
    rc = moed_forward(worker->workspace, layer->index, &rows, &err);
    end = moed_now_ns();
    if (rc == 0) {
        moed_rows_scatter(&worker->rows, layer, batch);
        moed_tally_add(&batcher->tally, worker->index, batch->place, &rows);
        moed_counters_batch(&batcher->counters, batch, &rows, (double)(end - forward) * 1e-9);
        blame_parts(worker, layer);
    } else {
        moed_error_prefix(&err, "layer %" PRIu32 ": a batch of %" PRIu32 " rows failed",
                          layer->index, batch->rows);
        moed_log(MOED_LOG_ERROR, "%s", err.message);
    }
    moed_metric_add(batcher->counters.worker_busy[worker->index],
                    (double)(moed_now_ns() - begin) * 1e-9);
    settle(worker, end - forward, rc == 0 ? NULL : &err);
}

/* Computes what was taken, where a watchdog can see how long that takes. */
static void work(struct moed_worker *worker)
{
    const struct moed_model *model = worker->batcher->model;

    atomic_store_explicit(&worker->busy_layer, model->layers[worker->batch.place].index,
                          memory_order_relaxed);
    atomic_store_explicit(&worker->since_ns, moed_now_ns(), memory_order_release);
    compute(worker);
    atomic_store_explicit(&worker->since_ns, 0, memory_order_relaxed);
}

static void *run(void *argument)
{
    struct moed_worker *worker = argument;

    if (set_up(worker, &worker->error) == 0) {
        report_state(worker, MOED_WORKER_READY);
        while (take(worker))
            if (worker->batch.n_parts > 0)
                work(worker);
    } else {
        report_state(worker, MOED_WORKER_FAILED);
    }
    tear_down(worker);
    return NULL;
}

int moed_worker_start(struct moed_worker *worker, struct moed_batcher *batcher, uint32_t index,
                      struct moed_error *err)
{
    char name[16]; /* as long as Linux lets a thread's name be */
    int rc;

    worker->batcher = batcher;
    worker->index = index;
    rc = pthread_create(&worker->thread, NULL, run, worker);
    if (rc != 0)
        return moed_fail(err, MOED_E_NO_MEMORY, "worker %" PRIu32 ": no thread: %s", index,
                         strerror(rc));
    snprintf(name, sizeof name, "worker-%" PRIu32, index % 10000);
    pthread_setname_np(worker->thread, name);
    return 0;
}

int moed_worker_wait(struct moed_worker *worker, struct moed_error *err)
{
    pthread_mutex_t *mutex = &worker->batcher->mutex;

    pthread_mutex_lock(mutex);
    while (worker->state == MOED_WORKER_STARTING)
        pthread_cond_wait(&worker->batcher->state, mutex);
    pthread_mutex_unlock(mutex);
    if (worker->state == MOED_WORKER_FAILED)
        return moed_fail(err, worker->error.code, "worker %" PRIu32 ": %s", worker->index,
                         worker->error.message);
    return 0;
}

void moed_worker_join(struct moed_worker *worker)
{
    pthread_join(worker->thread, NULL);
}
