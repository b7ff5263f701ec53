/* kserve_inputs: the array "inputs" of a KServe request. */
#include <stdio.h>

#include "kserve_input.h"

const char *const kserve_datatypes[] = {
    [MOED_F32] = "FP32", [MOED_F16] = "FP16", [MOED_BF16] = "BF16", [KSERVE_INT32] = "INT32", NULL};
const char *const kserve_inputs[] = {[KSERVE_HIDDEN] = "hidden_states",
                                     [KSERVE_IDS] = "expert_ids",
                                     [KSERVE_WEIGHTS] = "expert_weights",
                                     NULL};

static int get_name(const cJSON *value, void *context, struct moed_error *err)
{
    struct kserve_input *in = context;

    in->named = true;
    return json_get_choice(value, "inputs[].name", kserve_inputs, &in->name, err);
}

static int get_datatype(const cJSON *value, void *context, struct moed_error *err)
{
    struct kserve_input *in = context;

    in->typed = true;
    return json_get_choice(value, "inputs[].datatype", kserve_datatypes, &in->datatype, err);
}

static int get_shape(const cJSON *value, void *context, struct moed_error *err)
{
    struct kserve_input *in = context;
    int status = 0;

    if (!cJSON_IsArray(value))
        return moed_fail(err, MOED_E_MALFORMED, "%sshape is %s, expected [rows, columns]", in->path,
                         json_kind_of(value));
    if (cJSON_GetArraySize(value) != 2)
        return moed_fail(err, MOED_E_SHAPE, "%sshape has %d dimensions, expected 2", in->path,
                         cJSON_GetArraySize(value));
    for (int i = 0; i < 2 && status == 0; i++)
        status = json_get_u32(cJSON_GetArrayItem(value, i), "inputs[].shape", &in->shape[i], err);
    in->shaped = true;
    return status;
}

static int get_binary_size(const cJSON *value, void *context, struct moed_error *err)
{
    struct kserve_input *in = context;

    in->binary = true;
    return json_get_u32(value, "inputs[].parameters.binary_data_size", &in->binary_size, err);
}

static int read_parameters(struct json_scan *s, void *context)
{
    static const struct json_field fields[] = {
        {.name = "binary_data_size", .value = get_binary_size},
    };

    return json_read_object(s, "inputs[].parameters.", fields, MOED_ARRAY_LEN(fields), context);
}

/* Numbers are read as they stand if it is known by now what they are; else they are passed, and
 * read at the end of the object. */
static int read_data(struct json_scan *s, void *context)
{
    struct kserve_input *in = context;
    struct json_span passed;
    int status;

    if (!in->named || !in->typed || !in->shaped) {
        in->later = *s;
        return json_read_value(s, &passed);
    }
    status = kserve_input_begin(in, s->err);
    in->read = true;
    return status != 0 ? status : kserve_input_read(s, in);
}

static int read_input(struct json_scan *s, struct kserve_input *in)
{
    static const struct json_field fields[] = {
        {.name = "name", .required = true, .value = get_name},
        {.name = "shape", .required = true, .value = get_shape},
        {.name = "datatype", .required = true, .value = get_datatype},
        {.name = "parameters", .read = read_parameters},
        {.name = "data", .read = read_data},
    };
    int status = json_read_object(s, in->path, fields, MOED_ARRAY_LEN(fields), in);

    if (status != 0)
        return status;
    if ((in->read || in->later.at != NULL) == in->binary)
        return moed_fail(s->err, MOED_E_MALFORMED,
                         "%s has %s of data and parameters.binary_data_size, expected one",
                         kserve_inputs[in->name], in->binary ? "both" : "none");
    if (in->read)
        return 0;
    status = kserve_input_begin(in, s->err);
    if (status == 0)
        status = in->binary ? kserve_input_take(in, s->err) : kserve_input_read(&in->later, in);
    return status;
}

int kserve_read_inputs(struct json_scan *s, void *context)
{
    const char first = json_peek(s);
    unsigned i = 0;

    if (!json_take(s, '['))
        return moed_fail(s->err, MOED_E_MALFORMED, "inputs is %s, expected an array of tensors",
                         json_kind(first));
    if (json_take(s, ']'))
        return 0;
    do {
        struct kserve_input in = {.parts = context};
        int status;

        snprintf(in.path, sizeof in.path, "inputs[%u].", i++);
        status = read_input(s, &in);
        if (status != 0)
            return status;
    } while (json_take(s, ','));
    return json_take(s, ']') ? 0 : json_expected(s, "',' or ']' after a tensor");
}
