/* result.c: the computed rows as a response body. */
#include "forward.h"
#include "kserve.h"
#include "service.h"

#include <stdlib.h>

/* Bytes of JSON that are printed on the loop; about what is parsed there. */
enum { INLINE_PRINT = 16 << 10, INLINE_COPY = 256 << 10 };
/* Of a number as text, as a rule and at most, "-1.2345678e-38,"; of four bytes as base64. */
enum { CHARS_A_FLOAT = 11, CHARS_AT_MOST = 16, BASE64_BYTES = 6 };

static const char json_type[] = "application/json", raw_type[] = "application/octet-stream";

static const int32_t no_id = 0;
static const float no_weight = 0;

static void describe(const struct request *request, struct moed_response *out)
{
    const struct forward *f = forward_of(request);
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
        .partial = job->skip_missing,
        .missing_slots = job->missing_slots,
    };
    if (f->wire.routed && (f->wire.returns & MOED_RETURN_ROUTING) != 0 && job->rows == 0) {
        out->expert_ids = &no_id; /* none were supplied, and none come back: [], not nothing */
        out->expert_weights = &no_weight;
    } else if (!f->wire.routed || (f->wire.returns & MOED_RETURN_ROUTING) != 0) {
        out->expert_ids = job->expert_ids;
        out->expert_weights = job->expert_weights;
    }
}

/* Whether the numbers of the answer are text. */
static bool is_text(const struct forward *f)
{
    return f->format == FORWARD_JSON ||
           (f->format == FORWARD_KSERVE && !moed_kserve_has_binary(&f->kserve));
}

/* About how long the body will be: enough to choose the thread that prints it. */
static uint64_t estimate(const struct forward *f, const struct moed_response *r)
{
    uint64_t values = r->output != NULL ? (uint64_t)r->rows * r->hidden : 0;

    values += r->expert_ids != NULL ? 2 * (uint64_t)r->rows * r->slots : 0;
    values += r->logits != NULL ? (uint64_t)r->rows * r->experts : 0;
    return values * (is_text(f) ? CHARS_A_FLOAT : sizeof(float));
}

uint64_t result_bytes(const struct forward *f, uint64_t values)
{
    if (!is_text(f))
        return f->format == FORWARD_RAW ? 0 : values * sizeof(float);
    return values * (f->wire.encoding == MOED_ENCODING_BASE64 ? BASE64_BYTES : CHARS_AT_MOST);
}

/* From here on the request holds what is printed and nothing else. */
static void drop_numbers(struct request *request)
{
    struct forward *f = forward_of(request);
    struct moed_error err;

    free(f->output);
    free(f->logits);
    f->output = NULL;
    f->logits = NULL;
    body_hold(request, request->reply.size, &err);
}

static int print_kserve(struct request *request, const struct moed_response *response)
{
    struct forward *f = forward_of(request);
    struct moed_kserve_body body;
    char name[KSERVE_NAME_MAX];
    int rc;

    kserve_name(request, name);
    rc = moed_wire_print_kserve(response, &f->kserve, name, &body, &f->error);
    if (rc != 0)
        return rc;
    f->json_size = body.json_size;
    reply_take(request, moed_kserve_has_binary(&f->kserve) ? raw_type : json_type, body.data,
               body.size);
    return 0;
}

/* Any thread: the request is away and its job is done. */
static void print(struct request *request)
{
    struct forward *f = forward_of(request);
    struct moed_response response;
    char *body = NULL;
    size_t size = 0;

    describe(request, &response);
    switch (f->format) {
    case FORWARD_KSERVE:
        print_kserve(request, &response);
        break;
    case FORWARD_JSON:
        if (moed_wire_print_json(&response, f->wire.encoding, &body, &size, &f->error) == 0)
            reply_take(request, json_type, body, size);
        break;
    case FORWARD_RAW:
        if (moed_wire_print_raw(&response, &body, &size, &f->error) == 0)
            reply_take(request, raw_type, body, size);
        break;
    }
    drop_numbers(request);
}

static void add_headers(struct request *request)
{
    const struct forward *f = forward_of(request);
    const struct moed_job *job = &f->job;

    reply_header(request, "Server-Timing", "queue;dur=%.3f, compute;dur=%.3f",
                 (double)job->queue_ns * 1e-6, (double)job->compute_ns * 1e-6);
    if (job->skip_missing)
        reply_header(request, "X-MoE-Missing-Slots", "%llu",
                     (unsigned long long)job->missing_slots);
    if (f->format == FORWARD_KSERVE && moed_kserve_has_binary(&f->kserve))
        reply_header(request, "Inference-Header-Content-Length", "%zu", f->json_size);
    if (f->format != FORWARD_RAW)
        return;
    reply_header(request, "X-MoE-Layer", "%u", job->layer);
    reply_header(request, "X-MoE-Shape", "%u,%u", job->rows, f->layer->hidden);
    reply_header(request, "X-MoE-Dtype", "%s", moed_dtype_name(job->output_dtype));
    reply_header(request, "X-MoE-K", "%u", job->slots);
}

static void printed(struct request *request)
{
    struct forward *f = forward_of(request);

    f->print_ns = moed_now_ns() - f->finished_ns;
    if (f->error.code != 0) {
        request_fail(request, &f->error);
        return;
    }
    add_headers(request);
    request_answer(request);
}

void result_answer(struct request *request)
{
    struct forward *f = forward_of(request);
    struct moed_response response;

    describe(request, &response);
    if (f->format == FORWARD_RAW && f->output != NULL && response.expert_ids == NULL &&
        response.logits == NULL) {
        /* Nothing but the output: the buffer that the batch wrote to is the body. */
        reply_take(request, raw_type, f->output,
                   (size_t)response.rows * response.hidden * moed_dtype_size(response.dtype));
        f->output = NULL;
        printed(request);
    } else if (estimate(f, &response) > (is_text(f) ? INLINE_PRINT : INLINE_COPY)) {
        request_offload(request, print, printed);
    } else {
        print(request);
        printed(request);
    }
}
