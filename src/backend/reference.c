/* reference: the oracle. Float64, one thread, one row at a time, in the order of the formulas of
 * src/model/rule.h and <kernels/activation.h>; nothing clever. Only the choice of experts is shared
 * with the other backends (src/moe), on logits that are rounded to f32. */
#include "resident.h"
#include "vtable.h"

#include "src/moe/moe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reference {
    struct moed_backend base;
    struct resident resident;
};

struct reference_workspace {
    struct moed_workspace base;
    float *decoded;             /* one weight row */
    float *logits, *scratch;    /* [E], [2E] */
    double *x, *latent;         /* the row after its norm; what the routed experts read */
    double *gate, *up, *expert; /* one expert's products and its output */
    double *routed, *sum;       /* sums over experts */
    uint8_t *seen;
};

/* One row's walk through the block. */
struct walk {
    struct reference_workspace *ws;
    const struct resident_layer *layer;
    const double *input; /* what an expert reads */
};

/* out[r] = matrix row r of one expert · x */
static void multiply(const struct walk *w, const struct matrix *m, uint32_t expert, const double *x,
                     double *out)
{
    for (uint32_t r = 0; r < m->rows; r++) {
        double sum = 0.0;

        m->format->decode(matrix_expert(m, expert) + r * m->row_bytes, w->ws->decoded, m->cols);
        for (uint32_t c = 0; c < m->cols; c++)
            sum += (double)w->ws->decoded[c] * x[c];
        out[r] = sum;
    }
}

/* product · the expert's scale + the expert's bias */
static void scale_and_bias(double *product, const struct matrix *m, uint32_t expert,
                           const float *scale, const float *bias)
{
    for (uint32_t r = 0; r < m->rows; r++) {
        product[r] *= scale != NULL ? scale[expert] : 1.0;
        product[r] += bias != NULL ? bias[(size_t)expert * m->rows + r] : 0.0;
    }
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double gelu(double x)
{
    return 0.5 * x * (1.0 + tanh(sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double gated(enum moed_activation activation, double g)
{
    if (activation == MOED_ACT_GELU)
        return gelu(g);
    if (activation == MOED_ACT_RELU)
        return fmax(g, 0.0);
    return g * sigmoid(g);
}

static double activate(const struct moed_expert_rule *rule, double g, double u)
{
    const double limit = rule->clamp_limit;

    switch (rule->activation) {
    case MOED_ACT_RELU_SQ:
        return fmax(u, 0.0) * fmax(u, 0.0);
    case MOED_ACT_GELU_UNGATED:
        return gelu(u);
    case MOED_ACT_SWIGLU_OAI:
        g = fmin(g, rule->limit);
        u = fmax(fmin(u, rule->limit), -rule->limit);
        return g * sigmoid(rule->alpha * g) * (u + 1.0);
    case MOED_ACT_SITU:
        if (rule->lambda > 0.0F)
            u = rule->lambda * tanh(u / rule->lambda);
        return rule->beta * tanh(g / rule->beta) * sigmoid(g) * u;
    default:
        break;
    }
    if (rule->clamp == MOED_CLAMP_NONE)
        return gated(rule->activation, g) * u;
    u = fmax(fmin(u, limit), -limit);
    if (rule->clamp == MOED_CLAMP_PRE)
        return gated(rule->activation, fmin(g, limit)) * u;
    return fmin(gated(rule->activation, g), limit) * u;
}

/* sum += weight · expert(scale_in · input) */
static void add_expert(const struct walk *w, const struct bank *b, uint32_t expert, double scale_in,
                       double weight, double *sum)
{
    struct reference_workspace *ws = w->ws;

    multiply(w, &b->up, expert, w->input, ws->up);
    for (uint32_t r = 0; r < b->up.rows; r++)
        ws->up[r] *= scale_in;
    scale_and_bias(ws->up, &b->up, expert, b->up_scale, b->up_bias);
    if (b->gate.data != NULL) {
        multiply(w, &b->gate, expert, w->input, ws->gate);
        for (uint32_t r = 0; r < b->gate.rows; r++)
            ws->gate[r] *= scale_in;
        scale_and_bias(ws->gate, &b->gate, expert, b->gate_scale, b->gate_bias);
    }
    for (uint32_t r = 0; r < b->up.rows; r++)
        ws->up[r] = activate(&b->spec->rule, b->gate.data != NULL ? ws->gate[r] : 0.0, ws->up[r]);
    multiply(w, &b->down, expert, ws->up, ws->expert);
    scale_and_bias(ws->expert, &b->down, expert, b->down_scale, b->down_bias);
    for (uint32_t r = 0; r < b->down.rows; r++)
        sum[r] += weight * ws->expert[r];
}

static void norm(enum moed_norm kind, const float *weight, const float *bias, double eps, double *x,
                 uint32_t n)
{
    double mean = 0.0;
    double squares = 0.0;

    if (kind == MOED_NORM_NONE)
        return;
    for (uint32_t i = 0; kind == MOED_NORM_LAYER && i < n; i++)
        mean += x[i] / n;
    for (uint32_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean) / n;
    for (uint32_t i = 0; i < n; i++)
        x[i] = (x[i] - mean) / sqrt(squares + eps) * weight[i] + (bias != NULL ? bias[i] : 0.0);
}

/* Fills in the row's ids and weights; false if a logit is not finite. */
static bool route(const struct walk *w, const struct moed_batch_rows *batch, uint32_t t)
{
    const struct moed_layer *spec = w->layer->spec;
    const float *matrix = (const float *)(const void *)w->layer->router.data;
    const struct moed_router router = {&spec->router, w->layer->select_bias, spec->experts,
                                       spec->used};
    float *logits = w->ws->logits;
    int32_t *ids = batch->ids + (size_t)t * batch->slots;
    float *weights = batch->weights + (size_t)t * batch->slots;
    uint32_t used = spec->used;

    for (uint32_t e = 0; e < spec->experts; e++) {
        double sum = w->layer->router_bias != NULL ? w->layer->router_bias[e] : 0.0;

        for (uint32_t c = 0; c < spec->hidden; c++)
            sum += (double)matrix[(size_t)e * spec->hidden + c] * w->ws->x[c];
        logits[e] = (float)sum;
    }
    if (batch->logits != NULL)
        memcpy(batch->logits + (size_t)t * spec->experts, logits, spec->experts * sizeof *logits);
    if (moed_route(&router, logits, w->ws->scratch, ids, weights) != 0)
        used = 0;
    for (uint32_t s = used; s < batch->slots; s++) {
        ids[s] = -1;
        weights[s] = 0.0F;
    }
    return used > 0;
}

static void add_routed(struct walk *w, const struct moed_batch_rows *batch, uint32_t t)
{
    const struct moed_layer *spec = w->layer->spec;
    const bool latent = w->layer->latent_down.data != NULL;
    double *sum = latent ? w->ws->routed : w->ws->sum;

    w->input = w->ws->x;
    if (latent) {
        multiply(w, &w->layer->latent_down, 0, w->ws->x, w->ws->latent);
        w->input = w->ws->latent;
        memset(sum, 0, spec->latent * sizeof *sum);
    }
    for (uint32_t s = 0; s < batch->slots; s++) {
        const int32_t id = batch->ids[(size_t)t * batch->slots + s];
        const double weight = batch->weights[(size_t)t * batch->slots + s];
        const bool on_input = spec->router.weight_on_input;

        if (id < 0 || !moed_layer_holds(spec, (uint32_t)id))
            continue;
        w->ws->seen[id] = 1;
        add_expert(w, &w->layer->routed, resident_planned(w->layer, (uint32_t)id).expert,
                   on_input ? weight : 1.0, on_input ? 1.0 : weight, sum);
    }
    if (!latent)
        return;
    if (w->layer->latent_norm != NULL)
        norm(MOED_NORM_RMS, w->layer->latent_norm, NULL, spec->block.norm_eps, sum, spec->latent);
    multiply(w, &w->layer->latent_up, 0, sum, w->ws->sum);
}

static void add_shared(struct walk *w)
{
    const struct moed_layer *spec = w->layer->spec;
    double weight = 1.0;

    if (w->layer->shared_gate != NULL) {
        double gate = 0.0;

        for (uint32_t c = 0; c < spec->hidden; c++)
            gate += (double)w->layer->shared_gate[c] * w->ws->x[c];
        weight = sigmoid(gate);
    }
    w->input = w->ws->x;
    w->ws->seen[spec->experts] = 1;
    add_expert(w, &w->layer->shared, 0, 1.0, weight, w->ws->sum);
}

/* A second bank beside the first: each chosen expert brings its chunk, with its own weight. */
static void add_chunks(struct walk *w, const struct moed_batch_rows *batch, uint32_t t)
{
    const struct moed_layer *spec = w->layer->spec;

    w->input = w->ws->x;
    for (uint32_t s = 0; s < batch->slots; s++) {
        const int32_t id = batch->ids[(size_t)t * batch->slots + s];
        const double weight = batch->weights[(size_t)t * batch->slots + s];
        uint32_t chunk;

        if (id < 0 || !moed_layer_holds(spec, (uint32_t)id))
            continue;
        chunk = spec->experts + 1 + (uint32_t)id / spec->chunk_size;
        w->ws->seen[chunk] = 1;
        add_expert(w, &w->layer->chunks, resident_planned(w->layer, chunk).expert, 1.0,
                   weight * spec->chunk_scale, w->ws->sum);
    }
}

static void finish(const struct walk *w, const float *hidden, uint8_t flags, float *out)
{
    const bool residual = (flags & MOED_ROW_RESIDUAL) != 0;
    const double add_by = flags & MOED_ROW_PART ? 0.0 : 1.0;
    const struct moed_layer *spec = w->layer->spec;
    const struct moed_block_rule *rule = &spec->block;
    double *sum = w->ws->sum;

    for (uint32_t i = 0; i < spec->hidden; i++)
        sum[i] *= rule->ffn_scale;
    if (residual && w->layer->post_norm != NULL)
        norm(MOED_NORM_RMS, w->layer->post_norm, NULL, rule->norm_eps, sum, spec->hidden);
    for (uint32_t i = 0; residual && i < spec->hidden; i++)
        sum[i] = rule->residual == MOED_RESIDUAL_NORMED
                     ? sum[i] + add_by * rule->residual_scale * w->ws->x[i]
                     : add_by * hidden[i] + rule->residual_scale * sum[i];
    for (uint32_t i = 0; i < spec->hidden; i++)
        out[i] = (float)sum[i];
}

static void forward_row(struct walk *w, struct moed_batch_rows *batch, uint32_t t)
{
    const struct moed_layer *spec = w->layer->spec;
    const uint8_t flags = batch->flags != NULL ? batch->flags[t] : 0;
    const float *hidden = batch->hidden + (size_t)t * spec->hidden;
    float *out = batch->output + (size_t)t * spec->hidden;

    for (uint32_t i = 0; i < spec->hidden; i++)
        w->ws->x[i] = hidden[i];
    if (flags & MOED_ROW_NORM)
        norm(spec->block.norm, w->layer->norm, w->layer->norm_bias, spec->block.norm_eps, w->ws->x,
             spec->hidden);
    memset(w->ws->sum, 0, spec->hidden * sizeof *w->ws->sum);
    batch->not_finite[t] = !(flags & MOED_ROW_SUPPLIED) && !route(w, batch, t);
    if (batch->not_finite[t]) {
        memset(out, 0, spec->hidden * sizeof *out);
        return;
    }
    if (flags & MOED_ROW_ROUTE_ONLY)
        return;
    if (!(flags & MOED_ROW_ONLY_SHARED))
        add_routed(w, batch, t);
    if (spec->chunk_size > 0 && !(flags & MOED_ROW_ONLY_SHARED))
        add_chunks(w, batch, t);
    if (w->layer->shared.up.data != NULL && !(flags & MOED_ROW_NO_SHARED))
        add_shared(w);
    finish(w, hidden, flags, out);
}

static int reference_forward(struct moed_workspace *workspace, uint32_t layer_at,
                             struct moed_batch_rows *batch, struct moed_error *err)
{
    struct reference *reference = (struct reference *)workspace->backend;
    struct walk w = {
        .ws = (struct reference_workspace *)workspace,
        .layer = &reference->resident.layers[layer_at],
    };
    const uint32_t planned = resident_planned_count(w.layer);

    (void)err;
    memset(w.ws->seen, 0, planned);
    for (uint32_t t = 0; t < batch->rows; t++)
        forward_row(&w, batch, t);
    batch->weight_bytes = (uint64_t)w.layer->spec->experts * w.layer->spec->hidden * sizeof(float);
    for (uint32_t e = 0; e < planned; e++) {
        batch->active_experts += w.ws->seen[e];
        if (w.ws->seen[e])
            batch->weight_bytes += resident_expert_bytes(w.layer, e);
    }
    return 0;
}

/* ---- life ---- */

static void reference_close(struct moed_backend *backend)
{
    struct reference *reference = (struct reference *)backend;

    resident_close(&reference->resident);
    free(reference);
}

static int reference_open(const struct moed_model *model,
                          const struct moed_backend_options *options, struct moed_backend **out,
                          struct moed_error *err)
{
    struct reference *reference = calloc(1, sizeof *reference);
    int status;

    if (reference == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the backend");
    status = resident_open(model, options, NULL, &reference->resident, err);
    if (status != 0) {
        free(reference);
        return status;
    }
    reference->base.isa = "float64";
    reference->base.f32_rows = true;
    reference->base.activations = "f32";
    reference->base.threads = 1;
    reference->base.bytes = reference->resident.bytes;
    *out = &reference->base;
    return 0;
}

static void reference_workspace_destroy(struct moed_workspace *workspace)
{
    struct reference_workspace *ws = (struct reference_workspace *)workspace;
    void *all[] = {ws->decoded, ws->logits, ws->scratch, ws->x,   ws->latent, ws->gate,
                   ws->up,      ws->expert, ws->routed,  ws->sum, ws->seen};

    for (size_t i = 0; i < MOED_ARRAY_LEN(all); i++)
        free(all[i]);
    free(ws);
}

static int reference_workspace_create(struct moed_backend *backend, struct moed_workspace **out,
                                      struct moed_error *err)
{
    struct reference_workspace *ws = calloc(1, sizeof *ws);
    uint64_t n = 0; /* as long as any vector of any layer */
    uint64_t experts = 0;

    if (ws == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a workspace");
    ws->base.backend = backend;
    for (uint32_t i = 0; i < backend->model->n_layers; i++) {
        const struct moed_layer *l = &backend->model->layers[i];
        const uint64_t sizes[] = {l->hidden, l->routed.width, l->shared.width, l->chunks.width,
                                  l->latent};

        for (size_t s = 0; s < MOED_ARRAY_LEN(sizes); s++)
            n = sizes[s] > n ? sizes[s] : n;
        experts = l->experts > experts ? l->experts : experts;
    }
    double **vectors[] = {&ws->x,      &ws->latent, &ws->gate, &ws->up,
                          &ws->expert, &ws->routed, &ws->sum};
    bool ok = true;

    for (size_t i = 0; i < MOED_ARRAY_LEN(vectors); i++) {
        *vectors[i] = moed_calloc(n, sizeof(double));
        ok = ok && *vectors[i] != NULL;
    }
    ws->decoded = moed_calloc(n, sizeof(float));
    ws->logits = moed_calloc(experts, sizeof(float));
    ws->scratch = moed_calloc(2 * experts, sizeof(float));
    ws->seen = moed_calloc(2 * experts + 1, 1); /* at most a chunk an expert */
    if (!ok || ws->decoded == NULL || ws->logits == NULL || ws->scratch == NULL ||
        ws->seen == NULL) {
        reference_workspace_destroy(&ws->base);
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a workspace");
    }
    *out = &ws->base;
    return 0;
}

const struct moed_backend_ops moed_backend_reference = {
    .name = "reference",
    .open = reference_open,
    .close = reference_close,
    .workspace_create = reference_workspace_create,
    .workspace_destroy = reference_workspace_destroy,
    .forward = reference_forward,
};
