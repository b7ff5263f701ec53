/* raw: bodies that are rows and nothing else; what JSON says in fields comes as parameters.
 *
 *   request   hidden[n, H]   with routing=topk: expert_ids i32[n, k], weights f32[n, k]
 *   response  output[n, H]   if asked for:      expert_ids, weights, logits f32[n, E]
 *
 * Little-endian and row-major; n follows from the length. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "finite.h"

/* Bits of moed_raw_params.given. */
enum param {
    LAYER,
    DTYPE,
    OUT_DTYPE,
    ROUTING,
    K,
    BLOCK,
    SHARED_EXPERTS,
    ON_MISSING_EXPERT,
    RETURN,
    DEADLINE_MS
};

#define ID_AND_WEIGHT 8 /* bytes */

static int parse_u32(const char *name, const char *value, uint32_t least, uint32_t *out,
                     struct moed_error *err)
{
    char quoted[FIELD_QUOTE_MAX];
    const char *end = value;
    uint32_t number;

    if (!moed_read_u32(&end, &number) || *end != '\0' || number < least)
        return moed_fail(err, MOED_E_MALFORMED, "%s is \"%s\", expected an integer from %u to %u",
                         name, field_quote(value, strlen(value), quoted), least, UINT32_MAX);
    *out = number;
    return 0;
}

/* "output,routing" */
static int parse_returns(const char *value, uint32_t *out, struct moed_error *err)
{
    char name[32];
    int status = 0;

    for (*out = 0; status == 0; value++) {
        const size_t size = strcspn(value, ",");
        unsigned bit = 0;

        snprintf(name, sizeof name, "%.*s", (int)(size < sizeof name ? size : sizeof name), value);
        status = field_choose("return", field_returns, name, &bit, err);
        *out |= 1U << bit;
        value += size;
        if (*value == '\0')
            break;
    }
    return status;
}

static int parse_deadline(const char *value, uint64_t *out, struct moed_error *err)
{
    uint32_t ms = 0;
    const int status = parse_u32("deadline_ms", value, 1, &ms, err);

    *out = ms;
    return status;
}

void moed_raw_params_init(struct moed_raw_params *params)
{
    *params = (struct moed_raw_params){0};
    request_init(&params->request);
    params->request.encoding = MOED_ENCODING_RAW;
}

static int set_param(struct moed_raw_params *params, enum param param, const char *value,
                     struct moed_error *err)
{
    struct moed_request *request = &params->request;
    unsigned choice = 0;
    int status = 0;

    switch (param) {
    case LAYER:
        request->has_layer = true;
        return parse_u32("layer", value, 0, &request->layer, err);
    case DTYPE:
        status = field_choose("dtype", field_dtypes, value, &choice, err);
        request->dtype = choice;
        break;
    case OUT_DTYPE:
        status = field_choose("out_dtype", field_dtypes, value, &choice, err);
        request->output_dtype = choice;
        params->has_out_dtype = true;
        break;
    case ROUTING:
        status = field_choose("routing", field_routings, value, &choice, err);
        params->topk = choice == 1;
        break;
    case K:
        return parse_u32("k", value, 1, &request->slots, err);
    case BLOCK:
        status = field_choose("block", field_blocks, value, &choice, err);
        request->block = choice;
        break;
    case SHARED_EXPERTS:
        status = field_choose("shared_experts", field_shared, value, &choice, err);
        request->shared = choice;
        break;
    case ON_MISSING_EXPERT:
        status = field_choose("on_missing_expert", field_missing, value, &choice, err);
        request->on_missing = choice;
        break;
    case RETURN:
        return parse_returns(value, &request->returns, err);
    case DEADLINE_MS:
        return parse_deadline(value, &request->deadline_ms, err);
    }
    return status;
}

int moed_raw_param(struct moed_raw_params *params, const char *name, const char *value,
                   struct moed_error *err)
{
    /* in the order of enum param */
    static const char *const names[] = {
        "layer", "dtype",          "out_dtype",         "routing", "k",
        "block", "shared_experts", "on_missing_expert", "return",  "deadline_ms",
        NULL,
    };
    unsigned param = 0;
    const int status = field_choose("parameter", names, name, &param, err);

    if (status != 0)
        return status;
    if (params->given & 1U << param)
        return moed_fail(err, MOED_E_MALFORMED, "%s is given twice", name);
    params->given |= 1U << param;
    return set_param(params, param, value, err);
}

/* What may be said only of all parameters together, and how large a row of the body is. */
static int row_bytes(const struct moed_raw_params *params, const struct moed_wire_limits *limits,
                     uint64_t *out, struct moed_error *err)
{
    const struct moed_request *request = &params->request;
    uint64_t hidden, chosen;

    if (params->topk && request->slots == 0)
        return moed_fail(err, MOED_E_MALFORMED, "k is missing, expected with routing=topk");
    if (!params->topk && request->slots != 0)
        return moed_fail(err, MOED_E_MALFORMED, "k is %u, expected only with routing=topk",
                         request->slots);
    if (request->slots > limits->max_slots)
        return moed_fail(err, MOED_E_SHAPE, "k is %u, expected at most %u", request->slots,
                         limits->max_slots);
    if (!moed_mul(limits->hidden, moed_dtype_size(request->dtype), &hidden) ||
        !moed_mul(request->slots, ID_AND_WEIGHT, &chosen) || !moed_add(hidden, chosen, out) ||
        hidden == 0)
        return moed_fail(err, MOED_E_INTERNAL, "a hidden size of %u, expected more than 0",
                         limits->hidden);
    return 0;
}

/* Ids and weights stand behind the rows, at any alignment. */
static int copy_routing(const uint8_t *from, struct moed_request *out, struct moed_error *err)
{
    const size_t count = (size_t)out->rows * out->slots;

    out->expert_ids = moed_calloc(count + 1, sizeof(int32_t));
    out->expert_weights = moed_calloc(count + 1, sizeof(float));
    if (out->expert_ids == NULL || out->expert_weights == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the routing of %u rows", out->rows);
    memcpy(out->expert_ids, from, count * sizeof(int32_t));
    memcpy(out->expert_weights, from + count * sizeof(int32_t), count * sizeof(float));
    return check_finite("weights", MOED_F32, out->expert_weights, out->rows, out->slots, err);
}

int moed_wire_parse_raw(const void *body, size_t size, const struct moed_wire_limits *limits,
                        const struct moed_raw_params *params, struct moed_request *out,
                        struct moed_error *err)
{
    uint64_t row = 0;
    int status = row_bytes(params, limits, &row, err);

    request_init(out);
    if (status != 0 || row == 0)
        return status;
    if (size % row != 0)
        return moed_fail(err, MOED_E_SHAPE,
                         "the body has %zu bytes, expected a multiple of %" PRIu64
                         ": rows of %u %s and %u expert ids and weights",
                         size, row, limits->hidden, moed_dtype_name(params->request.dtype),
                         params->request.slots);
    if (size / row > limits->max_rows)
        return moed_fail(err, MOED_E_TOO_LARGE, "the body has %zu rows, the limit is %u",
                         (size_t)(size / row), limits->max_rows);
    *out = params->request;
    out->rows = (uint32_t)(size / row);
    out->hidden = limits->hidden;
    out->data = body;
    out->routed = params->topk;
    if (!params->has_out_dtype)
        out->output_dtype = out->dtype;
    status = check_finite("the body", out->dtype, body, out->rows, out->hidden, err);
    if (status == 0 && out->routed)
        status = copy_routing((const uint8_t *)body + size -
                                  (size_t)out->rows * out->slots * ID_AND_WEIGHT,
                              out, err);
    if (status != 0)
        moed_request_fini(out);
    return status;
}

int moed_wire_print_raw(const struct moed_response *r, char **out, size_t *size,
                        struct moed_error *err)
{
    const struct {
        const void *data;
        size_t size;
    } parts[] = {
        {r->output, moed_dtype_size(r->dtype) * r->rows * r->hidden},
        {r->expert_ids, sizeof(int32_t) * r->rows * r->slots},
        {r->expert_weights, sizeof(float) * r->rows * r->slots},
        {r->logits, sizeof(float) * r->rows * r->experts},
    };
    size_t total = 0;
    char *at;

    for (size_t i = 0; i < MOED_ARRAY_LEN(parts); i++)
        total += parts[i].data != NULL ? parts[i].size : 0;
    *out = malloc(total + 1);
    if (*out == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for an answer of %zu bytes", total);
    at = *out;
    for (size_t i = 0; i < MOED_ARRAY_LEN(parts); i++) {
        if (parts[i].data == NULL)
            continue;
        memcpy(at, parts[i].data, parts[i].size);
        at += parts[i].size;
    }
    *size = total;
    return 0;
}
