/* forward.h: requests with rows: the MoE forward pass, and the router alone. */
#ifndef MOED_SERVER_FORWARD_H
#define MOED_SERVER_FORWARD_H

#include <moed/batch.h>
#include <moed/wire.h>

struct request;

struct forward {
    bool json; /* else raw bytes */
    bool has_path_layer;
    uint32_t path_layer;
    struct moed_raw_params params;  /* of the query and the X-MoE-* headers */
    const struct moed_layer *layer; /* NULL until it is known */
    struct moed_request wire;       /* the parsed body */
    struct moed_job job;
    bool submitted;
    void *output; /* what the job writes */
    int32_t *expert_ids;
    float *expert_weights;
    float *logits;
    struct moed_error error; /* of the step that ran on the pool */
};

void forward_init(struct forward *forward);
void forward_fini(struct forward *forward);

/* ---- admit.c ---- */
/* From the headers alone: media type, parameters, layer, length, room in the queue. */
int forward_admit(struct request *request, struct moed_error *err);
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
/* Prints what the job computed and answers. */
void result_answer(struct request *request);

#endif
