/* batcher: what submitters and workers share. */
#ifndef MOED_BATCH_BATCHER_H
#define MOED_BATCH_BATCHER_H

#include "counters.h"
#include "worker.h"

struct moed_batcher {
    const struct moed_model *model;
    struct moed_backend *backend;
    struct moed_batcher_options options; /* defaults filled in */

    pthread_mutex_t mutex; /* guards the queue, its jobs' progress and the two below */
    pthread_cond_t wake;   /* jobs came, or the end: for workers */
    pthread_cond_t state;  /* a worker has started or failed to: for create */
    struct moed_queue queue;
    bool stopping;
    atomic_uint arrivals; /* that workers may look at without the mutex */

    struct moed_tally tally;
    struct moed_counters counters;
    struct moed_worker *workers;
    uint32_t n_workers; /* that were started */
};

/* Calls `done` of each job of a list linked by `next`, without the mutex. */
void moed_batcher_answer(struct moed_batcher *batcher, struct moed_job *jobs);

#endif
