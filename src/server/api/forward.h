/* forward.h: requests with rows: the MoE forward pass, and the router alone. */
#ifndef MOED_SERVER_FORWARD_H
#define MOED_SERVER_FORWARD_H

#include "src/batch/batch.h"
#include "src/server/http/request.h"
#include "src/wire/kserve.h"

enum forward_format { FORWARD_RAW, FORWARD_JSON, FORWARD_KSERVE };

struct forward {
    struct request *request;   /* whose state this is */
    struct forward *next_done; /* in the mailbox */
    enum forward_format format;
    size_t json_size;               /* of a KServe body, or MOED_KSERVE_NO_HEADER */
    struct moed_raw_params params;  /* of the query and the X-MoE-* headers */
    const struct moed_layer *layer; /* NULL until it is known */
    struct moed_request wire;       /* the parsed body */
    struct moed_kserve kserve;      /* what else a KServe body says */
    struct moed_job job;
    bool submitted;
    void *output; /* what the job writes */
    int32_t *expert_ids;
    float *expert_weights;
    float *logits;
    uint64_t begun_ns, read_ns;     /* the body was complete; from then until it was submitted */
    uint64_t finished_ns, print_ns; /* the job was done; from then until it was printed */
    struct moed_error error;        /* of the step that ran on the pool */
};

/* Routes with rows keep one with each request. */
extern const struct route_state forward_state;

/* Whether a request, of any route or of none, has one. */
static inline bool forward_is_of(const struct request *request)
{
    return request->route != NULL && request->route->state == &forward_state;
}

static inline struct forward *forward_of(const struct request *request)
{
    return request->state;
}

/* ---- admit.c ---- */
/* From the headers alone: media type, parameters, layer, length, room in the queue. */
int forward_admit(struct request *request, struct moed_error *err);
int forward_admit_kserve(struct request *request, struct moed_error *err);
/* Finds the layer among path, parameters and body, which must not contradict each other. Any
 * thread that has the request. */
int forward_find_layer(struct request *request, struct moed_error *err);

/* ---- job.c ---- */
/* The job of a parsed request. Any thread that has it. */
int job_fill(struct request *request, struct moed_error *err);

/* ---- forward.c ---- */
void forward_begin(struct request *request);  /* the body is complete */
void forward_finish(struct request *request); /* the job is done; on the loop */

/* ---- result.c ---- */
/* How many bytes the body of the answer takes at most, but for a few hundred around the numbers;
 * `values` numbers. */
uint64_t result_bytes(const struct forward *forward, uint64_t values);
/* Prints what the job computed and answers. */
void result_answer(struct request *request);

#endif
