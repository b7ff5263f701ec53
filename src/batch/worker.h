/* worker: a thread that takes batches and computes them, with a workspace and buffers of its own.
 */
#ifndef MOED_BATCH_WORKER_H
#define MOED_BATCH_WORKER_H

#include "rows.h"

#include <pthread.h>

enum moed_worker_state { MOED_WORKER_STARTING, MOED_WORKER_READY, MOED_WORKER_FAILED };

struct moed_worker {
    struct moed_batcher *batcher;
    uint32_t index;
    pthread_t thread;
    enum moed_worker_state state; /* under the batcher's mutex */
    struct moed_error error;      /* why it failed */
    struct moed_workspace *workspace;
    struct moed_rows rows, trial; /* of a batch; of the one row of a trial (blame.h) */
    uint64_t told_ns;             /* when it last logged weights that are not finite */
    struct moed_batch batch;
    _Atomic uint64_t since_ns;   /* 0: it waits for work; else when it took its batch: */
    _Atomic uint32_t busy_layer; /* of that block */
};

/* Starts the thread; moed_worker_wait() tells how its start went. */
int moed_worker_start(struct moed_worker *worker, struct moed_batcher *batcher, uint32_t index,
                      struct moed_error *err);
int moed_worker_wait(struct moed_worker *worker, struct moed_error *err);
/* Joins the thread; the batcher is stopping already. */
void moed_worker_join(struct moed_worker *worker);

#endif
