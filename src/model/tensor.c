/* tensor: see tensor.h. */
#include "tensor.h"

#include <stdio.h>

#define SHAPE_MAX 96

const struct moed_gguf_tensor *model_find(const struct model_block *block, const char *name,
                                          const char *suffix)
{
    char full[MODEL_NAME_MAX];

    (void)snprintf(full, sizeof full, "blk.%u.%s%s", block->index, name, suffix);
    return moed_gguf_find(block->gguf, full);
}

static void print_shape(const uint64_t *dims, uint32_t n, char out[SHAPE_MAX])
{
    size_t used = 0;

    for (uint32_t i = 0; i < n && used < SHAPE_MAX; i++) {
        const char *before = i == 0 ? "{" : ", ";

        if (dims[i] == 0)
            used += (size_t)snprintf(out + used, SHAPE_MAX - used, "%sany", before);
        else
            used += (size_t)snprintf(out + used, SHAPE_MAX - used, "%s%llu", before,
                                     (unsigned long long)dims[i]);
    }
    if (used < SHAPE_MAX)
        (void)snprintf(out + used, SHAPE_MAX - used, "}");
}

/* Dimensions that an expected shape leaves at 1 may be absent in the file. */
static uint32_t rank_of(const struct model_shape *shape)
{
    uint32_t rank = 3;

    while (rank > 1 && shape->dims[rank - 1] == 1)
        rank--;
    return rank;
}

static int check_shape(const struct model_block *block, const struct moed_gguf_tensor *tensor,
                       const struct model_shape *expected)
{
    char found_text[SHAPE_MAX], expected_text[SHAPE_MAX];
    bool fits = tensor->dims[3] == 1;

    for (int i = 0; i < 3; i++) {
        if (tensor->dims[i] > INT32_MAX) /* widths are 32-bit numbers throughout */
            fits = false;
        if (expected->dims[i] != 0 && tensor->dims[i] != expected->dims[i])
            fits = false;
    }
    if (fits)
        return 0;
    print_shape(tensor->dims, tensor->n_dims, found_text);
    print_shape(expected->dims, rank_of(expected), expected_text);
    return moed_fail(block->err, MOED_E_BAD_FILE, "tensor %s: found shape %s, expected %s",
                     tensor->name, found_text, expected_text);
}

static int bind(const struct model_block *block, const struct moed_gguf_tensor *tensor,
                struct model_shape expected, struct moed_weight *out)
{
    const struct moed_format *format = tensor->format;
    int rc = moed_gguf_check(block->gguf, tensor, block->err);

    if (rc == 0)
        rc = check_shape(block, tensor, &expected);
    if (rc != 0)
        return rc;
    if (format->decode == NULL)
        return moed_fail(block->err, MOED_E_UNSUPPORTED,
                         "tensor %s: type %s (number %u) has no decoder here", tensor->name,
                         format->name, format->id);
    *out = (struct moed_weight){.tensor = tensor, .format = format, .cols = tensor->dims[0]};
    if (!moed_format_row_bytes(format, out->cols, &out->row_bytes))
        return moed_fail(block->err, MOED_E_BAD_FILE,
                         "tensor %s: rows of %llu elements, expected a multiple of %u for %s",
                         tensor->name, (unsigned long long)out->cols, format->block, format->name);
    return 0;
}

int model_bind_matrix(const struct model_block *block, const struct moed_gguf_tensor *tensor,
                      struct model_shape expected, struct moed_weight *out)
{
    int rc = bind(block, tensor, expected, out);

    if (rc == 0) {
        out->rows = out->stride = tensor->dims[1];
        out->count = tensor->dims[2];
    }
    return rc;
}

int model_bind_vector(const struct model_block *block, const struct moed_gguf_tensor *tensor,
                      struct model_shape expected, struct moed_weight *out)
{
    int rc = bind(block, tensor, expected, out);

    if (rc == 0) {
        out->rows = out->stride = 1;
        out->count = tensor->dims[1];
    }
    return rc;
}

int model_bind_optional(const struct model_block *block, const char *name, const char *suffix,
                        struct model_shape expected, struct moed_weight *out)
{
    const struct moed_gguf_tensor *tensor = model_find(block, name, suffix);

    return tensor != NULL ? model_bind_vector(block, tensor, expected, out) : 0;
}

int model_missing(const struct model_block *block, const char *name, const char *suffix,
                  const char *why)
{
    return moed_fail(block->err, MOED_E_BAD_FILE, "tensor blk.%u.%s%s is missing: %s", block->index,
                     name, suffix, why);
}
