/* result.c: the computed rows as a response body. */
#include "request.h"

/* Bytes of JSON that are printed on the loop; about what is parsed there. */
enum { INLINE_PRINT = 16 << 10, INLINE_COPY = 256 << 10 };
enum { CHARS_A_FLOAT = 11 };

static void describe(const struct request *request, struct moed_response *out)
{
    const struct forward *f = &request->forward;
    const struct moed_job *job = &f->job;

    *out = (struct moed_response){
        .layer = job->layer,
        .rows = job->rows,
        .hidden = f->layer->hidden,
        .experts = f->layer->experts,
        .slots = job->slots,
        .dtype = job->output_dtype,
        .output = job->output,
        .logits = job->logits,
        .timing = (f->wire.returns & MOED_RETURN_TIMING) != 0,
        .queue_ns = job->queue_ns,
        .compute_ns = job->compute_ns,
        .batch_rows = job->batch_rows,
    };
    if (!f->wire.routed || (f->wire.returns & MOED_RETURN_ROUTING) != 0) {
        out->expert_ids = job->expert_ids;
        out->expert_weights = job->expert_weights;
    }
}

/* About how long the body will be: enough to choose the thread that prints it. */
static uint64_t estimate(const struct forward *f, const struct moed_response *r)
{
    uint64_t values = r->output != NULL ? (uint64_t)r->rows * r->hidden : 0;

    values += r->expert_ids != NULL ? 2 * (uint64_t)r->rows * r->slots : 0;
    values += r->logits != NULL ? (uint64_t)r->rows * r->experts : 0;
    return values * (f->json ? CHARS_A_FLOAT : sizeof(float));
}

/* Any thread: the request is away and its job is done. */
static void print(struct request *request)
{
    struct forward *f = &request->forward;
    struct moed_response response;
    char *body = NULL;
    size_t size = 0;
    int rc;

    describe(request, &response);
    if (f->json)
        rc = moed_wire_print_json(&response, f->wire.encoding, &body, &size, &f->error);
    else
        rc = moed_wire_print_raw(&response, &body, &size, &f->error);
    if (rc == 0)
        reply_take(request, f->json ? "application/json" : "application/octet-stream", body, size);
}

static void add_headers(struct request *request)
{
    const struct forward *f = &request->forward;
    const struct moed_job *job = &f->job;

    reply_header(request, "Server-Timing", "queue;dur=%.3f, compute;dur=%.3f",
                 (double)job->queue_ns * 1e-6, (double)job->compute_ns * 1e-6);
    if (f->json)
        return;
    reply_header(request, "X-MoE-Layer", "%u", job->layer);
    reply_header(request, "X-MoE-Shape", "%u,%u", job->rows, f->layer->hidden);
    reply_header(request, "X-MoE-Dtype", "%s", moed_dtype_name(job->output_dtype));
    reply_header(request, "X-MoE-K", "%u", job->slots);
}

static void printed(struct request *request)
{
    struct forward *f = &request->forward;

    if (f->error.code != 0) {
        request_fail(request, &f->error);
        return;
    }
    add_headers(request);
    request_answer(request);
}

void result_answer(struct request *request)
{
    struct forward *f = &request->forward;
    struct moed_response response;

    describe(request, &response);
    if (!f->json && f->output != NULL && response.expert_ids == NULL && response.logits == NULL) {
        /* Nothing but the output: the buffer that the batch wrote to is the body. */
        reply_take(request, "application/octet-stream", f->output,
                   (size_t)response.rows * response.hidden * moed_dtype_size(response.dtype));
        f->output = NULL;
        printed(request);
    } else if (estimate(f, &response) > (f->json ? INLINE_PRINT : INLINE_COPY)) {
        request_offload(request, print, printed);
    } else {
        print(request);
        printed(request);
    }
}
