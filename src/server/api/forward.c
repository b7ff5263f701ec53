/* forward.c: from a complete body to a job and from a finished job to an answer. Large bodies are
 * read and checked on libuv's pool, so that the loop stays free for everybody else. */
#include "forward.h"

#include "service.h"

#include <stdlib.h>

/* Bytes whose reading takes the loop about a tenth of a millisecond: JSON has to be read number by
 * number, raw rows are only looked through for what is not finite. */
enum { INLINE_JSON = 16 << 10, INLINE_RAW = 256 << 10 };

static void init(struct request *request)
{
    struct forward *forward = forward_of(request);

    forward->request = request;
    moed_raw_params_init(&forward->params);
    forward->json_size = MOED_KSERVE_NO_HEADER;
    atomic_init(&forward->job.cancelled, false);
}

static void fini(struct request *request)
{
    struct forward *forward = forward_of(request);

    moed_request_fini(&forward->wire);
    moed_kserve_fini(&forward->kserve);
    moed_request_fini(&forward->params.request);
    free(forward->output);
    free(forward->expert_ids);
    free(forward->expert_weights);
    free(forward->logits);
}

static uint64_t memory(const struct request *request)
{
    const struct moed_request *wire = &forward_of(request)->wire;

    return (uint64_t)wire->rows * wire->hidden * sizeof(float);
}

static void abandon(struct request *request)
{
    atomic_store(&forward_of(request)->job.cancelled, true);
}

const struct route_state forward_state = {init, fini, memory, abandon};

static uint32_t most_experts(const struct moed_model *model)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < model->n_layers; i++)
        if (model->layers[i].experts > most)
            most = model->layers[i].experts;
    return most;
}

static int parse(struct request *request)
{
    struct forward *f = forward_of(request);
    const struct moed_wire_limits limits = {
        .hidden = f->layer != NULL ? f->layer->hidden : 0,
        .max_rows = service_of(request)->options->max_request_rows,
        .max_slots =
            f->layer != NULL ? f->layer->experts : most_experts(service_of(request)->engine.model),
        .defaults = f->format == FORWARD_JSON ? &f->params.request : NULL,
    };
    static char nothing[1];
    char *data = request->body.data != NULL ? request->body.data : nothing;
    const struct moed_kserve_body body = {data, request->body.size, f->json_size};

    switch (f->format) {
    case FORWARD_KSERVE:
        return moed_wire_parse_kserve(&body, &limits, &f->wire, &f->kserve, &f->error);
    case FORWARD_JSON:
        return moed_wire_parse_json(data, body.size, &limits, &f->wire, &f->error);
    case FORWARD_RAW:
        break;
    }
    return moed_wire_parse_raw(data, body.size, &limits, &f->params, &f->wire, &f->error);
}

/* From the bytes to a job that only needs its place in the queue, or f->error. Any thread: touches
 * the request and what never changes. */
static void prepare(struct request *request)
{
    struct forward *f = forward_of(request);
    int rc = 0;

    if (request->body.coding != MOED_CODING_IDENTITY)
        rc = body_unpack(request, &f->error);
    if (rc == 0)
        rc = parse(request);
    if (f->wire.data == NULL || f->wire.owned != NULL)
        body_drop(request); /* else the rows stay where they are */
    if (rc == 0)
        rc = forward_find_layer(request, &f->error);
    if (rc == 0)
        rc = job_fill(request, &f->error);
    if (rc == 0)
        moed_batcher_check(service_of(request)->engine.batcher, &f->job, &f->error);
}

static int submit(struct request *request, struct moed_error *err)
{
    struct forward *f = forward_of(request);

    if (f->error.code != 0) {
        *err = f->error;
        return err->code;
    }
    if (service_of(request)->out_of_time)
        return moed_fail(err, MOED_E_DRAINING, "the server is shutting down");
    return moed_batcher_submit(service_of(request)->engine.batcher, &f->job, err);
}

static void prepared(struct request *request)
{
    struct moed_error err;

    forward_of(request)->read_ns = moed_now_ns() - forward_of(request)->begun_ns;
    if (submit(request, &err) != 0) {
        request_fail(request, &err);
        return;
    }
    forward_of(request)->submitted = true;
    request_leave(request);
}

void forward_begin(struct request *request)
{
    struct forward *f = forward_of(request);
    bool raw = f->format == FORWARD_RAW || f->json_size <= INLINE_JSON;
    size_t most = raw ? INLINE_RAW : INLINE_JSON;

    f->begun_ns = moed_now_ns();
    if (request->body.size > most || request->body.coding != MOED_CODING_IDENTITY) {
        request_offload(request, prepare, prepared);
        return;
    }
    prepare(request);
    prepared(request);
}

void forward_finish(struct request *request)
{
    struct moed_job *job = &forward_of(request)->job;

    forward_of(request)->finished_ns = moed_now_ns();
    if (job->status != 0)
        request_fail(request, &job->error);
    else
        result_answer(request);
}
