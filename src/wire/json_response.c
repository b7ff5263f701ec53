/* json_response: an answer as JSON. The arrays are written here, number by number, into one
 * buffer; nothing in the envelope needs escaping. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "finite.h"
#include "numbers.h"

#define NS_PER_US 1000

static void write_floats(struct text *text, enum moed_dtype dtype, const void *data, uint32_t rows,
                         uint32_t columns)
{
    const size_t row_size = moed_dtype_size(dtype) * columns;

    text_format(text, "[");
    for (uint32_t i = 0; i < rows; i++) {
        if (i > 0)
            text_format(text, ",");
        text_floats(text, dtype, (const char *)data + row_size * i, columns);
    }
    text_format(text, "]");
}

static void write_ids(struct text *text, const int32_t *data, uint32_t rows, uint32_t columns)
{
    text_format(text, "[");
    for (uint32_t i = 0; i < rows; i++) {
        if (i > 0)
            text_format(text, ",");
        text_ints(text, data + (size_t)columns * i, columns);
    }
    text_format(text, "]");
}

static void write_base64(struct text *text, const struct moed_response *r)
{
    const size_t size = moed_dtype_size(r->dtype) * r->rows * r->hidden;
    const size_t encoded = moed_base64_encoded_size(size);
    char *at;

    text_format(text, "{\"dtype\":\"%s\",\"shape\":[%u,%u],\"data\":\"", field_dtypes[r->dtype],
                r->rows, r->hidden);
    at = text_reserve(text, encoded);
    if (at != NULL) {
        moed_base64_encode(r->output, size, at);
        text_advance(text, encoded);
    }
    text_format(text, "\"}");
}

/* JSON cannot say NaN; base64 can, so there the output may hold anything. */
static int check_numbers(const struct moed_response *r, enum moed_encoding encoding,
                         struct moed_error *err)
{
    int status = 0;

    if (r->output != NULL && encoding != MOED_ENCODING_BASE64)
        status = check_finite("output", r->dtype, r->output, r->rows, r->hidden, err);
    if (status == 0 && r->expert_weights != NULL)
        status = check_finite("weights", MOED_F32, r->expert_weights, r->rows, r->slots, err);
    if (status == 0 && r->logits != NULL)
        status = check_finite("logits", MOED_F32, r->logits, r->rows, r->experts, err);
    return status;
}

static void write_output(struct text *text, const struct moed_response *r,
                         enum moed_encoding encoding)
{
    text_format(text, ",\"shape\":[%u,%u],\"dtype\":\"%s\",\"output\":", r->rows, r->hidden,
                field_dtypes[r->dtype]);
    if (encoding == MOED_ENCODING_BASE64)
        write_base64(text, r);
    else
        write_floats(text, r->dtype, r->output, r->rows, r->hidden);
}

int moed_wire_print_json(const struct moed_response *r, enum moed_encoding encoding, char **out,
                         size_t *size, struct moed_error *err)
{
    struct text text = {0};
    const int status = check_numbers(r, encoding, err);

    if (status != 0)
        return status;
    text_format(&text, "{\"layer\":%u", r->layer);
    if (r->output != NULL)
        write_output(&text, r, encoding);
    if (r->expert_ids != NULL && r->expert_weights != NULL) {
        text_format(&text, ",\"routing\":{\"expert_ids\":");
        write_ids(&text, r->expert_ids, r->rows, r->slots);
        text_format(&text, ",\"weights\":");
        write_floats(&text, MOED_F32, r->expert_weights, r->rows, r->slots);
        text_format(&text, "}");
    }
    if (r->logits != NULL) {
        text_format(&text, ",\"logits\":");
        write_floats(&text, MOED_F32, r->logits, r->rows, r->experts);
    }
    if (r->timing)
        text_format(&text,
                    ",\"timing\":{\"queue_us\":%" PRIu64 ",\"compute_us\":%" PRIu64
                    ",\"batch_rows\":%u}",
                    r->queue_ns / NS_PER_US, r->compute_ns / NS_PER_US, r->batch_rows);
    if (r->partial)
        text_format(&text, ",\"missing_slots\":%" PRIu64, r->missing_slots);
    text_format(&text, "}\n");
    if (text.failed) {
        free(text.data);
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for an answer of %u rows as JSON",
                         r->rows);
    }
    *out = text.data;
    *size = text.size;
    return 0;
}
