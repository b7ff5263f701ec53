/* kserve_response: an answer in KServe's form. Nothing in the envelope needs escaping: the model's
 * name is plain, and the id goes back as it was spelled. */
#include "src/wire/kserve.h"
#include <stdlib.h>
#include <string.h>

#include "finite.h"
#include "kserve_parts.h"
#include "numbers.h"

/* One output, ready to be written. */
struct view {
    const char *name;
    unsigned datatype; /* of kserve_datatypes */
    const void *data;
    uint32_t columns;
    size_t size; /* bytes */
};

static struct view view_of(const struct moed_response *r, enum moed_kserve_tensor tensor)
{
    const size_t slots = (size_t)r->rows * r->slots;

    switch (tensor) {
    case MOED_KSERVE_IDS:
        return (struct view){"expert_ids", KSERVE_INT32, r->expert_ids, r->slots, slots * 4};
    case MOED_KSERVE_WEIGHTS:
        return (struct view){"expert_weights", MOED_F32, r->expert_weights, r->slots, slots * 4};
    case MOED_KSERVE_OUTPUT:
        break;
    }
    return (struct view){"output", r->dtype, r->output, r->hidden,
                         moed_dtype_size(r->dtype) * r->rows * r->hidden};
}

static void write_output(struct text *text, const struct view *view, uint32_t rows, bool binary)
{
    const size_t count = (size_t)rows * view->columns;

    text_format(text, "{\"name\":\"%s\",\"datatype\":\"%s\",\"shape\":[%u,%u],", view->name,
                kserve_datatypes[view->datatype], rows, view->columns);
    if (binary) {
        text_format(text, "\"parameters\":{\"binary_data_size\":%zu}}", view->size);
        return;
    }
    text_format(text, "\"data\":");
    if (view->datatype == KSERVE_INT32)
        text_ints(text, view->data, count);
    else
        text_floats(text, view->datatype, view->data, count);
    text_format(text, "}");
}

static void write_json(struct text *text, const struct moed_response *r,
                       const struct moed_kserve *kserve, const char *name)
{
    text_format(text, "{");
    if (kserve->id != NULL) {
        text_format(text, "\"id\":\"");
        text_put(text, kserve->id, strlen(kserve->id));
        text_format(text, "\",");
    }
    text_format(text, "\"model_name\":\"%s\",\"model_version\":\"1\",\"outputs\":[", name);
    for (uint32_t i = 0; i < kserve->n_outputs; i++) {
        const struct view view = view_of(r, kserve->outputs[i].tensor);

        if (i > 0)
            text_format(text, ",");
        write_output(text, &view, r->rows, kserve->outputs[i].binary);
    }
    text_format(text, "]}");
}

/* JSON cannot say NaN; binary outputs may hold anything. */
static int check_outputs(const struct moed_response *r, const struct moed_kserve *kserve,
                         struct moed_error *err)
{
    int status = 0;

    for (uint32_t i = 0; i < kserve->n_outputs && status == 0; i++) {
        const struct view view = view_of(r, kserve->outputs[i].tensor);

        if (view.data == NULL && view.size > 0)
            status =
                moed_fail(err, MOED_E_INTERNAL, "%s was asked for, but not computed", view.name);
        else if (!kserve->outputs[i].binary && view.datatype != KSERVE_INT32)
            status = check_finite(view.name, view.datatype, view.data, r->rows, view.columns, err);
    }
    return status;
}

int moed_wire_print_kserve(const struct moed_response *r, const struct moed_kserve *kserve,
                           const char *name, struct moed_kserve_body *out, struct moed_error *err)
{
    struct text text = {0};
    const int status = check_outputs(r, kserve, err);

    if (status != 0)
        return status;
    write_json(&text, r, kserve, name);
    if (!moed_kserve_has_binary(kserve))
        text_format(&text, "\n");
    out->json_size = text.size;
    for (uint32_t i = 0; i < kserve->n_outputs; i++) {
        const struct view view = view_of(r, kserve->outputs[i].tensor);

        if (kserve->outputs[i].binary)
            text_put(&text, view.data, view.size);
    }
    if (text.failed) {
        free(text.data);
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for an answer of %u rows", r->rows);
    }
    out->data = text.data;
    out->size = text.size;
    return 0;
}

bool moed_kserve_has_binary(const struct moed_kserve *kserve)
{
    bool binary = false;

    for (uint32_t i = 0; i < kserve->n_outputs; i++)
        binary = binary || kserve->outputs[i].binary;
    return binary;
}
