/* kserve_request: the top level of a KServe request, its parameters, and what can be said only of
 * all its parts together. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "kserve_parts.h"

#define ID_MAX 1024 /* bytes, as spelled */

static int read_id(struct json_scan *s, void *context)
{
    struct kserve_parts *parts = context;
    struct json_span text;
    const char first = json_peek(s);
    int status;

    if (first != '"')
        return moed_fail(s->err, MOED_E_MALFORMED, "id is %s, expected a string", json_kind(first));
    status = json_read_string(s, &text);
    if (status != 0)
        return status;
    if (text.size > ID_MAX)
        return moed_fail(s->err, MOED_E_MALFORMED, "id takes %zu bytes, expected at most %d",
                         text.size, ID_MAX);
    parts->kserve->id = strndup(text.at, text.size);
    if (parts->kserve->id == NULL)
        return moed_fail(s->err, MOED_E_NO_MEMORY, "no memory for the id");
    if (!moed_is_utf8(parts->kserve->id)) /* it goes back as it came */
        return moed_fail(s->err, MOED_E_MALFORMED, "id: found bytes that are no UTF-8");
    return 0;
}

/* Microseconds, and 0 for none: Triton's "schedule policy". */
static int get_timeout(const cJSON *value, void *context, struct moed_error *err)
{
    const double limit = 9007199254740992.0; /* 2^53: integers end there */
    const double us = cJSON_IsNumber(value) ? value->valuedouble : -1;

    if (!(us >= 0 && us <= limit))
        return moed_fail(err, MOED_E_MALFORMED,
                         "parameters.timeout is %s, expected microseconds from 0 to 2^53",
                         cJSON_IsNumber(value) ? "out of range" : json_kind_of(value));
    ((struct kserve_parts *)context)->timeout_ms = (uint64_t)ceil(us / 1000);
    return 0;
}

/* The same extension has it; here all requests of a layer have the same. */
static int get_priority(const cJSON *value, void *context, struct moed_error *err)
{
    uint32_t ignored;

    (void)context;
    return json_get_u32(value, "parameters.priority", &ignored, err);
}

static int read_parameters(struct json_scan *s, void *context)
{
    static const struct json_field fields[] = {
        {.name = "layer", .value = json_get_layer},
        {.name = "block", .value = json_get_block},
        {.name = "shared_experts", .value = json_get_shared},
        {.name = "on_missing_expert", .value = json_get_missing},
        {.name = "output_dtype", .value = json_get_output_dtype},
        {.name = "deadline_ms", .value = json_get_deadline},
        {.name = "timeout", .value = get_timeout},
        {.name = "priority", .value = get_priority},
        {.name = "binary_data_output", .value = kserve_get_binary_output},
    };

    return json_read_object(s, "parameters.", fields, MOED_ARRAY_LEN(fields), context);
}

static int check_routing(const struct kserve_parts *parts, struct moed_error *err)
{
    const struct json_rows *ids = &parts->json.ids, *weights = &parts->json.weights;
    const uint32_t rows = parts->json.request->rows;
    const bool has_ids = parts->inputs & 1U << KSERVE_IDS;
    const bool has_weights = parts->inputs & 1U << KSERVE_WEIGHTS;

    if (has_ids != has_weights)
        return moed_fail(
            err, MOED_E_MALFORMED,
            "inputs: found %s alone, expected both of expert_ids and expert_weights or "
            "none",
            kserve_inputs[has_ids ? KSERVE_IDS : KSERVE_WEIGHTS]);
    parts->json.request->routed = has_ids;
    if (has_ids && ids->rows != rows)
        return moed_fail(err, MOED_E_SHAPE, "expert_ids has %u rows, hidden_states has %u",
                         ids->rows, rows);
    if (weights->rows != ids->rows || weights->columns != ids->columns)
        return moed_fail(err, MOED_E_SHAPE, "expert_weights is [%u, %u], expert_ids is [%u, %u]",
                         weights->rows, weights->columns, ids->rows, ids->columns);
    return 0;
}

/* What can be said only when all parts are known, whatever their order. */
static int settle(struct kserve_parts *parts, struct moed_error *err)
{
    struct moed_request *request = parts->json.request;
    const size_t left = moed_cursor_remaining(&parts->blobs);

    if (!(parts->inputs & 1U << KSERVE_HIDDEN))
        return moed_fail(err, MOED_E_MALFORMED, "inputs: hidden_states is missing");
    if (left > 0)
        return moed_fail(err, MOED_E_SHAPE, "%zu bytes are left behind the inputs' data", left);
    if (request->output_dtype == MOED_DTYPE_COUNT)
        request->output_dtype = request->dtype;
    if (parts->timeout_ms > 0 &&
        (request->deadline_ms == 0 || parts->timeout_ms < request->deadline_ms))
        request->deadline_ms = parts->timeout_ms;
    kserve_settle_outputs(parts);
    return check_routing(parts, err);
}

static int parse(struct json_scan *s, struct kserve_parts *parts)
{
    static const struct json_field fields[] = {
        {.name = "id", .read = read_id},
        {.name = "parameters", .read = read_parameters},
        {.name = "inputs", .required = true, .read = kserve_read_inputs},
        {.name = "outputs", .read = kserve_read_outputs},
    };
    int status = json_read_object(s, "", fields, MOED_ARRAY_LEN(fields), parts);

    json_space(s);
    if (status == 0 && s->at != s->end)
        status = json_expected(s, "the end of the JSON");
    return status == 0 ? settle(parts, s->err) : status;
}

/* Without any JSON: FP32 rows, all outputs, all of them binary. */
static int parse_rows(const struct moed_kserve_body *body, struct kserve_parts *parts,
                      struct moed_error *err)
{
    struct moed_request *request = parts->json.request;
    struct moed_raw_params params;
    int status;

    moed_raw_params_init(&params);
    status = moed_wire_parse_raw(body->data, body->size, parts->json.limits, &params, request, err);
    parts->form = KSERVE_BINARY;
    kserve_settle_outputs(parts);
    return status;
}

static int parse_json(const struct moed_kserve_body *body, struct kserve_parts *parts,
                      struct moed_error *err)
{
    const bool has_header = body->json_size != MOED_KSERVE_NO_HEADER;
    const size_t size = has_header ? body->json_size : body->size;
    struct json_scan s = {.begin = body->data, .at = body->data, .err = err};

    if (size > body->size)
        return moed_fail(err, MOED_E_MALFORMED,
                         "Inference-Header-Content-Length is %zu, expected at most the body's %zu "
                         "bytes",
                         size, body->size);
    s.end = s.begin + size;
    parts->json.request->output_dtype = MOED_DTYPE_COUNT; /* the rows', unless one is given */
    parts->blobs = moed_cursor_init(body->data + size, body->size - size);
    return parse(&s, parts);
}

int moed_wire_parse_kserve(const struct moed_kserve_body *body,
                           const struct moed_wire_limits *limits, struct moed_request *out,
                           struct moed_kserve *kserve, struct moed_error *err)
{
    struct kserve_parts parts = {.json = {.limits = limits, .request = out}, .kserve = kserve};
    int status;

    request_init(out);
    *kserve = (struct moed_kserve){0};
    status = body->json_size == 0 ? parse_rows(body, &parts, err) : parse_json(body, &parts, err);
    out->expert_ids = parts.json.ids.data;
    out->expert_weights = parts.json.weights.data;
    out->slots = parts.json.ids.columns;
    out->encoding = MOED_ENCODING_RAW;
    if (status != 0) {
        moed_request_fini(out);
        moed_kserve_fini(kserve);
    }
    return status;
}

void moed_kserve_fini(struct moed_kserve *kserve)
{
    free(kserve->id);
    *kserve = (struct moed_kserve){0};
}
