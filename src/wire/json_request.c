/* json_request: the top level of a forward or route request in JSON. */
#include <math.h>

#include "fields.h"
#include "json_parts.h"

int json_get_u32(const cJSON *value, const char *name, uint32_t *out, struct moed_error *err)
{
    const double number = cJSON_IsNumber(value) ? value->valuedouble : -1;

    if (!cJSON_IsNumber(value))
        return moed_fail(err, MOED_E_MALFORMED, "%s is %s, expected an integer", name,
                         json_kind_of(value));
    if (!(number >= 0 && number <= UINT32_MAX) || number != floor(number))
        return moed_fail(err, MOED_E_MALFORMED, "%s is %.9g, expected an integer from 0 to %u",
                         name, number, UINT32_MAX);
    *out = (uint32_t)number;
    return 0;
}

int json_get_choice(const cJSON *value, const char *name, const char *const *names, unsigned *out,
                    struct moed_error *err)
{
    if (!cJSON_IsString(value))
        return moed_fail(err, MOED_E_MALFORMED, "%s is %s, expected a string", name,
                         json_kind_of(value));
    return field_choose(name, names, value->valuestring, out, err);
}

const char *json_kind_of(const cJSON *value)
{
    if (cJSON_IsArray(value))
        return "an array";
    if (cJSON_IsObject(value))
        return "an object";
    if (cJSON_IsString(value))
        return "a string";
    if (cJSON_IsBool(value))
        return "a boolean";
    return cJSON_IsNull(value) ? "null" : "a number";
}

static struct moed_request *request_of(void *context)
{
    return ((struct json_parts *)context)->request;
}

static int get_layer(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);

    request->has_layer = true;
    return json_get_u32(value, "layer", &request->layer, err);
}

static int get_return(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);
    const cJSON *item;

    if (!cJSON_IsArray(value) || cJSON_GetArraySize(value) == 0)
        return moed_fail(err, MOED_E_MALFORMED, "return is %s, expected an array of names",
                         cJSON_IsArray(value) ? "empty" : json_kind_of(value));
    request->returns = 0;
    cJSON_ArrayForEach(item, value)
    {
        unsigned bit = 0;
        const int status = json_get_choice(item, "return", field_returns, &bit, err);

        if (status != 0)
            return status;
        request->returns |= 1U << bit;
    }
    return 0;
}

static int get_block(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);
    unsigned choice = 0;
    const int status = json_get_choice(value, "block", field_blocks, &choice, err);

    request->block = choice;
    return status;
}

static int get_shared(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);
    unsigned choice = 0;
    const int status = json_get_choice(value, "shared_experts", field_shared, &choice, err);

    request->shared = choice;
    return status;
}

static int get_output_dtype(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);
    unsigned choice = 0;
    const int status = json_get_choice(value, "output_dtype", field_dtypes, &choice, err);

    request->output_dtype = choice;
    return status;
}

static int get_encoding(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);
    unsigned choice = 0;
    const int status = json_get_choice(value, "encoding", field_encodings, &choice, err);

    request->encoding = choice;
    return status;
}

static int get_deadline(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);
    const double ms = cJSON_IsNumber(value) ? value->valuedouble : 0;

    if (!cJSON_IsNumber(value))
        return moed_fail(err, MOED_E_MALFORMED, "deadline_ms is %s, expected a number",
                         json_kind_of(value));
    if (!(ms > 0 && ms <= UINT32_MAX))
        return moed_fail(err, MOED_E_MALFORMED,
                         "deadline_ms is %.9g, expected a number over 0 and up to %u", ms,
                         UINT32_MAX);
    request->deadline_ms = (uint64_t)ceil(ms);
    return 0;
}

/* What can be said only when all fields are known, whatever their order. */
static int check_routing(const struct json_parts *parts, struct moed_error *err)
{
    const struct moed_request *request = parts->request;
    const struct json_rows *ids = &parts->ids, *weights = &parts->weights;

    if (ids->rows != request->rows)
        return moed_fail(err, MOED_E_SHAPE, "routing.expert_ids has %u rows, hidden_states has %u",
                         ids->rows, request->rows);
    if (weights->rows != ids->rows || weights->columns != ids->columns)
        return moed_fail(err, MOED_E_SHAPE,
                         "routing.weights is [%u, %u], routing.expert_ids is [%u, %u]",
                         weights->rows, weights->columns, ids->rows, ids->columns);
    if (ids->columns > parts->limits->max_slots)
        return moed_fail(err, MOED_E_SHAPE,
                         "routing.expert_ids has %u columns, expected at most %u", ids->columns,
                         parts->limits->max_slots);
    return 0;
}

static int parse(struct json_scan *s, struct json_parts *parts)
{
    static const struct json_field fields[] = {
        {.name = "hidden_states", .required = true, .read = json_read_hidden},
        {.name = "routing", .read = json_read_routing},
        {.name = "layer", .value = get_layer},
        {.name = "return", .value = get_return},
        {.name = "block", .value = get_block},
        {.name = "shared_experts", .value = get_shared},
        {.name = "output_dtype", .value = get_output_dtype},
        {.name = "encoding", .value = get_encoding},
        {.name = "deadline_ms", .value = get_deadline},
    };
    int status = json_read_object(s, "", fields, MOED_ARRAY_LEN(fields), parts);

    json_space(s);
    if (status == 0 && s->at != s->end)
        status = json_expected(s, "the end of the body");
    if (status == 0 && parts->request->routed)
        status = check_routing(parts, s->err);
    return status;
}

int moed_wire_parse_json(const char *body, size_t size, const struct moed_wire_limits *limits,
                         struct moed_request *out, struct moed_error *err)
{
    struct json_scan s = {.begin = body, .at = body, .end = body + size, .err = err};
    struct json_parts parts = {.limits = limits, .request = out};
    int status;

    request_init(out);
    status = parse(&s, &parts);
    out->expert_ids = parts.ids.data;
    out->expert_weights = parts.weights.data;
    out->slots = parts.ids.columns;
    if (status != 0)
        moed_request_fini(out);
    return status;
}
