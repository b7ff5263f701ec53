/* forward.c: from a complete body to a job and from a finished job to an answer. Large bodies are
 * parsed on libuv's pool, so that the loop stays free for everybody else. */
#include "forward.h"

#include "request.h"

#include <stdlib.h>

/* Bytes whose parsing takes the loop about a tenth of a millisecond: JSON has to be read number by
 * number, raw rows are only looked through for what is not finite. */
enum { INLINE_JSON = 16 << 10, INLINE_RAW = 256 << 10 };

void forward_init(struct forward *forward)
{
    moed_raw_params_init(&forward->params);
    atomic_init(&forward->job.cancelled, false);
}

void forward_fini(struct forward *forward)
{
    moed_request_fini(&forward->wire);
    moed_request_fini(&forward->params.request);
    free(forward->output);
    free(forward->expert_ids);
    free(forward->expert_weights);
    free(forward->logits);
}

static uint32_t most_experts(const struct moed_model *model)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < model->n_layers; i++)
        if (model->layers[i].experts > most)
            most = model->layers[i].experts;
    return most;
}

/* Any thread: touches the request and the unchanging model alone. */
static void parse(struct request *request)
{
    struct forward *f = &request->forward;
    const struct moed_wire_limits limits = {
        .hidden = f->layer != NULL ? f->layer->hidden : 0,
        .max_rows = request->server->options->max_request_rows,
        .max_slots =
            f->layer != NULL ? f->layer->experts : most_experts(request->server->engine.model),
    };
    const char *data = request->body.data != NULL ? request->body.data : "";

    if (f->json)
        moed_wire_parse_json(data, request->body.size, &limits, &f->wire, &f->error);
    else
        moed_wire_parse_raw(data, request->body.size, &limits, &f->params, &f->wire, &f->error);
}

static int submit(struct request *request, struct moed_error *err)
{
    struct forward *f = &request->forward;
    int rc = f->error.code;

    if (rc != 0)
        *err = f->error;
    else if (request->server->drain.hurry)
        rc = moed_fail(err, MOED_E_DRAINING, "the server is shutting down");
    if (rc == 0)
        rc = forward_find_layer(request, err);
    if (rc == 0)
        rc = job_fill(request, err);
    if (rc == 0)
        rc = moed_batcher_submit(request->server->engine.batcher, &f->job, err);
    return rc;
}

static void parsed(struct request *request)
{
    struct moed_error err;

    if (submit(request, &err) != 0) {
        request_fail(request, &err);
        return;
    }
    request->forward.submitted = true;
    request_leave(request);
}

void forward_begin(struct request *request)
{
    size_t most = request->forward.json ? INLINE_JSON : INLINE_RAW;

    if (request->body.size > most) {
        request_offload(request, parse, parsed);
        return;
    }
    parse(request);
    parsed(request);
}

void forward_finish(struct request *request)
{
    struct moed_job *job = &request->forward.job;

    if (job->status != 0)
        request_fail(request, &job->error);
    else
        result_answer(request);
}
