/* json_request: the top level of a forward or route request in JSON. */
#include "fields.h"
#include "json_parts.h"

static struct moed_request *request_of(void *context)
{
    return ((struct json_parts *)context)->request;
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

static int get_encoding(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);
    unsigned choice = 0;
    const int status = json_get_choice(value, "encoding", field_encodings, &choice, err);

    request->encoding = choice;
    return status;
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
        {.name = "layer", .value = json_get_layer},
        {.name = "return", .value = get_return},
        {.name = "block", .value = json_get_block},
        {.name = "shared_experts", .value = json_get_shared},
        {.name = "on_missing_expert", .value = json_get_missing},
        {.name = "output_dtype", .value = json_get_output_dtype},
        {.name = "encoding", .value = get_encoding},
        {.name = "deadline_ms", .value = json_get_deadline},
    };
    int status = json_read_object(s, "", fields, MOED_ARRAY_LEN(fields), parts);

    json_space(s);
    if (status == 0 && s->at != s->end)
        status = json_expected(s, "the end of the body");
    if (status == 0 && parts->request->routed)
        status = check_routing(parts, s->err);
    return status;
}

static void take_defaults(struct moed_request *out, const struct moed_request *defaults)
{
    out->returns = defaults->returns;
    out->block = defaults->block;
    out->shared = defaults->shared;
    out->on_missing = defaults->on_missing;
    out->output_dtype = defaults->output_dtype;
    out->deadline_ms = defaults->deadline_ms;
}

int moed_wire_parse_json(const char *body, size_t size, const struct moed_wire_limits *limits,
                         struct moed_request *out, struct moed_error *err)
{
    struct json_scan s = {.begin = body, .at = body, .end = body + size, .err = err};
    struct json_parts parts = {.limits = limits, .request = out};
    int status;

    request_init(out);
    if (limits->defaults != NULL)
        take_defaults(out, limits->defaults);
    status = parse(&s, &parts);
    out->expert_ids = parts.ids.data;
    out->expert_weights = parts.weights.data;
    out->slots = parts.ids.columns;
    if (status != 0)
        moed_request_fini(out);
    return status;
}
