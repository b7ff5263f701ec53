/* json_hidden: `hidden_states`, as rows of numbers or as base64 with a dtype and a shape. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "finite.h"
#include "json_parts.h"

/* The object form while it is read. */
struct tensor {
    enum moed_dtype dtype;
    uint32_t shape[2];
    void *data;
    size_t size;
};

static int read_rows(struct json_scan *s, const struct json_parts *parts)
{
    struct moed_request *request = parts->request;
    struct json_rows rows = {.name = "hidden_states",
                             .element = JSON_F32,
                             .max_rows = parts->limits->max_rows,
                             .columns = parts->limits->hidden};
    const int status = json_rows_read(s, &rows);

    request->owned = rows.data;
    request->data = rows.data;
    request->dtype = MOED_F32;
    request->rows = rows.rows;
    request->hidden = rows.columns;
    return status;
}

static int get_dtype(const cJSON *value, void *context, struct moed_error *err)
{
    unsigned choice = 0;
    const int status = json_get_choice(value, "hidden_states.dtype", field_dtypes, &choice, err);

    ((struct tensor *)context)->dtype = choice;
    return status;
}

static int get_shape(const cJSON *value, void *context, struct moed_error *err)
{
    struct tensor *tensor = context;
    int status = 0;

    if (!cJSON_IsArray(value))
        return moed_fail(err, MOED_E_MALFORMED, "hidden_states.shape is %s, expected [rows, H]",
                         json_kind_of(value));
    if (cJSON_GetArraySize(value) != 2)
        return moed_fail(err, MOED_E_SHAPE,
                         "hidden_states.shape has %d dimensions, expected 2: [rows, H]",
                         cJSON_GetArraySize(value));
    for (int i = 0; i < 2 && status == 0; i++)
        status = json_get_u32(cJSON_GetArrayItem(value, i), "hidden_states.shape",
                              &tensor->shape[i], err);
    return status;
}

static int decode(struct json_scan *s, const char *text, size_t size, struct tensor *tensor)
{
    tensor->data = malloc(size / 4 * 3 + 1);
    if (tensor->data == NULL)
        return moed_fail(s->err, MOED_E_NO_MEMORY, "hidden_states.data: no memory for %zu bytes",
                         size / 4 * 3);
    if (!moed_base64_decode(text, size, tensor->data, &tensor->size))
        return moed_fail(s->err, MOED_E_MALFORMED,
                         "hidden_states.data is not base64 (RFC 4648, padded; %zu characters)",
                         size);
    return 0;
}

/* Base64 has '/' and '+', which some JSON writers escape; cJSON resolves those rare texts. */
static int decode_escaped(struct json_scan *s, struct json_span text, struct tensor *tensor)
{
    cJSON *value = cJSON_ParseWithLength(text.at - 1, text.size + 2);
    int status;

    if (cJSON_IsString(value))
        status = decode(s, value->valuestring, strlen(value->valuestring), tensor);
    else
        status = json_cannot_read(s->err, "hidden_states.data cannot be read: expected base64");
    cJSON_Delete(value);
    return status;
}

static int read_data(struct json_scan *s, void *context)
{
    const char first = json_peek(s);
    struct json_span text;
    int status;

    if (first != '"')
        return moed_fail(s->err, MOED_E_MALFORMED, "hidden_states.data is %s, expected base64 text",
                         json_kind(first));
    status = json_read_string(s, &text);
    if (status != 0)
        return status;
    if (memchr(text.at, '\\', text.size) != NULL)
        return decode_escaped(s, text, context);
    return decode(s, text.at, text.size, context);
}

static int check_tensor(const struct tensor *t, const struct moed_wire_limits *limits,
                        struct moed_error *err)
{
    uint64_t size;

    if (t->shape[0] > limits->max_rows)
        return moed_fail(err, MOED_E_TOO_LARGE, "hidden_states has %u rows, the limit is %u",
                         t->shape[0], limits->max_rows);
    if (limits->hidden != 0 && t->shape[1] != limits->hidden)
        return moed_fail(err, MOED_E_SHAPE, "hidden_states.shape is [%u, %u], expected [%u, %u]",
                         t->shape[0], t->shape[1], t->shape[0], limits->hidden);
    if (t->shape[0] != 0 && t->shape[1] == 0)
        return moed_fail(err, MOED_E_SHAPE, "hidden_states.shape is [%u, 0]: rows are empty",
                         t->shape[0]);
    if (!moed_mul(t->shape[0], t->shape[1], &size) ||
        !moed_mul(size, moed_dtype_size(t->dtype), &size))
        size = UINT64_MAX;
    if (size != t->size)
        return moed_fail(err, MOED_E_SHAPE,
                         "hidden_states.data has %zu bytes, expected %" PRIu64
                         " for shape [%u, %u] of %s",
                         t->size, size, t->shape[0], t->shape[1], moed_dtype_name(t->dtype));
    return check_finite("hidden_states", t->dtype, t->data, t->shape[0], t->shape[1], err);
}

static int read_tensor(struct json_scan *s, const struct json_parts *parts)
{
    static const struct json_field fields[] = {
        {.name = "dtype", .required = true, .value = get_dtype},
        {.name = "shape", .required = true, .value = get_shape},
        {.name = "data", .required = true, .read = read_data},
    };
    struct moed_request *request = parts->request;
    struct tensor tensor = {0};
    int status = json_read_object(s, "hidden_states.", fields, MOED_ARRAY_LEN(fields), &tensor);

    request->owned = tensor.data;
    if (status == 0)
        status = check_tensor(&tensor, parts->limits, s->err);
    request->data = tensor.data;
    request->dtype = tensor.dtype;
    request->rows = tensor.shape[0];
    request->hidden = tensor.shape[1];
    return status;
}

int json_read_hidden(struct json_scan *s, void *context)
{
    const char first = json_peek(s);

    if (first == '[')
        return read_rows(s, context);
    if (first == '{')
        return read_tensor(s, context);
    return moed_fail(s->err, MOED_E_MALFORMED,
                     "hidden_states is %s, expected an array of rows, a flat row or an object with "
                     "dtype, shape and data",
                     json_kind(first));
}
