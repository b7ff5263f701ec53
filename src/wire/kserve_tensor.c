/* kserve_tensor: an input once its name, type and shape are known: checked, and its values made the
 * request's, whether they stand in the JSON or behind it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "finite.h"
#include "kserve_input.h"

static const char *const flat_names[] = {"hidden_states (flat)", "expert_ids (flat)",
                                         "expert_weights (flat)"};

static uint64_t element_size(const struct kserve_input *in)
{
    return in->datatype == KSERVE_INT32 ? sizeof(int32_t) : moed_dtype_size(in->datatype);
}

/* Of a shape that was checked. */
static uint64_t element_count(const struct kserve_input *in)
{
    return (uint64_t)in->shape[0] * in->shape[1];
}

static int check_columns(const struct kserve_input *in, struct moed_error *err)
{
    const struct moed_wire_limits *limits = in->parts->json.limits;
    const uint32_t columns = in->shape[1];

    if (in->name != KSERVE_HIDDEN && (columns == 0 || columns > limits->max_slots))
        return moed_fail(err, MOED_E_SHAPE, "%s.shape is [%u, %u], expected 1 to %u columns",
                         kserve_inputs[in->name], in->shape[0], columns, limits->max_slots);
    if (in->name == KSERVE_HIDDEN && limits->hidden != 0 && columns != limits->hidden)
        return moed_fail(err, MOED_E_SHAPE, "%s.shape is [%u, %u], expected [%u, %u]",
                         kserve_inputs[in->name], in->shape[0], columns, in->shape[0],
                         limits->hidden);
    if (columns == 0 && in->shape[0] > 0)
        return moed_fail(err, MOED_E_SHAPE, "%s.shape is [%u, 0]: rows are empty",
                         kserve_inputs[in->name], in->shape[0]);
    return 0;
}

/* Name, type and shape, before anything is made of them. */
static int check_input(const struct kserve_input *in, struct moed_error *err)
{
    const uint32_t max_rows = in->parts->json.limits->max_rows;
    const char *expected = in->name == KSERVE_IDS ? "INT32" : "FP32";

    if (in->parts->inputs & 1U << in->name)
        return moed_fail(err, MOED_E_MALFORMED, "%s is given twice", kserve_inputs[in->name]);
    if (in->name == KSERVE_HIDDEN && in->datatype == KSERVE_INT32)
        return moed_fail(err, MOED_E_MALFORMED, "%s.datatype is INT32, expected FP32, FP16 or BF16",
                         kserve_inputs[in->name]);
    if (in->name != KSERVE_HIDDEN && strcmp(kserve_datatypes[in->datatype], expected) != 0)
        return moed_fail(err, MOED_E_MALFORMED, "%s.datatype is %s, expected %s",
                         kserve_inputs[in->name], kserve_datatypes[in->datatype], expected);
    if (in->shape[0] > max_rows)
        return moed_fail(err, MOED_E_TOO_LARGE, "%s has %u rows, the limit is %u",
                         kserve_inputs[in->name], in->shape[0], max_rows);
    return check_columns(in, err);
}

/* Float32 numbers that stand for a narrower type become what the client would have sent as bytes:
 * one meaning, however they travel. */
static int narrow(struct moed_request *request, size_t count, struct moed_error *err)
{
    float *wide = request->owned;
    void *data = malloc(count * moed_dtype_size(request->dtype) + 1);

    if (data == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %zu numbers", count);
    moed_dtype_from_f32(request->dtype, wide, data, count);
    free(wide);
    request->owned = data;
    request->data = data;
    return check_finite(kserve_inputs[KSERVE_HIDDEN], request->dtype, data, request->rows,
                        request->hidden, err);
}

/* What was read has its owner from here on, also when that failed. */
static int keep_numbers(const struct kserve_input *in, const struct json_rows *rows, int status,
                        struct moed_error *err)
{
    struct json_parts *json = &in->parts->json;

    if (in->name == KSERVE_HIDDEN)
        json->request->data = json->request->owned = rows->data;
    else if (in->name == KSERVE_IDS)
        json->ids.data = rows->data;
    else
        json->weights.data = rows->data;
    if (status == 0 && rows->count != element_count(in))
        status = moed_fail(err, MOED_E_SHAPE, "%s has %zu numbers, shape [%u, %u] has %" PRIu64,
                           kserve_inputs[in->name], rows->count, in->shape[0], in->shape[1],
                           element_count(in));
    if (status == 0 && in->name == KSERVE_HIDDEN && in->datatype != MOED_F32)
        status = narrow(json->request, rows->count, err);
    return status;
}

/* Nested in rows, or in one flat array, which is what most clients send. */
int kserve_input_read(struct json_scan *s, const struct kserve_input *in)
{
    struct json_scan ahead = *s;
    const bool nested = json_take(&ahead, '[') && json_peek(&ahead) == '[';
    const uint64_t columns = nested ? in->shape[1] : element_count(in);
    struct json_rows rows = {.name = nested ? kserve_inputs[in->name] : flat_names[in->name],
                             .element = in->datatype == KSERVE_INT32 ? JSON_I32 : JSON_F32,
                             .max_rows = in->parts->json.limits->max_rows,
                             .columns = (uint32_t)columns};

    if (columns > UINT32_MAX)
        return moed_fail(s->err, MOED_E_TOO_LARGE, "%s: %" PRIu64 " numbers, the limit is %u",
                         rows.name, columns, UINT32_MAX);
    return keep_numbers(in, &rows, json_rows_read(s, &rows), s->err);
}

/* Routing is copied: it needs an alignment and an owner. */
static int copy_routing(const struct kserve_input *in, const uint8_t *from, size_t size,
                        struct moed_error *err)
{
    struct json_parts *json = &in->parts->json;
    void *copy = malloc(size + 1);

    if (copy == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "%s: no memory for %zu bytes",
                         kserve_inputs[in->name], size);
    memcpy(copy, from, size);
    if (in->name == KSERVE_IDS) {
        json->ids.data = copy;
        return 0;
    }
    json->weights.data = copy;
    return check_finite(kserve_inputs[KSERVE_WEIGHTS], MOED_F32, copy, in->shape[0], in->shape[1],
                        err);
}

/* The next bytes behind the JSON are this input's. */
int kserve_input_take(const struct kserve_input *in, struct moed_error *err)
{
    struct kserve_parts *parts = in->parts;
    const size_t left = moed_cursor_remaining(&parts->blobs);
    const uint8_t *at;
    uint64_t size;

    if (!moed_mul(element_count(in), element_size(in), &size))
        size = UINT64_MAX;
    if (size != in->binary_size)
        return moed_fail(err, MOED_E_SHAPE,
                         "%s.parameters.binary_data_size is %u, expected %" PRIu64
                         " for shape [%u, %u] of %s",
                         kserve_inputs[in->name], in->binary_size, size, in->shape[0], in->shape[1],
                         kserve_datatypes[in->datatype]);
    at = moed_cursor_take(&parts->blobs, size);
    if (at == NULL)
        return moed_fail(err, MOED_E_SHAPE,
                         "%s: %zu bytes are left behind the JSON, expected %" PRIu64,
                         kserve_inputs[in->name], left, size);
    if (in->name != KSERVE_HIDDEN)
        return copy_routing(in, at, (size_t)size, err);
    parts->json.request->data = at;
    return check_finite(kserve_inputs[KSERVE_HIDDEN], in->datatype, at, in->shape[0], in->shape[1],
                        err);
}

/* Checks what is known of the tensor, and lets the request know. */
int kserve_input_begin(const struct kserve_input *in, struct moed_error *err)
{
    struct kserve_parts *parts = in->parts;
    struct moed_request *request = parts->json.request;
    struct json_rows *routing = in->name == KSERVE_IDS ? &parts->json.ids : &parts->json.weights;
    const int status = check_input(in, err);

    if (status != 0)
        return status;
    parts->inputs |= 1U << in->name;
    if (in->name == KSERVE_HIDDEN) {
        request->dtype = in->datatype;
        request->rows = in->shape[0];
        request->hidden = in->shape[1];
    } else {
        routing->rows = in->shape[0];
        routing->columns = in->shape[1];
    }
    return 0;
}
