/* resident: loads the layers. First everything is laid out and the small tensors are decoded, then
 * all experts are copied, in parallel, straight from the file into their place. */
#include "resident.h"
#include "team.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct loader {
    const struct moed_model *model;
    const struct moed_backend_options *options;
    struct resident *to;
    struct moed_error *err;
};

/* Private pages for a matrix, so that huge pages and mlock can be asked for. */
static int place(struct loader *l, struct matrix *m, size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED)
        return moed_fail(l->err, MOED_E_NO_MEMORY, "no memory for %zu bytes of weights", bytes);
    m->owned = pages;
    m->owned_bytes = bytes;
    m->data = pages;
    if (l->options->hugepages)
        (void)madvise(pages, bytes, MADV_HUGEPAGE); /* a wish: the kernel may be without */
    if (l->options->mlock && mlock(pages, bytes) != 0)
        return moed_fail(l->err, MOED_E_NO_MEMORY,
                         "mlock of %zu bytes of weights failed; raise the memlock limit", bytes);
    return MOED_OK;
}

static int lay_out(struct loader *l, const struct moed_weight *w, struct matrix *m)
{
    uint64_t expert_bytes;
    uint64_t total;

    if (!w->tensor)
        return MOED_OK;
    if (!moed_mul(w->rows, w->row_bytes, &expert_bytes) ||
        !moed_mul(expert_bytes, w->count, &total))
        return moed_fail(l->err, MOED_E_BAD_FILE, "tensor \"%s\" is too large", w->tensor->name);
    m->format = w->format;
    m->row_bytes = w->row_bytes;
    m->rows = (uint32_t)w->rows;
    m->cols = (uint32_t)w->cols;
    m->count = (uint32_t)w->count;
    m->expert_bytes = expert_bytes;
    l->to->bytes += total;
    if (!l->options->map)
        return place(l, m, total);

    const uint8_t *mapped;
    const int status = moed_gguf_map(l->model->gguf, w->tensor, &mapped, l->err);

    if (status == MOED_OK) {
        m->data = mapped + w->first_row * w->row_bytes;
        m->expert_bytes = w->stride * w->row_bytes;
    }
    return status;
}

static int decode(struct loader *l, const struct moed_weight *w, float **out)
{
    if (w->tensor)
        l->to->bytes += w->count * w->rows * w->cols * sizeof(float);
    return moed_weight_read_f32(l->model, w, out, l->err);
}

static int lay_out_bank(struct loader *l, const struct moed_experts *spec, struct bank *bank)
{
    int status;

    bank->spec = spec;
    if (spec->width == 0)
        return MOED_OK;
    if ((status = lay_out(l, &spec->gate, &bank->gate)) != 0 ||
        (status = lay_out(l, &spec->up, &bank->up)) != 0 ||
        (status = lay_out(l, &spec->down, &bank->down)) != 0 ||
        (status = decode(l, &spec->gate_bias, &bank->gate_bias)) != 0 ||
        (status = decode(l, &spec->up_bias, &bank->up_bias)) != 0 ||
        (status = decode(l, &spec->down_bias, &bank->down_bias)) != 0 ||
        (status = decode(l, &spec->gate_scale, &bank->gate_scale)) != 0 ||
        (status = decode(l, &spec->up_scale, &bank->up_scale)) != 0)
        return status;
    return decode(l, &spec->down_scale, &bank->down_scale);
}

static int lay_out_layer(struct loader *l, const struct moed_layer *spec, struct resident_layer *to)
{
    int status;

    to->spec = spec;
    if ((status = decode(l, &spec->router_weight, &to->router)) != 0 ||
        (status = decode(l, &spec->router_bias, &to->router_bias)) != 0 ||
        (status = decode(l, &spec->select_bias, &to->select_bias)) != 0 ||
        (status = decode(l, &spec->shared_gate, &to->shared_gate)) != 0 ||
        (status = decode(l, &spec->latent_norm, &to->latent_norm)) != 0 ||
        (status = decode(l, &spec->norm, &to->norm)) != 0 ||
        (status = decode(l, &spec->norm_bias, &to->norm_bias)) != 0 ||
        (status = decode(l, &spec->post_norm, &to->post_norm)) != 0 ||
        (status = lay_out(l, &spec->latent_down, &to->latent_down)) != 0 ||
        (status = lay_out(l, &spec->latent_up, &to->latent_up)) != 0 ||
        (status = lay_out_bank(l, &spec->routed, &to->routed)) != 0)
        return status;
    return lay_out_bank(l, &spec->shared, &to->shared);
}

/* ---- copying ---- */

#define MATRICES 8 /* of a layer that are laid out rather than decoded */

struct copy {
    const struct moed_weight *from;
    const struct matrix *to;
};

static void copies_of(const struct resident_layer *layer, struct copy out[MATRICES])
{
    const struct moed_layer *s = layer->spec;
    const struct copy all[MATRICES] = {
        {&s->routed.gate, &layer->routed.gate}, {&s->routed.up, &layer->routed.up},
        {&s->routed.down, &layer->routed.down}, {&s->shared.gate, &layer->shared.gate},
        {&s->shared.up, &layer->shared.up},     {&s->shared.down, &layer->shared.down},
        {&s->latent_down, &layer->latent_down}, {&s->latent_up, &layer->latent_up},
    };

    memcpy(out, all, sizeof all);
}

struct copying {
    struct loader *loader;
    uint64_t total;
    atomic_ullong done;
    atomic_int status;
};

static void copy_expert(struct copying *c, const struct copy *copy, uint32_t expert)
{
    const struct moed_backend_options *o = c->loader->options;
    struct moed_error err = {0};
    uint8_t *to = (uint8_t *)copy->to->owned + expert * copy->to->expert_bytes;
    int expected = MOED_OK;
    int status;

    if (atomic_load(&c->status) != MOED_OK)
        return;
    status = moed_weight_read(c->loader->model, copy->from, expert, 0, copy->to->rows, to, &err);
    if (status != MOED_OK) { /* the first failure is the one that is told */
        if (atomic_compare_exchange_strong(&c->status, &expected, status) && c->loader->err)
            *c->loader->err = err;
        return;
    }
    const uint64_t done =
        atomic_fetch_add(&c->done, copy->to->expert_bytes) + copy->to->expert_bytes;
    if (o->progress)
        o->progress(o->progress_context, done, c->total);
}

static int copy_all(struct loader *l)
{
    struct copying c = {.loader = l, .total = l->to->bytes};

    for (uint32_t i = 0; i < l->to->n_layers; i++) {
        struct copy copies[MATRICES];

        copies_of(&l->to->layers[i], copies);
        for (int m = 0; m < MATRICES; m++) {
            if (!copies[m].to->owned)
                continue;
#pragma omp parallel for num_threads(l->options->threads) schedule(dynamic)
            for (uint32_t e = 0; e < copies[m].to->count; e++)
                copy_expert(&c, &copies[m], e);
        }
    }
    if (atomic_load(&c.status) == MOED_OK && l->options->progress)
        l->options->progress(l->options->progress_context, c.total, c.total);
    return atomic_load(&c.status);
}

int resident_open(const struct moed_model *model, const struct moed_backend_options *options,
                  struct resident *out, struct moed_error *err)
{
    struct loader l = {.model = model, .options = options, .to = out, .err = err};
    int status = MOED_OK;

    *out = (struct resident){.n_layers = model->n_layers};
    out->layers = moed_calloc(model->n_layers, sizeof *out->layers);
    if (!out->layers)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %u layers", model->n_layers);
    for (uint32_t i = 0; i < model->n_layers && status == MOED_OK; i++)
        status = lay_out_layer(&l, &model->layers[i], &out->layers[i]);
    if (status == MOED_OK)
        status = copy_all(&l);
    if (status != MOED_OK)
        resident_close(out);
    return status;
}

/* ---- closing ---- */

static void release_bank(struct bank *b)
{
    float *small[] = {b->gate_bias,  b->up_bias,  b->down_bias,
                      b->gate_scale, b->up_scale, b->down_scale};

    for (size_t i = 0; i < MOED_ARRAY_LEN(small); i++)
        free(small[i]);
}

void resident_close(struct resident *resident)
{
    for (uint32_t i = 0; resident->layers && i < resident->n_layers; i++) {
        struct resident_layer *layer = &resident->layers[i];
        float *small[] = {layer->router,      layer->router_bias, layer->select_bias,
                          layer->shared_gate, layer->latent_norm, layer->norm,
                          layer->norm_bias,   layer->post_norm};
        struct matrix *large[] = {&layer->routed.gate, &layer->routed.up, &layer->routed.down,
                                  &layer->shared.gate, &layer->shared.up, &layer->shared.down,
                                  &layer->latent_down, &layer->latent_up};

        for (size_t j = 0; j < MOED_ARRAY_LEN(small); j++)
            free(small[j]);
        for (size_t j = 0; j < MOED_ARRAY_LEN(large); j++)
            if (large[j]->owned)
                munmap(large[j]->owned, large[j]->owned_bytes);
        release_bank(&layer->routed);
        release_bank(&layer->shared);
    }
    free(resident->layers);
    *resident = (struct resident){0};
}
