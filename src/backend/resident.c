/* resident: loads the layers. First everything is laid out and the small tensors are decoded, then
 * all experts are read and packed, in parallel, straight from the file into their place. */
#include "resident.h"
#include "findings.h"
#include "fit.h"
#include "team.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels/panel.h"

struct loader {
    const struct moed_model *model;
    const struct moed_backend_options *options;
    const struct moed_isa *isa; /* NULL: nothing is packed */
    struct resident *to;
    uint64_t to_read; /* bytes of the file */
    struct findings findings;
    struct moed_error *err;
};

#define HUGE_PAGE ((uint64_t)2 << 20)

/* Private pages for a matrix, so that huge pages and mlock can be asked for. */
static int place(struct loader *l, struct matrix *m)
{
    uint64_t bytes;
    void *pages;

    if (!moed_mul(m->expert_bytes, m->count, &bytes))
        return moed_fail(l->err, MOED_E_BAD_FILE, "%u experts of %zu bytes are too many", m->count,
                         m->expert_bytes);
    if (l->options->hugepages)
        bytes = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | (l->options->hugepages ? MAP_HUGETLB : 0), -1, 0);
    if (pages == MAP_FAILED)
        return moed_fail(l->err, MOED_E_NO_MEMORY, "no %s for %llu bytes of weights, %s",
                         l->options->hugepages ? "huge pages" : "memory", (unsigned long long)bytes,
                         l->options->hugepages ? "reserve some in vm.nr_hugepages"
                                               : "look at the limit of address space (ulimit -v)");
    m->owned = pages;
    m->owned_bytes = bytes;
    m->data = pages;
    l->to->bytes += bytes;
    /* Walks read ahead over many pages: with small ones, translating their addresses takes a
     * quarter of the memory's speed. A wish, since the kernel may be without. */
    (void)madvise(pages, bytes, MADV_HUGEPAGE);
    if (l->options->mlock && mlock(pages, bytes) != 0)
        return moed_fail(l->err, MOED_E_NO_MEMORY,
                         "mlock of %llu bytes of weights failed; raise the memlock limit",
                         (unsigned long long)bytes);
    return 0;
}

/* The product that a format is packed for. NULL where there is none, and where it would round the
 * rows and that is not wanted: weights as in the file are multiplied with f32 rows. */
static const struct moed_product *product_for(const struct loader *l, const struct moed_isa *isa,
                                              const struct moed_format *format)
{
    const struct moed_product *product = isa != NULL ? moed_isa_product(isa, format) : NULL;

    return product != NULL && l->options->f32_rows && product->rows != MOED_ROWS_F32 ? NULL
                                                                                     : product;
}

/* Sets the sizes of a matrix of this format, packed if it can be. */
static int shape(struct loader *l, const struct moed_weight *w, const struct moed_isa *isa,
                 struct matrix *m)
{
    uint64_t expert_bytes;
    uint64_t panel_bytes;

    m->format = w->format;
    m->product = product_for(l, isa, w->format);
    m->row_bytes = w->row_bytes;
    m->rows = (uint32_t)w->rows;
    m->cols = (uint32_t)w->cols;
    m->count = (uint32_t)w->count;
    if (m->product != NULL) {
        const uint64_t panels = (w->rows + MOED_PANEL_ROWS - 1) / MOED_PANEL_ROWS;

        if (moed_panel_bytes(moed_panel_layout_of(w->format), w->cols, &panel_bytes) &&
            moed_mul(panels, panel_bytes, &expert_bytes)) {
            m->panel_bytes = panel_bytes;
            m->expert_bytes = expert_bytes;
            return 0;
        }
    } else if (moed_mul(w->rows, w->row_bytes, &expert_bytes)) {
        m->expert_bytes = expert_bytes;
        return 0;
    }
    return moed_fail(l->err, MOED_E_BAD_FILE, "tensor \"%s\" is too large", w->tensor->name);
}

/* Lays out a matrix; isa NULL: as in the file, and left in the file's mapping if that is wished. */
static int lay_out(struct loader *l, const struct moed_weight *w, const struct moed_isa *isa,
                   struct matrix *m)
{
    const uint8_t *mapped;
    int status;

    if (w->tensor == NULL || w->count == 0)
        return 0;
    status = shape(l, w, l->options->map ? NULL : isa, m);
    if (status != 0)
        return status;
    if (!l->options->map) {
        l->to_read += w->count * w->rows * w->row_bytes;
        return place(l, m);
    }
    status = moed_gguf_map(l->model->gguf, w->tensor, &mapped, l->err);
    if (status == 0) {
        m->data = mapped + w->first_row * w->row_bytes;
        m->expert_bytes = w->stride * w->row_bytes;
        m->picked = w->picked;
        l->to->bytes += w->count * w->rows * w->row_bytes;
    }
    return status;
}

/* The router is f32 whatever the file has, and never packed: choosing experts takes no part in
 * quantisation, and multiply_rows() adds in 16 lanes, more exactly than a panel does. */
static int load_router(struct loader *l, const struct moed_weight *w, struct matrix *m)
{
    struct moed_weight f32 = *w;
    float *decoded = NULL;
    int status = moed_weight_read_f32(l->model, w, &decoded, l->err);

    if (status != 0)
        return status;
    f32.format = moed_format_by_name("F32");
    f32.row_bytes = w->cols * sizeof(float);
    findings_note_f32(&l->findings, w, decoded);
    status = shape(l, &f32, NULL, m);
    if (status == 0)
        status = place(l, m);
    if (status == 0)
        memcpy(m->owned, decoded, m->expert_bytes * m->count);
    free(decoded);
    return status;
}

static int decode(struct loader *l, const struct moed_weight *w, float **out)
{
    if (w->tensor != NULL)
        l->to->bytes += w->count * w->rows * w->cols * sizeof(float);
    const int status = moed_weight_read_f32(l->model, w, out, l->err);

    if (status == 0)
        findings_note_f32(&l->findings, w, *out);
    return status;
}

static int lay_out_bank(struct loader *l, const struct moed_experts *spec, struct bank *bank)
{
    int status;

    bank->spec = spec;
    if (spec->width == 0)
        return 0;
    if ((status = lay_out(l, &spec->gate, l->isa, &bank->gate)) != 0 ||
        (status = lay_out(l, &spec->up, l->isa, &bank->up)) != 0 ||
        (status = lay_out(l, &spec->down, l->isa, &bank->down)) != 0 ||
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
    if ((status = load_router(l, &spec->router_weight, &to->router)) != 0 ||
        (status = decode(l, &spec->router_bias, &to->router_bias)) != 0 ||
        (status = decode(l, &spec->select_bias, &to->select_bias)) != 0 ||
        (status = decode(l, &spec->shared_gate, &to->shared_gate)) != 0 ||
        (status = decode(l, &spec->latent_norm, &to->latent_norm)) != 0 ||
        (status = decode(l, &spec->norm, &to->norm)) != 0 ||
        (status = decode(l, &spec->norm_bias, &to->norm_bias)) != 0 ||
        (status = decode(l, &spec->post_norm, &to->post_norm)) != 0 ||
        (status = lay_out(l, &spec->latent_down, NULL, &to->latent_down)) != 0 ||
        (status = lay_out(l, &spec->latent_up, NULL, &to->latent_up)) != 0 ||
        (status = lay_out_bank(l, &spec->routed, &to->routed)) != 0)
        return status;
    status = lay_out_bank(l, &spec->shared, &to->shared);
    return status != 0 ? status : lay_out_bank(l, &spec->chunks, &to->chunks);
}

/* ---- reading ---- */

#define MATRICES 11 /* of a layer that are read from the file rather than decoded */

struct reading {
    const struct moed_weight *from;
    const struct matrix *to;
};

static void readings_of(const struct resident_layer *layer, struct reading out[MATRICES])
{
    const struct moed_layer *s = layer->spec;
    const struct reading all[MATRICES] = {
        {&s->routed.gate, &layer->routed.gate}, {&s->routed.up, &layer->routed.up},
        {&s->routed.down, &layer->routed.down}, {&s->shared.gate, &layer->shared.gate},
        {&s->shared.up, &layer->shared.up},     {&s->shared.down, &layer->shared.down},
        {&s->chunks.gate, &layer->chunks.gate}, {&s->chunks.up, &layer->chunks.up},
        {&s->chunks.down, &layer->chunks.down}, {&s->latent_down, &layer->latent_down},
        {&s->latent_up, &layer->latent_up},
    };

    memcpy(out, all, sizeof all);
}

/* What the reading threads share. */
struct progress {
    struct loader *loader;
    const struct reading *reading; /* the matrix that is read now */
    uint8_t *staging;              /* one panel's rows for each thread */
    size_t staging_bytes;
    atomic_ullong done;
    atomic_int status;
};

/* One expert, a panel's rows at a time. */
static int read_expert(struct progress *p, const struct reading *r, uint32_t expert,
                       struct moed_error *err)
{
    const struct matrix *m = r->to;
    uint8_t *to = (uint8_t *)m->owned + expert * m->expert_bytes;
    uint8_t *staging = p->staging + team_rank() * p->staging_bytes;
    struct moed_weight_span rows = {.expert = expert, .n = m->rows};
    unsigned seen = 0;
    int status;

    if (m->product == NULL) {
        status = moed_weight_read(p->loader->model, r->from, rows, to, err);
        if (status == 0)
            findings_note(&p->loader->findings, r->from, expert,
                          m->format->scan(to, rows.n * m->cols));
        return status;
    }
    for (rows.first = 0; rows.first < m->rows; rows.first += rows.n) {
        rows.n = m->rows - rows.first < MOED_PANEL_ROWS ? m->rows - rows.first : MOED_PANEL_ROWS;
        status = moed_weight_read(p->loader->model, r->from, rows, staging, err);
        if (status != 0)
            return status;
        seen |= m->format->scan(staging, rows.n * m->cols);
        moed_panel_pack(moed_panel_layout_of(m->format), staging, m->row_bytes, (uint32_t)rows.n,
                        m->cols, to + rows.first / MOED_PANEL_ROWS * m->panel_bytes);
    }
    findings_note(&p->loader->findings, r->from, expert, seen);
    return 0;
}

static void read_one(void *context, uint32_t expert)
{
    struct progress *p = context;
    const struct reading *r = p->reading;
    const struct moed_backend_options *o = p->loader->options;
    const uint64_t bytes = (uint64_t)r->to->rows * r->to->row_bytes;
    struct moed_error err = {0};
    int expected = MOED_OK;
    int status;

    if (atomic_load(&p->status) != 0)
        return;
    status = read_expert(p, r, expert, &err);
    if (status != 0) { /* the first failure is the one that is told */
        if (atomic_compare_exchange_strong(&p->status, &expected, status) && p->loader->err)
            *p->loader->err = err;
        return;
    }
    const uint64_t done = atomic_fetch_add(&p->done, bytes) + bytes;

    if (o->progress != NULL)
        o->progress(o->progress_context, done, p->loader->to_read);
}

static size_t largest_panel_in_file(const struct resident *resident)
{
    size_t most = 0;

    for (uint32_t i = 0; i < resident->n_layers; i++) {
        struct reading readings[MATRICES];

        readings_of(&resident->layers[i], readings);
        for (int m = 0; m < MATRICES; m++)
            if (readings[m].to->row_bytes > most)
                most = readings[m].to->row_bytes;
    }
    return most * MOED_PANEL_ROWS;
}

static int read_all(struct loader *l)
{
    struct progress p = {.loader = l, .staging_bytes = largest_panel_in_file(l->to)};
    struct team *team;
    int status = team_create(l->options->threads, &team, l->err);

    if (status != 0)
        return status;
    p.staging = moed_aligned_alloc(l->options->threads, p.staging_bytes);
    if (p.staging == NULL) {
        team_destroy(team);
        return moed_fail(l->err, MOED_E_NO_MEMORY, "no memory to read experts into");
    }
    for (uint32_t i = 0; i < l->to->n_layers; i++) {
        struct reading readings[MATRICES];

        readings_of(&l->to->layers[i], readings);
        for (int m = 0; m < MATRICES; m++) {
            if (readings[m].to->owned == NULL)
                continue;
            p.reading = &readings[m];
            team_for(team, readings[m].to->count, 1, read_one, &p);
        }
    }
    team_destroy(team);
    free(p.staging);
    return atomic_load(&p.status);
}

int resident_open(const struct moed_model *model, const struct moed_backend_options *options,
                  const struct moed_isa *isa, struct resident *out, struct moed_error *err)
{
    struct loader l = {.model = model, .options = options, .isa = isa, .to = out, .err = err};
    int status = MOED_OK;

    *out = (struct resident){.n_layers = model->n_layers};
    out->layers = moed_calloc(model->n_layers, sizeof *out->layers);
    if (out->layers == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %u layers", model->n_layers);
    for (uint32_t i = 0; i < model->n_layers && status == 0; i++)
        status = lay_out_layer(&l, &model->layers[i], &out->layers[i]);
    if (status == 0) /* nothing has been touched of what has its place now */
        status = fit_check(model, options, options->map ? 0 : out->bytes, err);
    if (status == 0)
        status = read_all(&l);
    findings_end(&l.findings);
    if (status != 0)
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
    for (uint32_t i = 0; resident->layers != NULL && i < resident->n_layers; i++) {
        struct resident_layer *layer = &resident->layers[i];
        float *small[] = {layer->router_bias, layer->select_bias, layer->shared_gate,
                          layer->latent_norm, layer->norm,        layer->norm_bias,
                          layer->post_norm};
        struct matrix *large[] = {&layer->router,      &layer->routed.gate, &layer->routed.up,
                                  &layer->routed.down, &layer->shared.gate, &layer->shared.up,
                                  &layer->shared.down, &layer->chunks.gate, &layer->chunks.up,
                                  &layer->chunks.down, &layer->latent_down, &layer->latent_up};

        for (size_t j = 0; j < MOED_ARRAY_LEN(small); j++)
            free(small[j]);
        for (size_t j = 0; j < MOED_ARRAY_LEN(large); j++)
            if (large[j]->owned != NULL)
                munmap(large[j]->owned, large[j]->owned_bytes);
        release_bank(&layer->routed);
        release_bank(&layer->shared);
        release_bank(&layer->chunks);
    }
    free(resident->layers);
    *resident = (struct resident){0};
}

static uint32_t place_of(const struct moed_experts *spec, uint32_t e)
{
    return spec->place != NULL ? (uint32_t)spec->place[e] : e;
}

struct planned resident_planned(const struct resident_layer *layer, uint32_t e)
{
    const struct moed_layer *spec = layer->spec;

    if (e < spec->experts)
        return (struct planned){&layer->routed, place_of(&spec->routed, e), true};
    if (e == spec->experts)
        return (struct planned){&layer->shared, 0, false};
    return (struct planned){&layer->chunks, place_of(&spec->chunks, e - spec->experts - 1), false};
}

uint32_t resident_planned_count(const struct resident_layer *layer)
{
    const struct moed_layer *spec = layer->spec;

    return spec->experts + 1 + (spec->chunk_size > 0 ? spec->experts / spec->chunk_size : 0);
}

uint64_t resident_expert_bytes(const struct resident_layer *layer, uint32_t e)
{
    const struct bank *b = resident_planned(layer, e).bank;

    return (uint64_t)b->gate.rows * b->gate.row_bytes + (uint64_t)b->up.rows * b->up.row_bytes +
           (uint64_t)b->down.rows * b->down.row_bytes;
}
