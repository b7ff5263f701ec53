/* json_routing: experts and weights that the client chose. */
#include "json_parts.h"

static int read_ids(struct json_scan *s, void *context)
{
    struct json_parts *parts = context;

    parts->ids = (struct json_rows){
        .name = "routing.expert_ids", .element = JSON_I32, .max_rows = parts->limits->max_rows};
    return json_rows_read(s, &parts->ids);
}

static int read_weights(struct json_scan *s, void *context)
{
    struct json_parts *parts = context;

    parts->weights = (struct json_rows){
        .name = "routing.weights", .element = JSON_F32, .max_rows = parts->limits->max_rows};
    return json_rows_read(s, &parts->weights);
}

int json_read_routing(struct json_scan *s, void *context)
{
    static const struct json_field fields[] = {
        {.name = "expert_ids", .required = true, .read = read_ids},
        {.name = "weights", .required = true, .read = read_weights},
    };
    struct json_parts *parts = context;
    const char first = json_peek(s);

    if (first != '{')
        return moed_fail(s->err, MOED_E_MALFORMED,
                         "routing is %s, expected an object with expert_ids and weights",
                         json_kind(first));
    parts->request->routed = true;
    return json_read_object(s, "routing.", fields, MOED_ARRAY_LEN(fields), parts);
}
