/* read: a view's bytes, packed or decoded, from the file. */
#include "src/model/model.h"

#include <stdlib.h>

int moed_weight_read(const struct moed_model *model, const struct moed_weight *weight,
                     struct moed_weight_span rows, void *dst, struct moed_error *err)
{
    uint64_t row; /* of the tensor */

    if (weight->tensor == NULL || rows.expert >= weight->count || rows.first > weight->rows ||
        rows.n > weight->rows - rows.first)
        return moed_fail(err, MOED_E_INTERNAL, "read of rows %llu + %llu of expert %llu of %s",
                         (unsigned long long)rows.first, (unsigned long long)rows.n,
                         (unsigned long long)rows.expert,
                         weight->tensor != NULL ? weight->tensor->name : "an absent tensor");
    row = (weight->picked != NULL ? weight->picked[rows.expert] : rows.expert) * weight->stride +
          weight->first_row + rows.first;
    return moed_gguf_read(model->gguf, weight->tensor, row * weight->row_bytes,
                          rows.n * weight->row_bytes, dst, err);
}

int moed_weight_read_f32(const struct moed_model *model, const struct moed_weight *weight,
                         float **out, struct moed_error *err)
{
    const uint64_t expert_bytes = weight->rows * weight->row_bytes;
    const uint64_t expert_floats = weight->rows * weight->cols;
    uint8_t *packed = NULL;
    float *floats = NULL;
    uint64_t total;
    int rc = 0;

    *out = NULL;
    if (weight->tensor == NULL || weight->count == 0)
        return 0;
    packed = moed_calloc(1, expert_bytes);
    if (moed_mul(weight->count, expert_floats, &total))
        floats = moed_aligned_alloc(total, sizeof(float));
    if (packed == NULL || floats == NULL) {
        rc = moed_fail(err, MOED_E_NO_MEMORY, "no memory for tensor %s", weight->tensor->name);
        goto out;
    }
    for (uint64_t e = 0; rc == 0 && e < weight->count; e++) {
        rc = moed_weight_read(model, weight, (struct moed_weight_span){e, 0, weight->rows}, packed,
                              err);
        if (rc == 0)
            weight->format->decode(packed, floats + e * expert_floats, expert_floats);
    }
    if (rc == 0) {
        *out = floats;
        floats = NULL;
    }
out:
    free(floats);
    free(packed);
    return rc;
}
