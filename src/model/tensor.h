/* tensor: finds one tensor of a block by name and makes a checked view of it. */
#ifndef MOED_MODEL_TENSOR_H
#define MOED_MODEL_TENSOR_H

#include "src/model/model.h"

#define MODEL_NAME_MAX 64 /* GGUF's own limit on tensor names */

/* One block of one file, whose errors go to `err`. */
struct model_block {
    const struct moed_gguf *gguf;
    uint32_t index; /* N of blk.N */
    struct moed_error *err;
};

/* The shape to be found, dims[0] first; 0: any. A fourth dimension is never expected. */
struct model_shape {
    uint64_t dims[3];
};

/* blk.N.<name><suffix>, or NULL. */
const struct moed_gguf_tensor *model_find(const struct model_block *block, const char *name,
                                          const char *suffix);

/* Views of a tensor whose type can be decoded and whose shape is `expected`. A matrix is
 * [rows = dims[1], cols = dims[0]] for each of dims[2] experts; a vector is dims[1] rows of
 * dims[0], each an expert's. MOED_E_BAD_FILE or MOED_E_UNSUPPORTED names the tensor. */
int model_bind_matrix(const struct model_block *block, const struct moed_gguf_tensor *tensor,
                      struct model_shape expected, struct moed_weight *out);
int model_bind_vector(const struct model_block *block, const struct moed_gguf_tensor *tensor,
                      struct model_shape expected, struct moed_weight *out);

/* As model_bind_vector, for a tensor that may be absent: then *out is left absent. */
int model_bind_optional(const struct model_block *block, const char *name, const char *suffix,
                        struct model_shape expected, struct moed_weight *out);

/* MOED_E_BAD_FILE: blk.N.<name><suffix> is missing, because of `why`. */
int model_missing(const struct model_block *block, const char *name, const char *suffix,
                  const char *why);

#endif
