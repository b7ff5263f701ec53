/* resident: the weights of the served layers in memory. Matrices are packed into panels where the
 * instruction set multiplies panels of their format; otherwise they stay as in the file. What is
 * small (router, biases, norms) is decoded to f32 once. */
#ifndef MOED_BACKEND_RESIDENT_H
#define MOED_BACKEND_RESIDENT_H

#include "src/backend/backend.h"

#include "kernels/cpu/cpu.h"

struct matrix {
    const struct moed_format *format;
    const struct moed_product *product; /* packed for it; NULL: rows as in the file */
    const uint8_t *data;                /* NULL: absent, or not held */
    const uint32_t *picked; /* where the experts are in `data`; NULL: one after the other */
    size_t row_bytes;       /* in the file */
    size_t panel_bytes;     /* packed */
    size_t expert_bytes;    /* from one expert to the next */
    uint32_t rows, cols, count;
    void *owned; /* the pages that `data` stands in, or NULL when mapped */
    size_t owned_bytes;
};

struct bank {                        /* one of struct moed_experts */
    const struct moed_experts *spec; /* its experts are at places: those held, ascending */
    struct matrix gate, up, down;
    float *gate_bias, *up_bias, *down_bias;    /* [count, rows] or NULL */
    float *gate_scale, *up_scale, *down_scale; /* [count] or NULL */
};

struct resident_layer {
    const struct moed_layer *spec;
    struct bank routed, shared, chunks;
    struct matrix router;                 /* [E, H] f32, whatever the file has */
    float *router_bias, *select_bias;     /* [E] or NULL */
    float *shared_gate;                   /* [H] or NULL */
    struct matrix latent_down, latent_up; /* never packed */
    float *latent_norm, *norm, *norm_bias, *post_norm;
};

struct resident {
    struct resident_layer *layers; /* in the model's order */
    uint32_t n_layers;
    uint64_t bytes; /* held or mapped */
};

/* The weights of the expert at a place among those held. */
static inline const uint8_t *matrix_expert(const struct matrix *m, uint32_t place)
{
    return m->data + (m->picked != NULL ? m->picked[place] : place) * m->expert_bytes;
}

/* `isa` NULL: nothing is packed. */
int resident_open(const struct moed_model *model, const struct moed_backend_options *options,
                  const struct moed_isa *isa, struct resident *out, struct moed_error *err);
void resident_close(struct resident *resident);

/* A planned expert (src/moe/moe.h): its bank and its place there. */
struct planned {
    const struct bank *bank;
    uint32_t expert; /* nothing to rely on where the expert is not held */
    bool routed;     /* reads latent rows, and its weight may be on its input */
};
struct planned resident_planned(const struct resident_layer *layer, uint32_t e);
uint32_t resident_planned_count(const struct resident_layer *layer);
/* Bytes in the file of a planned expert: what a pass reads for it. */
uint64_t resident_expert_bytes(const struct resident_layer *layer, uint32_t e);

#endif
