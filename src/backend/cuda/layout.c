/* cuda_layout: what a layer is on a device: which tensors make which matrices, their shapes and
 * sizes. Nothing here calls the device. */
#include "cuda.h"

/* The device reads the flags of rows as backend.h has them. */
#define SAME_FLAG(NAME) _Static_assert((int)MOED_CUDA_##NAME == (int)MOED_ROW_##NAME, #NAME)
SAME_FLAG(SUPPLIED);
SAME_FLAG(NO_SHARED);
SAME_FLAG(ONLY_SHARED);
SAME_FLAG(NORM);
SAME_FLAG(RESIDUAL);
SAME_FLAG(ROUTE_ONLY);
SAME_FLAG(PART);

static int shape(const struct moed_weight *w, bool interleaved, struct moed_cuda_matrix *m,
                 struct moed_error *err)
{
    if (!w->tensor || w->count == 0)
        return 0;
    m->format = moed_cuda_format_by_name(w->format->name);
    if (!m->format)
        return moed_fail(err, MOED_E_UNSUPPORTED,
                         "tensor \"%s\" is %s, which the cuda backend does not multiply",
                         w->tensor->name, w->format->name);
    m->rows = (uint32_t)(interleaved ? 2 * w->rows : w->rows);
    m->cols = (uint32_t)w->cols;
    m->count = (uint32_t)w->count;
    m->interleaved = interleaved;
    if (w->rows <= UINT32_MAX / 4 && w->cols <= UINT32_MAX / 4 && moed_cuda_matrix_shape(m))
        return 0;
    return moed_fail(err, MOED_E_UNSUPPORTED, "tensor \"%s\" is too large for the cuda backend",
                     w->tensor->name);
}

static int lay_out_bank(const struct moed_experts *spec, struct cuda_bank *bank,
                        struct moed_error *err)
{
    const bool interleaved = spec->gate.tensor && spec->gate.format == spec->up.format;
    int status = MOED_OK;

    bank->spec = spec;
    if (spec->width == 0)
        return 0;
    if (!interleaved)
        status = shape(&spec->gate, false, &bank->gate, err);
    if (status == 0)
        status = shape(&spec->up, interleaved, &bank->up, err);
    return status == 0 ? shape(&spec->down, false, &bank->down, err) : status;
}

int cuda_lay_out(const struct moed_layer *spec, struct cuda_layer *to, struct moed_error *err)
{
    const struct moed_experts *banks[] = {&spec->routed, &spec->shared, &spec->chunks};
    struct cuda_source sources[CUDA_MATRICES];
    int status = MOED_OK;

    to->spec = spec;
    for (int i = 0; i < 3 && status == 0; i++)
        status = lay_out_bank(banks[i], &to->banks[i], err);
    if (status == 0)
        status = shape(&spec->latent_down, false, &to->latent_down, err);
    if (status == 0)
        status = shape(&spec->latent_up, false, &to->latent_up, err);
    to->fast = true;
    for (uint32_t i = cuda_sources(to, sources); status == 0 && i > 0; i--)
        to->fast = to->fast && sources[i - 1].to->format->fast;
    return status;
}

static void add_source(struct cuda_source out[CUDA_MATRICES], uint32_t *n,
                       struct moed_cuda_matrix *to, const struct moed_weight *first,
                       const struct moed_weight *second)
{
    if (to->format)
        out[(*n)++] = (struct cuda_source){to, {first, second}};
}

uint32_t cuda_sources(struct cuda_layer *layer, struct cuda_source out[CUDA_MATRICES])
{
    uint32_t n = 0;

    for (int i = 0; i < 3; i++) {
        struct cuda_bank *b = &layer->banks[i];

        add_source(out, &n, &b->gate, &b->spec->gate, NULL);
        if (b->up.interleaved)
            add_source(out, &n, &b->up, &b->spec->gate, &b->spec->up);
        else
            add_source(out, &n, &b->up, &b->spec->up, NULL);
        add_source(out, &n, &b->down, &b->spec->down, NULL);
    }
    add_source(out, &n, &layer->latent_down, &layer->spec->latent_down, NULL);
    add_source(out, &n, &layer->latent_up, &layer->spec->latent_up, NULL);
    return n;
}

uint32_t cuda_vectors(struct cuda_layer *layer, struct cuda_vector out[CUDA_VECTORS])
{
    const struct moed_layer *s = layer->spec;
    uint32_t n = 0;

    for (int i = 0; i < 3; i++) {
        struct cuda_bank *b = &layer->banks[i];

        out[n++] = (struct cuda_vector){&b->gate_bias, &b->spec->gate_bias};
        out[n++] = (struct cuda_vector){&b->up_bias, &b->spec->up_bias};
        out[n++] = (struct cuda_vector){&b->down_bias, &b->spec->down_bias};
        out[n++] = (struct cuda_vector){&b->gate_scale, &b->spec->gate_scale};
        out[n++] = (struct cuda_vector){&b->up_scale, &b->spec->up_scale};
        out[n++] = (struct cuda_vector){&b->down_scale, &b->spec->down_scale};
    }
    out[n++] = (struct cuda_vector){&layer->router_weight, &s->router_weight};
    out[n++] = (struct cuda_vector){&layer->router_bias, &s->router_bias};
    out[n++] = (struct cuda_vector){&layer->select_bias, &s->select_bias};
    out[n++] = (struct cuda_vector){&layer->shared_gate, &s->shared_gate};
    out[n++] = (struct cuda_vector){&layer->latent_norm, &s->latent_norm};
    out[n++] = (struct cuda_vector){&layer->norm, &s->norm};
    out[n++] = (struct cuda_vector){&layer->norm_bias, &s->norm_bias};
    out[n++] = (struct cuda_vector){&layer->post_norm, &s->post_norm};
    return n;
}

uint64_t cuda_layer_bytes(const struct cuda_layer *layer)
{
    struct cuda_layer copy = *layer;
    struct cuda_source sources[CUDA_MATRICES];
    struct cuda_vector vectors[CUDA_VECTORS];
    uint64_t bytes = 0;

    for (uint32_t i = cuda_sources(&copy, sources); i > 0; i--)
        bytes += sources[i - 1].to->expert_bytes * sources[i - 1].to->count + MOED_CUDA_SLACK;
    for (uint32_t i = cuda_vectors(&copy, vectors); i > 0; i--) {
        const struct moed_weight *w = vectors[i - 1].from;

        if (w->tensor)
            bytes += w->count * w->rows * w->cols * sizeof(float);
    }
    return bytes;
}

static void raise_to(uint64_t *most, uint64_t value)
{
    *most = value > *most ? value : *most;
}

struct cuda_extent cuda_extent_of(const struct moed_model *model, uint32_t max_rows)
{
    struct cuda_extent x = {.rows = max_rows};
    uint64_t slots = 0;
    bool chunks = false;

    for (uint32_t i = 0; i < model->n_layers; i++) {
        const struct moed_layer *l = &model->layers[i];
        const struct moed_experts *r = &l->routed, *s = &l->shared;

        raise_to(&x.hidden, l->hidden);
        raise_to(&x.latent, l->latent_down.tensor ? l->latent : 0);
        raise_to(&x.experts, l->experts);
        raise_to(&x.used, l->used);
        raise_to(&x.width, r->width);
        raise_to(&x.width, s->width);
        raise_to(&x.width, l->chunks.width);
        raise_to(&x.planned, l->experts + 1 + (l->chunk_size ? l->experts / l->chunk_size : 0));
        raise_to(&slots, (uint64_t)max_rows * l->used);
        raise_to(&slots, l->experts);
        chunks = chunks || l->chunk_size > 0;
        x.separate_gate = x.separate_gate || (r->gate.tensor && r->gate.format != r->up.format) ||
                          (s->gate.tensor && s->gate.format != s->up.format) ||
                          (l->chunks.gate.tensor && l->chunks.gate.format != l->chunks.up.format);
    }
    x.pairs = (chunks ? 2 : 1) * slots + max_rows;
    x.slots = slots;
    return x;
}

uint64_t cuda_planned_bytes(const struct moed_layer *spec, uint32_t planned)
{
    const struct moed_experts *b = planned < spec->experts    ? &spec->routed
                                   : planned == spec->experts ? &spec->shared
                                                              : &spec->chunks;
    const struct moed_weight *all[] = {&b->gate, &b->up, &b->down};
    uint64_t bytes = 0;

    for (size_t i = 0; i < MOED_ARRAY_LEN(all); i++)
        bytes += all[i]->rows * all[i]->row_bytes;
    return bytes;
}
