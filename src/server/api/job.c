/* job.c: turns a parsed request into the job that the batcher takes. */
#include "forward.h"
#include "service.h"

#include <stdlib.h>

static int check_fits(const struct request *request, struct moed_error *err)
{
    const struct forward *f = forward_of(request);
    const struct moed_request *wire = &f->wire;

    if (wire->rows > 0 && wire->hidden != f->layer->hidden)
        return moed_fail(err, MOED_E_SHAPE, "hidden_states: rows of %u values, layer %u takes %u",
                         wire->hidden, f->layer->index, f->layer->hidden);
    if (wire->routed && request->route->route_only)
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "routing: was supplied, but this endpoint is the one that chooses");
    if (wire->routed && (wire->returns & MOED_RETURN_LOGITS) != 0)
        return moed_fail(err, MOED_E_UNPROCESSABLE,
                         "return: \"logits\" cannot be had with supplied routing, since the "
                         "router is not asked");
    return 0;
}

static uint8_t row_flags(const struct moed_request *wire, bool route_only)
{
    unsigned flags = route_only ? MOED_ROW_ROUTE_ONLY : 0;

    if (wire->routed)
        flags |= MOED_ROW_SUPPLIED;
    if (wire->shared == MOED_SHARED_EXCLUDE)
        flags |= MOED_ROW_NO_SHARED;
    else if (wire->shared == MOED_SHARED_ONLY)
        flags |= MOED_ROW_ONLY_SHARED;
    if (wire->block != MOED_BLOCK_FFN)
        flags |= MOED_ROW_NORM;
    if (wire->block == MOED_BLOCK_NORM_FFN_RESIDUAL)
        flags |= MOED_ROW_RESIDUAL;
    return (uint8_t)flags;
}

/* What the request holds while its job waits and is computed: rows that do not lie in its body,
 * what the job writes, and the room that printing that will take. */
static int hold(struct request *request, bool output, bool routing, bool logits,
                struct moed_error *err)
{
    const struct forward *f = forward_of(request);
    const uint64_t rows = f->wire.rows;
    uint64_t values = 0, bytes = f->wire.owned != NULL ? rows * f->wire.hidden * sizeof(float) : 0;

    if (output) {
        values += rows * f->layer->hidden;
        bytes += rows * f->layer->hidden * moed_dtype_size(f->wire.output_dtype);
    }
    if (routing) {
        values += rows * f->layer->used * 2;
        bytes += rows * f->layer->used * (sizeof(int32_t) + sizeof(float));
    }
    if (logits) {
        values += rows * f->layer->experts;
        bytes += rows * f->layer->experts * sizeof(float);
    }
    return body_hold(request, bytes + result_bytes(f, values), err);
}

/* What the job writes; one spare element, so that 0 rows are no special case. */
static int allocate(struct forward *f, bool output, bool routing, bool logits)
{
    const struct moed_layer *layer = f->layer;
    uint64_t rows = f->wire.rows;

    if (output)
        f->output = malloc((rows * layer->hidden + 1) * moed_dtype_size(f->wire.output_dtype));
    if (routing && !f->wire.routed) {
        f->expert_ids = malloc((rows * layer->used + 1) * sizeof(int32_t));
        f->expert_weights = malloc((rows * layer->used + 1) * sizeof(float));
    }
    if (logits)
        f->logits = malloc((rows * layer->experts + 1) * sizeof(float));
    if ((output && f->output == NULL) || (logits && f->logits == NULL) ||
        (routing && !f->wire.routed && (f->expert_ids == NULL || f->expert_weights == NULL)))
        return MOED_E_NO_MEMORY;
    return 0;
}

static void on_done(struct moed_job *job)
{
    struct request *request = job->context;

    mailbox_post(&service_of(request)->mailbox, forward_of(request));
}

static uint64_t deadline(const struct request *request)
{
    uint64_t ms = forward_of(request)->wire.deadline_ms;

    if (ms == 0)
        ms = service_of(request)->options->default_deadline_ms;
    return ms > 0 ? request->started_ns + ms * 1000000 : 0;
}

int job_fill(struct request *request, struct moed_error *err)
{
    struct forward *f = forward_of(request);
    const struct moed_request *wire = &f->wire;
    struct moed_job *job = &f->job;
    bool output = !request->route->route_only && (wire->returns & MOED_RETURN_OUTPUT) != 0;
    bool routing = request->route->route_only || (wire->returns & MOED_RETURN_ROUTING) != 0;
    bool logits = (wire->returns & MOED_RETURN_LOGITS) != 0;
    int rc = check_fits(request, err);

    if (rc == 0)
        rc = hold(request, output, routing, logits, err);
    if (rc != 0)
        return rc;
    if (allocate(f, output, routing, logits) != 0)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the answer of %u rows", wire->rows);
    job->layer = f->layer->index;
    job->rows = wire->rows;
    job->slots = wire->routed ? wire->slots : f->layer->used;
    job->flags = row_flags(wire, !output);
    job->skip_missing = wire->on_missing == MOED_MISSING_SKIP;
    job->hidden_dtype = wire->dtype;
    job->output_dtype = wire->output_dtype;
    job->hidden = wire->data;
    job->output = f->output;
    job->expert_ids = wire->routed ? wire->expert_ids : f->expert_ids;
    job->expert_weights = wire->routed ? wire->expert_weights : f->expert_weights;
    job->logits = f->logits;
    job->deadline_ns = deadline(request);
    job->client = request->client;
    job->done = on_done;
    job->context = request;
    return 0;
}
