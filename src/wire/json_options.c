/* json_options: small values, and the small fields that say how rows are to be computed: requests
 * in JSON have them at their top level, KServe's among their parameters. */
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

int json_get_layer(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);

    request->has_layer = true;
    return json_get_u32(value, "layer", &request->layer, err);
}

int json_get_block(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);
    unsigned choice = 0;
    const int status = json_get_choice(value, "block", field_blocks, &choice, err);

    request->block = choice;
    return status;
}

int json_get_shared(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);
    unsigned choice = 0;
    const int status = json_get_choice(value, "shared_experts", field_shared, &choice, err);

    request->shared = choice;
    return status;
}

int json_get_missing(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);
    unsigned choice = 0;
    const int status = json_get_choice(value, "on_missing_expert", field_missing, &choice, err);

    request->on_missing = choice;
    return status;
}

int json_get_output_dtype(const cJSON *value, void *context, struct moed_error *err)
{
    struct moed_request *request = request_of(context);
    unsigned choice = 0;
    const int status = json_get_choice(value, "output_dtype", field_dtypes, &choice, err);

    request->output_dtype = choice;
    return status;
}

int json_get_deadline(const cJSON *value, void *context, struct moed_error *err)
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
