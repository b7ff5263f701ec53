/* queue: order and bounds of what waits. A job is cut if it is larger than a whole batch, or would
 * take too long while others are active; what is left of it goes behind the jobs that wait, so that
 * a long prompt does not hold up single rows. */
#include "queue.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Another client was "recently" active: a decoder comes back to a layer once a token. */
#define COMPANY_NS UINT64_C(200000000)

/* Others are "active" for so long after they asked: a batch that is not cut because of that may
 * keep them waiting once. */
#define ACTIVE_NS UINT64_C(2000000000)

/* A batch's rows, while others are active and nothing is known of how long a row takes. */
#define UNTIMED_ROWS 64

int moed_queue_init(struct moed_queue *queue, const struct moed_model *model,
                    const struct moed_batcher_options *options)
{
    *queue = (struct moed_queue){
        .layers = moed_calloc(model->n_layers, sizeof *queue->layers),
        .n_layers = model->n_layers,
        .max_batch_rows = options->max_batch_rows,
        .delay_ns = (uint64_t)options->max_batch_delay_us * 1000,
        .batch_ns = (uint64_t)options->max_batch_ms * 1000000,
        .max_rows = options->max_queue_rows,
        .max_requests = options->max_queue_requests,
    };
    if (queue->layers == NULL)
        return MOED_E_NO_MEMORY;
    for (uint32_t i = 0; i < model->n_layers; i++) {
        const struct moed_layer *layer = &model->layers[i];
        const uint64_t slots = (uint64_t)options->max_batch_rows * layer->used;

        queue->layers[i].used = layer->used;
        queue->layers[i].capacity = slots > layer->experts ? slots : layer->experts;
    }
    return 0;
}

void moed_queue_fini(struct moed_queue *queue)
{
    free(queue->layers);
}

int moed_queue_admit(const struct moed_queue *queue, uint32_t rows, struct moed_error *err)
{
    if (rows > queue->max_rows)
        return moed_fail(err, MOED_E_TOO_LARGE,
                         "a request of %" PRIu32 " rows can never wait: the queue holds %" PRIu32,
                         rows, queue->max_rows);
    if (queue->rows + rows > queue->max_rows)
        return moed_fail(err, MOED_E_QUEUE_FULL,
                         "%" PRIu64 " rows are queued and %" PRIu32
                         " more were asked for, "
                         "the limit is %" PRIu32,
                         queue->rows, rows, queue->max_rows);
    if (queue->requests >= queue->max_requests)
        return moed_fail(err, MOED_E_QUEUE_FULL,
                         "%" PRIu32 " requests are queued, the limit is %" PRIu32, queue->requests,
                         queue->max_requests);
    return 0;
}

static uint32_t rows_left(const struct moed_job *job)
{
    return job->rows - job->taken;
}

static void append(struct moed_queue_layer *layer, struct moed_job *job, uint64_t now)
{
    job->next = NULL;
    job->queued_ns = now;
    if (layer->tail == NULL)
        layer->head = job;
    else
        layer->tail->next = job;
    layer->tail = job;
}

static void unlink_after(struct moed_queue_layer *layer, struct moed_job *before)
{
    struct moed_job **link = before == NULL ? &layer->head : &before->next;
    struct moed_job *job = *link;

    *link = job->next;
    if (layer->tail == job)
        layer->tail = before;
    job->next = NULL;
}

/* Counts a job, already unlinked, as waiting no more. */
static void leave(struct moed_queue *queue, struct moed_job *job)
{
    queue->layers[job->place].rows -= rows_left(job);
    queue->rows -= rows_left(job);
    queue->requests--;
    job->queued = false;
}

/* Notes who is active on a layer. */
static void note_client(struct moed_queue_layer *layer, const void *client, uint64_t now)
{
    if (client != layer->client) {
        layer->other_ns = layer->client_ns;
        layer->client = client;
    }
    layer->client_ns = now;
}

void moed_queue_push(struct moed_queue *queue, struct moed_job *job, uint64_t now)
{
    struct moed_queue_layer *layer = &queue->layers[job->place];

    note_client(layer, job->client, now);
    if (job->client != queue->client) {
        queue->other_ns = queue->client_ns;
        queue->client = job->client;
    }
    queue->client_ns = now;
    append(layer, job, now);
    layer->rows += job->rows;
    queue->rows += job->rows;
    queue->requests++;
    job->queued = true;
}

void moed_queue_remove(struct moed_queue *queue, struct moed_job *job)
{
    struct moed_queue_layer *layer = &queue->layers[job->place];
    struct moed_job *before = NULL;

    for (struct moed_job *at = layer->head; at != job; at = at->next)
        before = at;
    unlink_after(layer, before);
    leave(queue, job);
}

/* How long the head of a layer waits for co-arriving requests: not at all where there was none of
 * late, since a client that waits for its answer sends nothing more. */
static uint64_t delay_of(const struct moed_queue *queue, const struct moed_queue_layer *layer)
{
    const bool company =
        layer->other_ns != 0 && layer->head->submitted_ns < layer->other_ns + COMPANY_NS;

    return company ? queue->delay_ns : 0;
}

/* When the head of a layer has waited for them. What was answered meanwhile counts too:
 * clients that ask again as soon as they can would otherwise stay in two groups for ever, each in
 * the queue while the other is computed. */
static uint64_t ready_ns(const struct moed_queue *queue, const struct moed_queue_layer *layer)
{
    const struct moed_job *head = layer->head;
    const bool begun = head->taken > 0;
    const uint64_t since =
        !begun && layer->answered_ns > head->submitted_ns ? layer->answered_ns : head->submitted_ns;

    return since + delay_of(queue, layer);
}

void moed_queue_answered(struct moed_queue *queue, uint32_t place, uint64_t now)
{
    queue->layers[place].answered_ns = now;
}

/* Since when it is a layer's turn: its head may have waited for long, but layers that had no batch
 * meanwhile come before one that had. */
static uint64_t turn_of(const struct moed_queue_layer *layer)
{
    return layer->head->queued_ns > layer->answered_ns ? layer->head->queued_ns
                                                       : layer->answered_ns;
}

bool moed_queue_pick(const struct moed_queue *queue, uint64_t now, uint32_t *place,
                     uint64_t *wake_ns)
{
    uint64_t oldest = UINT64_MAX, first = UINT64_MAX;

    for (uint32_t i = 0; i < queue->n_layers; i++) {
        const struct moed_queue_layer *layer = &queue->layers[i];
        uint64_t ready;

        if (layer->head == NULL)
            continue;
        ready = layer->rows >= queue->max_batch_rows ? 0 : ready_ns(queue, layer);
        if (ready > now) {
            first = ready < first ? ready : first;
        } else if (turn_of(layer) < oldest) {
            oldest = turn_of(layer);
            *place = i;
        }
    }
    *wake_ns = first == UINT64_MAX ? 0 : first;
    return oldest != UINT64_MAX;
}

/* Rows of a batch that is `slots` wide. */
static uint32_t batch_limit(const struct moed_queue *queue, const struct moed_queue_layer *layer,
                            uint32_t slots)
{
    const uint64_t rows = slots == 0 ? UINT64_MAX : layer->capacity / slots;

    return rows < queue->max_batch_rows ? (uint32_t)rows : queue->max_batch_rows;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* How many rows of a job go into the batch: all that are left, a part of a job that no batch
 * would hold, or 0 for one that is better kept whole for the next. */
static uint32_t rows_that_fit(const struct moed_queue *queue, const struct moed_batch *batch,
                              const struct moed_job *job)
{
    const struct moed_queue_layer *layer = &queue->layers[job->place];
    const uint32_t limit = batch_limit(queue, layer, larger(batch->slots, job->slots));
    const uint32_t room = limit > batch->rows ? limit - batch->rows : 0;

    if (rows_left(job) <= room)
        return rows_left(job);
    return rows_left(job) > batch_limit(queue, layer, larger(layer->used, job->slots)) ? room : 0;
}

/* Moves `rows` rows of the job behind `before` (NULL: of the FIFO's head) into the batch. */
static void take_job(struct moed_queue *queue, struct moed_batch *batch, struct moed_job *before,
                     uint32_t rows, uint64_t now)
{
    struct moed_queue_layer *layer = &queue->layers[batch->place];
    struct moed_job *job = before == NULL ? layer->head : before->next;

    if (job->taken == 0)
        job->queue_ns = now - job->submitted_ns;
    batch->parts[batch->n_parts++] =
        (struct moed_part){.job = job, .first = job->taken, .rows = rows};
    batch->rows += rows;
    batch->slots = larger(batch->slots, job->slots);

    unlink_after(layer, before);
    if (rows < rows_left(job)) {
        layer->rows -= rows;
        queue->rows -= rows;
        job->taken += rows;
        append(layer, job, now);
    } else {
        leave(queue, job);
        job->taken += rows;
    }
}

/* Fails a job that nobody waits for any more. */
static bool is_moot(struct moed_job *job, uint64_t now)
{
    if (atomic_load(&job->cancelled)) {
        moed_job_fail(job, MOED_E_CANCELLED,
                      "the client went away when %" PRIu32 " of %" PRIu32 " rows were computed",
                      job->finished, job->rows);
        return true;
    }
    if (job->deadline_ns != 0 && now >= job->deadline_ns) {
        moed_job_fail(job, MOED_E_DEADLINE,
                      "the deadline passed after %.3f ms in the queue, when %" PRIu32 " of %" PRIu32
                      " rows were computed",
                      (double)(now - job->submitted_ns) * 1e-6, job->finished, job->rows);
        return true;
    }
    return false;
}

struct moed_job *moed_queue_drop_moot(struct moed_queue *queue, uint64_t now)
{
    struct moed_job *dropped = NULL;

    for (uint32_t i = 0; i < queue->n_layers; i++)
        for (struct moed_job *job = queue->layers[i].head, *next; job != NULL; job = next) {
            next = job->next;
            if (!is_moot(job, now))
                continue;
            moed_queue_remove(queue, job);
            if (moed_job_is_over(job)) {
                job->next = dropped;
                dropped = job;
            }
        }
    return dropped;
}

void moed_queue_timed(struct moed_queue *queue, uint32_t place, uint32_t rows, uint64_t ns)
{
    struct moed_queue_layer *layer = &queue->layers[place];

    layer->timed_ns = layer->timed_ns / 2 + (double)ns;
    layer->timed_rows = layer->timed_rows / 2 + rows;
}

/* Rows of a batch that is to take no longer than the bound; UINT32_MAX where nobody but the client
 * of the layer's head has been active of late. */
static uint32_t timed_limit(const struct moed_queue *queue, const struct moed_queue_layer *layer,
                            uint64_t now)
{
    const uint64_t others = layer->head != NULL && layer->head->client == queue->client
                                ? queue->other_ns
                                : queue->client_ns;
    double rows;

    if (queue->batch_ns == 0 || others == 0 || now >= others + ACTIVE_NS)
        return UINT32_MAX;
    if (layer->timed_rows < 1)
        return UNTIMED_ROWS;
    rows = (double)queue->batch_ns * layer->timed_rows / (layer->timed_ns + 1);
    return rows < 1 ? 1 : rows < UINT32_MAX ? (uint32_t)rows : UINT32_MAX;
}

/* The most rows of a job that a batch of up to `limit` has room for. */
static uint32_t room_for(const struct moed_queue *queue, const struct moed_batch *batch,
                         const struct moed_job *job, uint32_t limit)
{
    const struct moed_queue_layer *layer = &queue->layers[job->place];
    const uint32_t most = batch_limit(queue, layer, larger(batch->slots, job->slots));
    const uint32_t least = limit < most ? limit : most;

    return least > batch->rows ? least - batch->rows : 0;
}

/* Whether a job is to be cut rather than taken whole. */
static bool is_large(const struct moed_queue *queue, const struct moed_job *job, uint32_t half)
{
    const struct moed_queue_layer *layer = &queue->layers[job->place];

    return rows_left(job) > half ||
           rows_left(job) > batch_limit(queue, layer, larger(layer->used, job->slots));
}

/* Fills a batch that may not hold all that waits: with small jobs, or a part of the first large
 * one, or with both; then it is to take half the time, since the small ones may have waited for a
 * whole batch already: they fill up to half of the limit, and the large one takes what they leave
 * of that, but a quarter at least. So large jobs take turns, and neither kind keeps the other
 * waiting. */
static struct moed_job *take_short(struct moed_queue *queue, struct moed_batch *batch,
                                   uint32_t limit, uint64_t now)
{
    struct moed_queue_layer *layer = &queue->layers[batch->place];
    const uint32_t half = limit > 1 ? limit / 2 : 1;
    struct moed_job *dropped = NULL, *before = NULL, *large = NULL;
    bool full = false, any_large = false;

    for (struct moed_job *job = layer->head; job != NULL; job = job->next)
        any_large = any_large || is_large(queue, job, half);
    for (struct moed_job *job = layer->head, *next; job != NULL; job = next) {
        next = job->next;
        if (is_moot(job, now)) {
            moed_queue_remove(queue, job);
            if (moed_job_is_over(job)) {
                job->next = dropped;
                dropped = job;
            }
        } else if (!is_large(queue, job, half) && !full &&
                   rows_left(job) <= room_for(queue, batch, job, any_large ? half : limit)) {
            take_job(queue, batch, before, rows_left(job), now);
        } else {
            if (!is_large(queue, job, half))
                full = true; /* the next small ones are not to overtake it */
            else if (large == NULL)
                large = job;
            before = job;
        }
    }
    if (large != NULL) {
        const uint32_t quarter = batch->rows + limit / 4;
        const uint32_t shared = quarter > half ? quarter : half;
        const uint32_t room = room_for(queue, batch, large, batch->rows > 0 ? shared : limit);
        const uint32_t rows = rows_left(large) < room ? rows_left(large) : room;

        batch->cut = rows < rows_left(large);
        before = NULL;
        for (struct moed_job *job = layer->head; job != large; job = job->next)
            before = job;
        if (rows > 0)
            take_job(queue, batch, before, rows, now);
    }
    return dropped;
}

struct moed_job *moed_queue_take(struct moed_queue *queue, uint32_t place, uint64_t now,
                                 struct moed_batch *batch)
{
    struct moed_queue_layer *layer = &queue->layers[place];
    struct moed_job *dropped = NULL;
    uint32_t limit;

    batch->place = place;
    batch->rows = 0;
    batch->slots = layer->used;
    batch->n_parts = 0;
    batch->cut = false;
    limit = timed_limit(queue, layer, now);
    if (limit < layer->rows)
        return take_short(queue, batch, limit, now);
    while (layer->head != NULL) {
        struct moed_job *job = layer->head;
        uint32_t rows;

        if (is_moot(job, now)) {
            moed_queue_remove(queue, job);
            if (moed_job_is_over(job)) {
                job->next = dropped;
                dropped = job;
            }
            continue;
        }
        rows = rows_that_fit(queue, batch, job);
        if (rows == 0)
            break;
        take_job(queue, batch, NULL, rows, now);
    }
    return dropped;
}

struct moed_job *moed_queue_abort(struct moed_queue *queue, int status, const char *message)
{
    struct moed_job *over = NULL;

    for (uint32_t i = 0; i < queue->n_layers; i++) {
        struct moed_job *job;

        while ((job = queue->layers[i].head) != NULL) {
            moed_job_fail(job, status, "%s", message);
            moed_queue_remove(queue, job);
            if (moed_job_is_over(job)) {
                job->next = over;
                over = job;
            }
        }
    }
    return over;
}

bool moed_job_is_over(const struct moed_job *job)
{
    return !job->queued && job->finished == job->taken;
}

void moed_job_fail(struct moed_job *job, int status, const char *format, ...)
{
    char message[sizeof job->error.message];
    va_list args;

    if (job->status != 0)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    job->status = moed_fail(&job->error, status, "%s", message);
}
