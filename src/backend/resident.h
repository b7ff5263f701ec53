/* resident: the weights of the served layers in memory, in the file's own formats. Matrices that
 * are large stay packed; what is small (router, biases, norms) is decoded to f32 once. */
#ifndef MOED_BACKEND_RESIDENT_H
#define MOED_BACKEND_RESIDENT_H

#include <moed/backend.h>

struct matrix {
    const struct moed_format *format;
    const uint8_t *data; /* [count] experts of [rows] of row_bytes; NULL: absent */
    size_t row_bytes;
    size_t expert_bytes; /* from one expert to the next */
    uint32_t rows, cols, count;
    void *owned; /* the pages that `data` stands in, or NULL when mapped or decoded */
    size_t owned_bytes;
};

struct bank { /* one of struct moed_experts */
    const struct moed_experts *spec;
    struct matrix gate, up, down;
    float *gate_bias, *up_bias, *down_bias;    /* [count, rows] or NULL */
    float *gate_scale, *up_scale, *down_scale; /* [count] or NULL */
};

struct resident_layer {
    const struct moed_layer *spec;
    struct bank routed, shared;
    float *router;                    /* [E, H] */
    float *router_bias, *select_bias; /* [E] or NULL */
    float *shared_gate;               /* [H] or NULL */
    struct matrix latent_down, latent_up;
    float *latent_norm, *norm, *norm_bias, *post_norm;
};

struct resident {
    struct resident_layer *layers; /* in the model's order */
    uint32_t n_layers;
    uint64_t bytes; /* held or mapped */
};

int resident_open(const struct moed_model *model, const struct moed_backend_options *options,
                  struct resident *out, struct moed_error *err);
void resident_close(struct resident *resident);

#endif
