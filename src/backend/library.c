/* library: <moed/moed.h>, a model and its backend behind one handle. */
#include "sized.h"

#include "src/backend/backend.h"
#include "src/moe/moe.h"
#include <moed/moed.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/dtype.h"

struct moed {
    struct moed_model *model;
    struct moed_backend *backend;
    struct moed_workspace *workspace;
    uint8_t *flags, *not_finite; /* [max_rows] */
    int32_t *ids;                /* [entries], where the caller wants no routing */
    float *weights;
    float *unused; /* [max_rows, H of the widest layer]: output where none is wanted; NULL so far */
    uint32_t max_rows;
    pid_t process; /* that opened it */
};

static const struct sized options_size = SIZED(moed_options, map);
static const struct sized info_size = SIZED(moed_layer_info, bytes);
static const struct sized routing_size = SIZED(moed_routing, logits);
static const struct sized timing_size = SIZED(moed_timing, steps);
static const struct sized call_size = SIZED(moed_call, timing);

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

static int load(struct moed *m, const char *path, const struct moed_options *o,
                struct moed_error *err)
{
    const struct moed_backend_options backend = {
        .name = o->backend,
        .isa = o->isa,
        .threads = o->threads,
        .max_rows = o->max_rows,
        .f32_rows = o->f32_rows != 0,
        .map = o->map != 0,
    };
    const struct moed_model_options model = {.layers = o->layers, .arch_file = o->arch_file};
    int rc = moed_model_open(path, &model, &m->model, err);

    if (rc == 0)
        rc = moed_backend_open(m->model, &backend, &m->backend, err);
    if (rc == 0)
        rc = moed_workspace_create(m->backend, &m->workspace, err);
    return rc == 0 ? make_buffers(m, err) : rc;
}

int moed_open(const char *path, const struct moed_options *options, struct moed **out,
              struct moed_error *err)
{
    struct moed_options o = {0};
    struct moed *m;
    int rc = options != NULL ? sized_read(&options_size, options, &o, err) : 0;

    if (rc != 0)
        return rc;
    m = calloc(1, sizeof *m);
    if (m == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a model");
    m->process = getpid();
    rc = load(m, path, &o, err);
    if (rc == 0)
        *out = m;
    else
        moed_close(m);
    return rc;
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
    free(m->unused);
    free(m);
}

size_t moed_layer_count(const struct moed *m)
{
    return m->model->n_layers;
}

int moed_layer_at(const struct moed *m, size_t i, struct moed_layer_info *out)
{
    struct moed_layer_info info;
    const struct moed_layer *l;

    if (i >= m->model->n_layers)
        return MOED_E_NOT_FOUND;
    l = &m->model->layers[i];
    info = (struct moed_layer_info){.layer = l->index,
                                    .hidden = l->hidden,
                                    .experts = l->experts,
                                    .used = l->used,
                                    .width = l->routed.width,
                                    .bytes = l->bytes};
    return sized_write(&info_size, &info, out, NULL);
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
    struct moed_timing *timing; /* adds up over the call's cuts */
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
    const bool route_only = c->call->output == NULL;
    const uint64_t begin = moed_now_ns();
    struct moed_batch_rows batch = {
        .rows = (uint32_t)c->rows,
        .slots = slots,
        .hidden = c->call->hidden + c->first * c->layer->hidden,
        .output = route_only ? m->unused : c->call->output + c->first * c->layer->hidden,
        .ids = m->ids,
        .weights = m->weights,
        .flags = m->flags,
        .not_finite = m->not_finite,
    };
    int rc;

    memset(m->flags, supplied ? MOED_ROW_SUPPLIED : route_only ? MOED_ROW_ROUTE_ONLY : 0, c->rows);
    if (supplied)
        load_routing(m, c, slots);
    else if (routing != NULL && routing->logits != NULL)
        batch.logits = routing->logits + c->first * c->layer->experts;
    rc = moed_forward(m->workspace, c->layer->index, &batch, err);
    c->timing->compute_ns += moed_now_ns() - begin;
    c->timing->device_ns += (uint64_t)(moed_workspace_device_seconds(m->workspace) * 1e9);
    c->timing->weight_bytes += batch.weight_bytes;
    c->timing->steps++;
    for (size_t t = 0; rc == 0 && t < c->rows; t++)
        if (m->not_finite[t])
            return moed_fail(err, MOED_E_NOT_FINITE, "row %zu: a router logit is not finite",
                             c->first + t);
    if (rc == 0 && !route_only)
        rc = check_output(&batch, c, err);
    if (rc == 0 && routing != NULL && !supplied) {
        memcpy(routing->ids + c->first * used, m->ids, c->rows * used * sizeof *m->ids);
        memcpy(routing->weights + c->first * used, m->weights, c->rows * used * sizeof *m->weights);
    }
    return rc;
}

/* Whether the call makes sense for the layer. */
static int check_call(const struct moed_call *call, const struct moed_layer *layer,
                      struct moed_error *err)
{
    const struct moed_routing *routing = call->routing;

    if (layer == NULL)
        return moed_fail(err, MOED_E_NOT_SERVED, "layer %u is not loaded", call->layer);
    if (call->output == NULL && (routing == NULL || routing->supplied))
        return moed_fail(err, MOED_E_USAGE,
                         "neither an output nor a routing to write: nothing would be computed");
    if (routing != NULL && routing->supplied)
        return check_supplied(layer, routing, call->rows, err);
    if (layer->router.refuses_routing != NULL)
        return moed_fail(err, MOED_E_UNPROCESSABLE, "layer %u needs a supplied routing: %s",
                         call->layer, layer->router.refuses_routing);
    if (routing != NULL && routing->slots != layer->used)
        return moed_fail(err, MOED_E_SHAPE, "routing has %u slots, layer %u chooses %u experts",
                         routing->slots, call->layer, layer->used);
    return 0;
}

/* Whether to go on before a step. */
static int check_patience(const struct moed_call *call, size_t done, struct moed_error *err)
{
    if (call->cancelled != NULL && call->cancelled(call->cancelled_context) != 0)
        return moed_fail(err, MOED_E_CANCELLED, "cancelled after %zu of %zu rows", done,
                         call->rows);
    if (call->deadline_ns != 0 && moed_now_ns() >= call->deadline_ns)
        return moed_fail(err, MOED_E_DEADLINE, "the deadline passed after %zu of %zu rows", done,
                         call->rows);
    return 0;
}

/* Room for what the backend may write where no output is wanted. */
static int make_unused(struct moed *m, struct moed_error *err)
{
    uint64_t hidden = 0;

    for (uint32_t i = 0; i < m->model->n_layers; i++)
        hidden = m->model->layers[i].hidden > hidden ? m->model->layers[i].hidden : hidden;
    if (m->unused == NULL)
        m->unused = moed_calloc(m->max_rows * hidden, sizeof *m->unused);
    return m->unused != NULL
               ? 0
               : moed_fail(err, MOED_E_NO_MEMORY, "no memory for %u rows", m->max_rows);
}

/* The call, cut into steps. */
static int run_all(struct moed *m, const struct moed_call *call, struct moed_timing *timing,
                   struct moed_error *err)
{
    const struct moed_layer *layer = moed_model_layer(m->model, call->layer);
    const struct moed_routing *routing = call->routing;
    size_t step = m->max_rows;
    int rc = check_call(call, layer, err);

    if (rc == 0 && call->output == NULL)
        rc = make_unused(m, err);
    if (rc == 0 && routing != NULL && routing->slots > layer->used) {
        step = (size_t)m->max_rows * layer->used / routing->slots;
        step = step > 0 ? step : 1;
    }
    for (size_t t = 0; rc == 0 && t < call->rows; t += step) {
        const struct cut cut = {
            .call = call,
            .layer = layer,
            .first = t,
            .rows = call->rows - t < step ? call->rows - t : step,
            .timing = timing,
        };

        rc = check_patience(call, t, err);
        if (rc == 0)
            rc = run_cut(m, &cut, err);
    }
    return rc;
}

int moed_run(struct moed *m, const struct moed_call *call, struct moed_error *err)
{
    const uint64_t begin = moed_now_ns();
    struct moed_timing timing = {0};
    struct moed_routing routing;
    struct moed_call ours;
    int rc = sized_read(&call_size, call, &ours, err);

    if (rc != 0)
        return rc;
    if (m->process != getpid())
        return moed_fail(err, MOED_E_USAGE,
                         "process %d opened this model, and %d is its child by fork(): a child "
                         "opens its own",
                         (int)m->process, (int)getpid());
    if (ours.routing != NULL) {
        rc = sized_read(&routing_size, ours.routing, &routing, err);
        ours.routing = &routing;
    }
    if (rc == 0)
        rc = run_all(m, &ours, &timing, err);
    timing.total_ns = moed_now_ns() - begin;
    if (rc == 0 && ours.timing != NULL)
        rc = sized_write(&timing_size, &timing, ours.timing, err);
    return rc;
}
