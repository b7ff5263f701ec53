/* cuda_pass: a layer's launches, in their order. */
#include "pass.h"

static cudaError_t normalise(const struct cuda_pass *p)
{
    const struct moed_layer *s = p->layer->spec;
    const struct moed_cuda_normed n = {
        .batch = p->b->batch,
        .grid_rows = p->grid_rows,
        .cols = s->hidden,
        .kind = s->block.norm == MOED_NORM_LAYER ? MOED_CUDA_LAYER_NORM : MOED_CUDA_RMS,
        .eps = s->block.norm_eps,
        .weight = p->layer->norm,
        .bias = p->layer->norm_bias,
        .flags = p->b->flags,
        .flag = s->block.norm == MOED_NORM_NONE ? 0 : MOED_CUDA_NORM,
        .from = p->b->hidden,
        .to = p->b->x,
    };

    return p->normed ? moed_cuda_normalise(&n, p->b->stream) : cudaSuccess;
}

static struct moed_cuda_cast complete(const struct cuda_pass *p, struct moed_cuda_cast h)
{
    h.batch = p->b->batch;
    h.grid_rows = p->grid_rows;
    h.lane_order = p->way == MOED_CUDA_SMALL_M;
    return h;
}

static struct moed_cuda_cast cast_of_x(const struct cuda_pass *p)
{
    return complete(p, (struct moed_cuda_cast){
                           .cols = p->layer->spec->hidden,
                           .from = rows_of(p),
                           .half = p->b->x_half,
                           .factor = p->b->x_factor,
                           .size = p->b->x_size,
                       });
}

static cudaError_t cast(const struct cuda_pass *p, const struct moed_cuda_cast *h)
{
    return is_exact(p) ? cudaSuccess : moed_cuda_cast_rows(h, p->b->stream);
}

static struct moed_cuda_router router_of(const struct cuda_pass *p)
{
    const struct cuda_layer *l = p->layer;
    const struct cuda_meta meta = meta_of(p);

    return (struct moed_cuda_router){
        .batch = p->b->batch,
        .grid_rows = p->grid_rows,
        .hidden = l->spec->hidden,
        .experts = l->spec->experts,
        .used = l->spec->used,
        .rule = l->spec->router,
        .weight = l->router_weight,
        .bias = l->router_bias,
        .select_bias = l->select_bias,
        .shared_gate = l->shared_gate,
        .has_shared = l->banks[1].up.format != NULL,
        .x = rows_of(p),
        .flags = p->b->flags,
        .most_rows = (uint32_t)p->extent->rows,
        .parts = p->b->logit_parts,
        .logits = p->b->logits,
        .ids = (int32_t *)(void *)(p->b->meta + meta.ids),
        .weights = (float *)(void *)(p->b->meta + meta.weights),
        .not_finite = p->b->meta + meta.not_finite,
        .shared_weight = p->b->shared_weight,
        .per_row = per_row(p),
        .chunk_size = l->spec->chunk_size,
        .place = l->place,
        .wanted = p->b->wanted,
        .pair_of = p->b->pair_of,
    };
}

static cudaError_t route(const struct cuda_pass *p)
{
    const struct moed_cuda_router r = router_of(p);
    const struct moed_cuda_cast h = cast_of_x(p);
    cudaError_t status = cudaSuccess;

    if (p->routed)
        status = moed_cuda_logits(&r, is_exact(p) ? NULL : &h, p->b->stream);
    else
        status = cast(p, &h);
    if (status == cudaSuccess)
        status = moed_cuda_topk(&r, p->b->stream);
    return status;
}

static struct moed_cuda_plan plan_of(const struct cuda_pass *p)
{
    const struct moed_layer *s = p->layer->spec;
    const struct cuda_meta meta = meta_of(p);

    return (struct moed_cuda_plan){
        .batch = p->b->batch,
        .experts = s->experts,
        .chunk_size = s->chunk_size,
        .chunks = s->chunk_size ? s->experts / s->chunk_size : 0,
        .chunk_scale = s->chunk_scale,
        .weight_on_input = s->router.weight_on_input,
        .columns = columns_of(p->way),
        .per_row = per_row(p),
        .wanted = p->b->wanted,
        .weights = (const float *)(const void *)(p->b->meta + meta.weights),
        .shared_weight = p->b->shared_weight,
        .retry = p->again ? p->b->retry : NULL,
        .place = p->layer->place,
        .chunk_place = p->layer->chunk_place,
        .size = p->b->x_size,
        .latent_size = p->layer->latent_down.format ? p->b->latent_size : NULL,
        .count = (uint32_t *)(void *)(p->b->meta + meta.count),
        .tile_end = p->b->tile_end,
        .tiles = p->b->tiles,
        .pair_row = p->b->pair_row,
        .pair_weight = p->b->pair_weight,
        .pair_factor = p->b->pair_factor,
        .guard = is_exact(p) ? NULL : p->b->guard,
        .pair_of = p->b->pair_of,
        .any_retry = (uint32_t *)(void *)(p->b->meta + meta.any_retry),
    };
}

static cudaError_t plan(const struct cuda_pass *p)
{
    const struct moed_cuda_plan plan = plan_of(p);

    return moed_cuda_plan_pairs(&plan, p->b->stream);
}

/* Few rows are routed and planned in one launch. */
static bool has_front(const struct cuda_pass *p)
{
    const struct moed_cuda_router r = router_of(p);
    const struct moed_cuda_plan plan = plan_of(p);

    return p->routed && !p->again && !is_exact(p) && !p->layer->latent_down.format &&
           moed_cuda_front_suits(&r, &plan);
}

static cudaError_t front(const struct cuda_pass *p)
{
    const struct moed_cuda_router r = router_of(p);
    const struct moed_cuda_cast h = cast_of_x(p);
    const struct moed_cuda_plan plan = plan_of(p);

    return moed_cuda_front(&r, &h, &plan, p->b->arrived, p->b->stream);
}

/* ---- products ---- */

static struct moed_cuda_product product(const struct cuda_pass *p, const struct moed_cuda_matrix *m)
{
    struct moed_cuda_product product = {
        .matrix = *m,
        .way = p->way,
        .batch = p->b->batch,
        .columns = columns_of(p->way),
        .most_columns = columns_of(p->way),
        .lane_order = p->way == MOED_CUDA_SMALL_M,
        .pair_factor = p->b->pair_factor,
        .guard = p->b->guard,
    };

    if (is_exact(p))
        product.matrix.unit = 1.0F;
    return product;
}

/* Over every row of the batch, of a matrix that is not per expert. */
static cudaError_t multiply_rows(const struct cuda_pass *p, const struct moed_cuda_matrix *m,
                                 const struct moed_cuda_cast *rows, float *out)
{
    struct moed_cuda_product q = product(p, m);

    q.epilogue = MOED_CUDA_STORE;
    q.most_tiles = (p->grid_rows + q.columns - 1) / q.columns;
    q.in = is_exact(p) ? (const void *)rows->from : rows->half;
    q.in_ld = is_exact(p) ? m->cols : padded(m->cols);
    q.in_factor = is_exact(p) ? NULL : rows->factor;
    q.out = out;
    q.out_ld = m->rows;
    return m->format->multiply(&q, p->b->stream);
}

/* A product over the pairs of a bank. */
static struct moed_cuda_product over_bank(const struct cuda_pass *p, int bank,
                                          const struct moed_cuda_matrix *m)
{
    const uint64_t pairs = (uint64_t)p->grid_rows * (bank == 1 ? 1 : p->slots);
    struct moed_cuda_product q = product(p, m);
    const uint64_t most = pairs / q.columns + m->count;

    q.tiles = p->b->tiles;
    q.tile_end = p->b->tile_end;
    q.bank = bank;
    q.most_tiles = (uint32_t)(most < pairs ? most : pairs);
    if (p->grid_rows == 1 && p->routed) /* a router names no expert twice */
        q.most_columns = 1;
    return q;
}

static void read_rows(const struct cuda_pass *p, int bank, struct moed_cuda_product *q)
{
    const bool latent = bank == 0 && p->layer->latent_down.format;

    q->in_row = p->b->pair_row;
    if (is_exact(p)) {
        q->in = latent ? p->b->latent_in : rows_of(p);
        q->in_ld = q->matrix.cols;
    } else {
        q->in = latent ? p->b->latent_half : p->b->x_half;
        q->in_ld = padded(q->matrix.cols);
        q->in_factor = latent ? p->b->latent_factor : p->b->x_factor;
    }
    if (bank == 0 && p->layer->spec->router.weight_on_input)
        q->weight_in = p->b->pair_weight;
}

static struct moed_cuda_product up_product(const struct cuda_pass *p, int bank)
{
    const struct cuda_bank *b = &p->layer->banks[bank];
    const uint32_t width = b->spec->width;
    struct moed_cuda_product q = over_bank(p, bank, &b->up);

    read_rows(p, bank, &q);
    q.epilogue = MOED_CUDA_ACTIVATE;
    q.scale[b->up.interleaved] = b->up_scale;
    q.bias[b->up.interleaved] = b->up_bias;
    if (b->up.interleaved) {
        q.scale[0] = b->gate_scale;
        q.bias[0] = b->gate_bias;
    }
    q.gate = b->gate.format ? p->b->gates : NULL;
    q.rule = b->spec->rule;
    q.out = p->b->activations;
    q.out_ld = is_exact(p) ? width : padded(width);
    return q;
}

static cudaError_t gate_and_up(const struct cuda_pass *p, int bank)
{
    const struct cuda_bank *b = &p->layer->banks[bank];
    const uint32_t width = b->spec->width;
    struct moed_cuda_product q;
    cudaError_t status = cudaSuccess;

    if (b->gate.format) { /* on its own, first */
        q = over_bank(p, bank, &b->gate);
        read_rows(p, bank, &q);
        q.epilogue = MOED_CUDA_STORE;
        q.scale[0] = b->gate_scale;
        q.bias[0] = b->gate_bias;
        q.out = p->b->gates;
        q.out_ld = width;
        status = b->gate.format->multiply(&q, p->b->stream);
    }
    if (status != cudaSuccess)
        return status;
    q = up_product(p, bank);
    return b->up.format->multiply(&q, p->b->stream);
}

static struct moed_cuda_product down_product(const struct cuda_pass *p, int bank)
{
    const struct cuda_bank *b = &p->layer->banks[bank];
    struct moed_cuda_product q = over_bank(p, bank, &b->down);

    q.planned_before = true;
    q.epilogue = MOED_CUDA_STORE;
    q.in = p->b->activations;
    q.in_ld = is_exact(p) ? b->spec->width : padded(b->spec->width);
    q.in_factor = is_exact(p) ? NULL : p->b->pair_factor;
    if (!(bank == 0 && p->layer->spec->router.weight_on_input))
        q.weight_out = p->b->pair_weight;
    q.scale[0] = b->down_scale;
    q.bias[0] = b->down_bias;
    q.out = p->b->partial;
    q.out_ld = p->layer->spec->hidden;
    return q;
}

static cudaError_t down(const struct cuda_pass *p, int bank)
{
    const struct moed_cuda_product q = down_product(p, bank);

    return q.matrix.format->multiply(&q, p->b->stream);
}

static cudaError_t experts(const struct cuda_pass *p)
{
    cudaError_t status = cudaSuccess;

    for (int bank = 0; bank < 3 && status == cudaSuccess; bank++) {
        if (!p->layer->banks[bank].up.format)
            continue;
        /* Banks' activations have other widths, in the same memory: one bank after the other. */
        status = gate_and_up(p, bank);
        if (status == cudaSuccess)
            status = down(p, bank);
    }
    return status;
}

/* ---- sums ---- */

static struct moed_cuda_sum sum_of(const struct cuda_pass *p)
{
    const struct cuda_meta meta = meta_of(p);

    return (struct moed_cuda_sum){
        .batch = p->b->batch,
        .grid_rows = p->grid_rows,
        .per_row = per_row(p),
        .pair_of = p->b->pair_of,
        .partial = p->b->partial,
        .partial_ld = p->layer->spec->hidden,
        .not_finite = p->b->meta + meta.not_finite,
        .flags = p->b->flags,
        .retry = p->b->retry,
        .any_retry = (uint32_t *)(void *)(p->b->meta + meta.any_retry),
        .again = p->again,
    };
}

/* Latent experts: their sum is normed and projected back to H. */
static cudaError_t sum_latent(const struct cuda_pass *p)
{
    const struct cuda_layer *l = p->layer;
    const uint32_t cols = l->spec->latent;
    struct moed_cuda_sum s = sum_of(p);
    const struct moed_cuda_normed n = {
        .batch = p->b->batch,
        .grid_rows = p->grid_rows,
        .cols = cols,
        .eps = l->spec->block.norm_eps,
        .weight = l->latent_norm,
        .from = p->b->latent_sum,
        .to = p->b->latent_sum,
    };
    const struct moed_cuda_cast h = complete(p, (struct moed_cuda_cast){
                                                    .cols = cols,
                                                    .from = p->b->latent_sum,
                                                    .half = p->b->latent_half,
                                                    .factor = p->b->sum_factor,
                                                    .size = p->b->sum_size,
                                                });
    cudaError_t status;

    s.cols = cols;
    s.routed = true;
    s.output = p->b->latent_sum;
    status = moed_cuda_add_up(&s, p->b->stream);
    if (status == cudaSuccess && l->latent_norm)
        status = moed_cuda_normalise(&n, p->b->stream);
    if (status == cudaSuccess)
        status = cast(p, &h);
    return status == cudaSuccess ? multiply_rows(p, &l->latent_up, &h, p->b->latent_out) : status;
}

/* A row's output. */
static struct moed_cuda_sum last_sum(const struct cuda_pass *p)
{
    const struct moed_block_rule *rule = &p->layer->spec->block;
    const bool latent = p->layer->latent_up.format != NULL;
    struct moed_cuda_sum s = sum_of(p);

    s.cols = p->layer->spec->hidden;
    s.routed = !latent;
    s.others = true;
    s.base = latent ? p->b->latent_out : NULL;
    s.epilogue = true;
    s.ffn_scale = rule->ffn_scale;
    s.residual_scale = rule->residual_scale;
    s.norm_eps = rule->norm_eps;
    s.residual_of_normed = rule->residual == MOED_RESIDUAL_NORMED;
    s.post_norm = p->layer->post_norm;
    s.hidden = p->b->hidden;
    s.x = rows_of(p);
    s.guard = is_exact(p) ? NULL : p->b->guard;
    s.output = p->b->output;
    return s;
}

static cudaError_t add_up(const struct cuda_pass *p)
{
    const struct moed_cuda_sum s = last_sum(p);
    const cudaError_t status = p->layer->latent_up.format ? sum_latent(p) : cudaSuccess;

    return status == cudaSuccess ? moed_cuda_add_up(&s, p->b->stream) : status;
}

/* What latent experts read. */
static cudaError_t project_down(const struct cuda_pass *p)
{
    const struct cuda_layer *l = p->layer;
    const struct moed_cuda_cast x = cast_of_x(p);
    const struct moed_cuda_cast latent = complete(p, (struct moed_cuda_cast){
                                                         .cols = l->spec->latent,
                                                         .from = p->b->latent_in,
                                                         .half = p->b->latent_half,
                                                         .factor = p->b->latent_factor,
                                                         .size = p->b->latent_size,
                                                     });
    cudaError_t status;

    if (!l->latent_down.format)
        return cudaSuccess;
    status = multiply_rows(p, &l->latent_down, &x, p->b->latent_in);
    return status == cudaSuccess ? cast(p, &latent) : status;
}

/* Everything that comes before the products. */
static cudaError_t prepare(const struct cuda_pass *p)
{
    cudaError_t status = p->again ? cudaSuccess : normalise(p);

    if (status != cudaSuccess)
        return status;
    if (has_front(p))
        return front(p);
    if (!p->again)
        status = route(p);
    if (status == cudaSuccess)
        status = project_down(p);
    return status == cudaSuccess ? plan(p) : status;
}

/* ---- all of it in one launch ---- */

static struct moed_cuda_layer layer_of(const struct cuda_pass *p)
{
    return (struct moed_cuda_layer){
        .router = router_of(p),
        .cast = cast_of_x(p),
        .plan = plan_of(p),
        .up = up_product(p, 0),
        .down = down_product(p, 0),
        .sum = last_sum(p),
        .meeting = p->b->meeting,
    };
}

/* Whether the layer has what such a launch does not do, whatever its shape. */
static bool is_simple(const struct cuda_pass *p)
{
    const struct cuda_layer *l = p->layer;

    return p->routed && !p->again && p->way == MOED_CUDA_SMALL_M && !l->latent_down.format &&
           !l->latent_up.format && !l->post_norm && !l->banks[0].gate.format &&
           l->banks[0].up.interleaved && !l->banks[1].up.format && !l->banks[2].up.format;
}

int cuda_pass_enqueue(const struct cuda_pass *p, struct moed_error *err)
{
    const struct moed_cuda_layer whole = is_simple(p) ? layer_of(p) : (struct moed_cuda_layer){0};
    cudaError_t status;

    if (is_simple(p) && moed_cuda_layer_suits(&whole)) {
        status = normalise(p);
        if (status == cudaSuccess)
            status = moed_cuda_layer_pass(&whole, p->b->stream);
        return cuda_check(status, "launching a layer", err);
    }
    status = prepare(p);
    if (status == cudaSuccess)
        status = experts(p);
    if (status == cudaSuccess)
        status = add_up(p);
    return cuda_check(status, "launching a layer", err);
}
