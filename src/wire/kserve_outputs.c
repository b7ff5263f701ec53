/* kserve_outputs: which outputs a KServe request wants, in which order and in which form. */
#include <stdio.h>

#include "fields.h"
#include "kserve_parts.h"

/* In the order of enum moed_kserve_tensor. */
static const char *const names[] = {"output", "expert_ids", "expert_weights", NULL};

struct wanted { /* one of "outputs" while it is read */
    unsigned tensor;
    enum kserve_form form;
};

static int get_form(const cJSON *value, const char *name, enum kserve_form *out,
                    struct moed_error *err)
{
    if (!cJSON_IsBool(value))
        return moed_fail(err, MOED_E_MALFORMED, "%s is %s, expected true or false", name,
                         json_kind_of(value));
    *out = cJSON_IsTrue(value) ? KSERVE_BINARY : KSERVE_TEXT;
    return 0;
}

static int get_name(const cJSON *value, void *context, struct moed_error *err)
{
    return json_get_choice(value, "outputs[].name", names, &((struct wanted *)context)->tensor,
                           err);
}

static int get_binary(const cJSON *value, void *context, struct moed_error *err)
{
    return get_form(value, "outputs[].parameters.binary_data", &((struct wanted *)context)->form,
                    err);
}

static int read_parameters(struct json_scan *s, void *context)
{
    static const struct json_field fields[] = {{.name = "binary_data", .value = get_binary}};

    return json_read_object(s, "outputs[].parameters.", fields, MOED_ARRAY_LEN(fields), context);
}

static int read_output(struct json_scan *s, struct kserve_parts *parts, unsigned index)
{
    static const struct json_field fields[] = {
        {.name = "name", .required = true, .value = get_name},
        {.name = "parameters", .read = read_parameters},
    };
    struct moed_kserve *kserve = parts->kserve;
    struct wanted wanted = {.form = KSERVE_UNSAID};
    char path[24];
    int status;

    snprintf(path, sizeof path, "outputs[%u].", index);
    status = json_read_object(s, path, fields, MOED_ARRAY_LEN(fields), &wanted);
    if (status != 0)
        return status;
    for (uint32_t i = 0; i < kserve->n_outputs; i++)
        if (kserve->outputs[i].tensor == wanted.tensor)
            return moed_fail(s->err, MOED_E_MALFORMED, "outputs: %s is given twice",
                             names[wanted.tensor]);
    parts->forms[kserve->n_outputs] = wanted.form;
    kserve->outputs[kserve->n_outputs++].tensor = wanted.tensor;
    return 0;
}

int kserve_read_outputs(struct json_scan *s, void *context)
{
    const char first = json_peek(s);
    unsigned i = 0;

    if (!json_take(s, '['))
        return moed_fail(s->err, MOED_E_MALFORMED, "outputs is %s, expected an array of outputs",
                         json_kind(first));
    if (json_take(s, ']'))
        return 0;
    do {
        const int status = read_output(s, context, i++);

        if (status != 0)
            return status;
    } while (json_take(s, ','));
    return json_take(s, ']') ? 0 : json_expected(s, "',' or ']' after an output");
}

int kserve_get_binary_output(const cJSON *value, void *context, struct moed_error *err)
{
    return get_form(value, "parameters.binary_data_output", &((struct kserve_parts *)context)->form,
                    err);
}

/* None named: all of them. */
static void want_all(struct moed_kserve *kserve)
{
    for (unsigned tensor = 0; names[tensor] != NULL; tensor++)
        kserve->outputs[kserve->n_outputs++].tensor = tensor;
}

void kserve_settle_outputs(struct kserve_parts *parts)
{
    struct moed_kserve *kserve = parts->kserve;
    struct moed_request *request = parts->json.request;

    if (kserve->n_outputs == 0)
        want_all(kserve);
    request->returns = 0;
    for (uint32_t i = 0; i < kserve->n_outputs; i++) {
        const enum kserve_form said = parts->forms[i];

        kserve->outputs[i].binary = (said != KSERVE_UNSAID ? said : parts->form) == KSERVE_BINARY;
        request->returns |= kserve->outputs[i].tensor == MOED_KSERVE_OUTPUT ? MOED_RETURN_OUTPUT
                                                                            : MOED_RETURN_ROUTING;
    }
}
