/* library: <moed/moed.h>, a model and its backend behind one handle. */
#include "src/backend/backend.h"
#include "src/moe/moe.h"
#include <moed/moed.h>

#include <stdlib.h>
#include <string.h>

#include "kernels/dtype.h"

struct moed {
    struct moed_model *model;
    struct moed_backend *backend;
    struct moed_workspace *workspace;
    uint8_t *flags, *not_finite; /* [max_rows] */
    int32_t *ids;                /* [entries], where the caller wants no routing */
    float *weights;
    uint32_t max_rows;
};

const char *moed_version(void)
{
    return MOED_VERSION;
}

static int make_buffers(struct moed *m, struct moed_error *err)
{
    uint64_t entries = 0;

    m->max_rows = moed_backend_max_rows(m->backend);
    for (uint32_t i = 0; i < m->model->n_layers; i++) {
        const struct moed_layer *l = &m->model->layers[i];
        const uint64_t n = (uint64_t)m->max_rows * l->used;

        entries = n > entries ? n : entries;
        entries = l->experts > entries ? l->experts : entries;
    }
    m->flags = moed_calloc(m->max_rows, 1);
    m->not_finite = moed_calloc(m->max_rows, 1);
    m->ids = moed_calloc(entries, sizeof *m->ids);
    m->weights = moed_calloc(entries, sizeof *m->weights);
    if (m->flags != NULL && m->not_finite != NULL && m->ids != NULL && m->weights != NULL)
        return 0;
    return moed_fail(err, MOED_E_NO_MEMORY, "no memory for buffers of %u rows", m->max_rows);
}

int moed_open(const char *path, const struct moed_options *options, struct moed **out,
              struct moed_error *err)
{
    const struct moed_options o = options != NULL ? *options : (struct moed_options){0};
    const struct moed_backend_options backend = {
        .name = o.backend,
        .isa = o.isa,
        .threads = o.threads,
        .max_rows = o.max_rows,
        .f32_rows = o.f32_rows != 0,
        .map = o.map != 0,
    };
    const struct moed_model_options model = {.layers = o.layers, .arch_file = o.arch_file};
    struct moed *m = calloc(1, sizeof *m);
    int status;

    if (m == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a model");
    status = moed_model_open(path, &model, &m->model, err);
    if (status == 0)
        status = moed_backend_open(m->model, &backend, &m->backend, err);
    if (status == 0)
        status = moed_workspace_create(m->backend, &m->workspace, err);
    if (status == 0)
        status = make_buffers(m, err);
    if (status == 0)
        *out = m;
    else
        moed_close(m);
    return status;
}

void moed_close(struct moed *m)
{
    if (m == NULL)
        return;
    moed_workspace_destroy(m->workspace);
    moed_backend_close(m->backend);
    moed_model_close(m->model);
    free(m->flags);
    free(m->not_finite);
    free(m->ids);
    free(m->weights);
    free(m);
}

size_t moed_layer_count(const struct moed *m)
{
    return m->model->n_layers;
}

int moed_layer_at(const struct moed *m, size_t i, struct moed_layer_info *out)
{
    if (i >= m->model->n_layers)
        return MOED_E_NOT_FOUND;

    const struct moed_layer *l = &m->model->layers[i];

    *out = (struct moed_layer_info){.layer = l->index,
                                    .hidden = l->hidden,
                                    .experts = l->experts,
                                    .used = l->used,
                                    .width = l->routed.width,
                                    .bytes = l->bytes};
    return 0;
}

static int check_supplied(const struct moed_layer *layer, const struct moed_routing *routing,
                          size_t rows, struct moed_error *err)
{
    const struct moed_supplied supplied = {.experts = layer->experts,
                                           .slots = routing->slots,
                                           .rows = rows,
                                           .ids = routing->ids,
                                           .weights = routing->weights};

    if (routing->slots == 0 || routing->slots > layer->experts)
        return moed_fail(err, MOED_E_UNPROCESSABLE, "routing has %u slots, layer %u takes 1 to %u",
                         routing->slots, layer->index, layer->experts);
    return moed_check_routing(&supplied, err);
}

/* The part of a call that one forward takes. */
struct cut {
    const struct moed_call *call;
    const struct moed_layer *layer;
    size_t first, rows;
};

/* The backend wants at least K columns; a supplied routing with fewer is widened by skips. */
static void load_routing(struct moed *m, const struct cut *c, uint32_t slots)
{
    const struct moed_routing *r = c->call->routing;

    for (size_t t = 0; t < c->rows; t++)
        for (uint32_t s = 0; s < slots; s++) {
            const size_t from = (c->first + t) * r->slots + s;

            m->ids[t * slots + s] = s < r->slots ? r->ids[from] : -1;
            m->weights[t * slots + s] = s < r->slots ? r->weights[from] : 0.0F;
        }
}

static int check_output(const struct moed_batch_rows *batch, const struct cut *c,
                        struct moed_error *err)
{
    const size_t hidden = c->layer->hidden;

    for (size_t t = 0; t < c->rows; t++)
        if (!moed_dtype_is_finite(MOED_F32, batch->output + t * hidden, hidden))
            return moed_fail(err, MOED_E_NOT_FINITE,
                             "row %zu: its output is not finite: its numbers are too large, or "
                             "weights of its experts are NaN or infinite",
                             c->first + t);
    return 0;
}

static int run_cut(struct moed *m, const struct cut *c, struct moed_error *err)
{
    struct moed_routing *routing = c->call->routing;
    const uint32_t used = c->layer->used;
    const bool supplied = routing != NULL && routing->supplied;
    const uint32_t slots = supplied && routing->slots > used ? routing->slots : used;
    struct moed_batch_rows batch = {
        .rows = (uint32_t)c->rows,
        .slots = slots,
        .hidden = c->call->hidden + c->first * c->layer->hidden,
        .output = c->call->output + c->first * c->layer->hidden,
        .ids = m->ids,
        .weights = m->weights,
        .flags = m->flags,
        .not_finite = m->not_finite,
    };
    int status;

    memset(m->flags, supplied ? MOED_ROW_SUPPLIED : 0, c->rows);
    if (supplied)
        load_routing(m, c, slots);
    else if (routing != NULL && routing->logits != NULL)
        batch.logits = routing->logits + c->first * c->layer->experts;
    status = moed_forward(m->workspace, c->layer->index, &batch, err);
    for (size_t t = 0; status == 0 && t < c->rows; t++)
        if (m->not_finite[t])
            return moed_fail(err, MOED_E_NOT_FINITE, "row %zu: a router logit is not finite",
                             c->first + t);
    if (status == 0)
        status = check_output(&batch, c, err);
    if (status == 0 && routing != NULL && !supplied) {
        memcpy(routing->ids + c->first * used, m->ids, c->rows * used * sizeof *m->ids);
        memcpy(routing->weights + c->first * used, m->weights, c->rows * used * sizeof *m->weights);
    }
    return status;
}

int moed_run(struct moed *m, const struct moed_call *call, struct moed_error *err)
{
    const struct moed_layer *layer = moed_model_layer(m->model, call->layer);
    const struct moed_routing *routing = call->routing;
    size_t step = m->max_rows;
    int status = MOED_OK;

    if (layer == NULL)
        return moed_fail(err, MOED_E_NOT_SERVED, "layer %u is not loaded", call->layer);
    if (routing != NULL && routing->supplied)
        status = check_supplied(layer, routing, call->rows, err);
    else if (layer->router.refuses_routing != NULL)
        status = moed_fail(err, MOED_E_UNPROCESSABLE, "layer %u needs a supplied routing: %s",
                           call->layer, layer->router.refuses_routing);
    else if (routing != NULL && routing->slots != layer->used)
        status = moed_fail(err, MOED_E_SHAPE, "routing has %u slots, layer %u chooses %u experts",
                           routing->slots, call->layer, layer->used);
    if (status == 0 && routing != NULL && routing->slots > layer->used) {
        step = (size_t)m->max_rows * layer->used / routing->slots;
        step = step > 0 ? step : 1;
    }
    for (size_t t = 0; t < call->rows && status == 0; t += step) {
        const struct cut cut = {
            .call = call,
            .layer = layer,
            .first = t,
            .rows = call->rows - t < step ? call->rows - t : step,
        };

        status = run_cut(m, &cut, err);
    }
    return status;
}
