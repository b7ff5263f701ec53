/* queue: the jobs that wait, one FIFO a layer, and the rules by which they are admitted and
 * gathered into batches. Has no lock and no clock: the batcher's mutex guards it and callers pass
 * the time, so its rules can be tested without threads. */
#ifndef MOED_BATCH_QUEUE_H
#define MOED_BATCH_QUEUE_H

#include "src/batch/batch.h"

struct moed_queue_layer {
    struct moed_job *head, *tail;
    uint64_t rows;               /* waiting */
    const void *client;          /* who asked last */
    uint64_t client_ns;          /* when */
    uint64_t other_ns;           /* when somebody else last did; 0: nobody ever */
    uint64_t answered_ns;        /* when its last batch was */
    double timed_ns, timed_rows; /* what its last batches took, the older the less they count */
    uint32_t used;               /* K */
    uint64_t capacity;           /* rows × slots of a batch at most */
};

struct moed_queue {
    struct moed_queue_layer *layers; /* as in model->layers */
    uint32_t n_layers;
    uint32_t max_batch_rows;
    uint64_t delay_ns;
    uint64_t batch_ns;  /* a batch is to take at most, while others are active; 0: no bound */
    const void *client; /* who asked last, of any layer; when, and when somebody else last did: */
    uint64_t client_ns, other_ns;
    uint32_t max_rows, max_requests;
    uint64_t rows;     /* waiting, over all layers */
    uint32_t requests; /* likewise */
};

/* What may be wrong with a computed row. */
enum moed_fault {
    MOED_FAULT_NONE,
    MOED_FAULT_ROUTER, /* its router logits are not finite */
    MOED_FAULT_OUTPUT, /* its output is not */
    MOED_FAULT_DTYPE   /* its output is, but not in the type in which it is wanted */
};

/* Rows [first, first + rows) of a job, in one batch. */
struct moed_part {
    struct moed_job *job;
    uint32_t first, rows;
    enum moed_fault fault; /* of its rows, or of the first: */
    uint32_t bad_row;      /* of the request */
    uint32_t bad_at;       /* the same, of the batch */
    uint32_t bad_rows;     /* that have a fault */
    uint64_t missing;      /* slots of experts that are not held here; the first: */
    uint32_t missing_row, missing_expert;
};

struct moed_batch {
    uint32_t place; /* of the layer in model->layers */
    uint32_t rows, slots;
    uint32_t n_parts;
    bool cut;                /* a request was cut so that the batch does not take too long */
    struct moed_part *parts; /* room for one a waiting request or one a row */
};

/* Options without defaults left to fill in. */
int moed_queue_init(struct moed_queue *queue, const struct moed_model *model,
                    const struct moed_batcher_options *options);
void moed_queue_fini(struct moed_queue *queue);

/* 0, MOED_E_QUEUE_FULL, or MOED_E_TOO_LARGE for what would not fit in an empty queue. */
int moed_queue_admit(const struct moed_queue *queue, uint32_t rows, struct moed_error *err);
void moed_queue_push(struct moed_queue *queue, struct moed_job *job, uint64_t now);
/* Takes out the jobs that nobody waits for any more, of all layers: past their deadline or with
 * their client gone. Returns those (linked by `next`) of which no part is being computed. */
struct moed_job *moed_queue_drop_moot(struct moed_queue *queue, uint64_t now);
/* Takes out one that waits. */
void moed_queue_remove(struct moed_queue *queue, struct moed_job *job);

/* The layer to compute now: of those that wait no longer for co-arrivals the one whose head has
 * waited longest, a layer's last batch counting as the begin of its wait. False if there is none;
 * then *wake_ns is when there will be, 0: nothing waits. */
bool moed_queue_pick(const struct moed_queue *queue, uint64_t now, uint32_t *place,
                     uint64_t *wake_ns);
/* Fills a batch from one layer's FIFO. Returns the jobs (linked by `next`) that are answered now
 * because their deadline has passed or their client has gone. */
struct moed_job *moed_queue_take(struct moed_queue *queue, uint32_t place, uint64_t now,
                                 struct moed_batch *batch);
/* A batch of a layer is answered: those who were in it may soon ask again. */
void moed_queue_answered(struct moed_queue *queue, uint32_t place, uint64_t now);
/* What a batch of a layer took to compute, for the length of the next ones. */
void moed_queue_timed(struct moed_queue *queue, uint32_t place, uint32_t rows, uint64_t ns);
/* Empties the queue, failing its jobs; returns those of which no part is being computed. */
struct moed_job *moed_queue_abort(struct moed_queue *queue, int status, const char *message);

/* Whether a job that left the queue has all its parts back. */
bool moed_job_is_over(const struct moed_job *job);
/* The first failure of a job is the one that it reports. */
void moed_job_fail(struct moed_job *job, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
