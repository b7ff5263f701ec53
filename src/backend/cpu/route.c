/* cpu_route: the phases before the experts: norm, router, choice, plan. */
#include "cpu.h"
#include "src/backend/norm.h"

#include <math.h>
#include <string.h>

static void norm_one(struct pass *p, uint32_t t)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct norm none = {.kind = MOED_NORM_NONE};
    const struct norm norm = {spec->block.norm, p->layer->norm, p->layer->norm_bias,
                              spec->block.norm_eps};
    const size_t h = spec->hidden;

    norm_row(row_flags(p, t) & MOED_ROW_NORM ? &norm : &none, p->hidden + t * h,
             p->ws->normed + t * h, h);
}

void cpu_norm_rows(struct pass *p)
{
    if (p->x != p->hidden)
        cpu_for_rows(p, norm_one);
}

static bool all_supplied(const struct pass *p)
{
    for (uint32_t t = 0; t < p->rows; t++)
        if (!(row_flags(p, t) & MOED_ROW_SUPPLIED))
            return false;
    return true;
}

void cpu_logits(struct pass *p)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct row_set x = {.f32 = p->x, .width = spec->hidden};

    if (!all_supplied(p))
        cpu_multiply_all(p, &p->layer->router, &x, p->logits, spec->experts);
}

static void route_row(struct pass *p, uint32_t t)
{
    const struct resident_layer *layer = p->layer;
    const uint32_t experts = layer->spec->experts;
    const uint32_t used = layer->spec->used;
    const struct moed_router router = {&layer->spec->router, layer->select_bias, experts, used};
    float *logits = p->logits + (size_t)t * experts;
    int32_t *ids = p->ids + (size_t)t * p->slots;
    float *weights = p->weights + (size_t)t * p->slots;
    uint32_t first_unused = used;

    for (uint32_t e = 0; layer->router_bias != NULL && e < experts; e++)
        logits[e] += layer->router_bias[e];
    if (moed_route(&router, logits, scratch_of(p)->route, ids, weights) != 0) {
        p->not_finite[t] = 1;
        first_unused = 0;
    }
    for (uint32_t s = first_unused; s < p->slots; s++) {
        ids[s] = -1;
        weights[s] = 0.0F;
    }
}

static float shared_weight(const struct pass *p, uint32_t t)
{
    const size_t h = p->layer->spec->hidden;
    const float *x = p->x + t * h;
    double sum = 0.0;

    if (p->layer->shared_gate == NULL)
        return 1.0F;
    for (size_t i = 0; i < h; i++)
        sum += (double)p->layer->shared_gate[i] * x[i];
    return 1.0F / (1.0F + expf(-(float)sum));
}

static void topk_row(struct pass *p, uint32_t t)
{
    const bool has_shared = p->layer->shared.up.data != NULL;
    const uint8_t flags = row_flags(p, t);
    bool none;

    p->not_finite[t] = 0;
    if (!(flags & MOED_ROW_SUPPLIED))
        route_row(p, t);
    none = p->not_finite[t] || (flags & MOED_ROW_ROUTE_ONLY);
    p->ws->skip[t] = none || (flags & MOED_ROW_ONLY_SHARED);
    p->ws->shared[t] = has_shared && !none && !(flags & MOED_ROW_NO_SHARED);
    if (p->ws->shared[t])
        p->ws->shared_weight[t] = shared_weight(p, t);
}

void cpu_topk(struct pass *p)
{
    cpu_for_rows(p, topk_row);
}

void cpu_plan(struct pass *p)
{
    const uint32_t experts = p->layer->spec->experts;
    struct moed_plan *plan = &p->ws->plan;
    const struct moed_plan_input input = {
        .experts = experts,
        .chunk_size = p->layer->spec->chunk_size,
        .rows = p->rows,
        .slots = p->slots,
        .ids = p->ids,
        .weights = p->weights,
        .place = p->layer->spec->routed.place,
        .skip = p->ws->skip,
        .shared = p->ws->shared,
    };

    moed_plan_build(plan, &input);
    for (uint32_t i = plan->begin[experts]; i < plan->begin[experts + 1]; i++)
        plan->weight[i] = p->ws->shared_weight[plan->row[i]];
    for (uint32_t i = plan->begin[experts + 1]; i < plan->begin[plan->planned]; i++)
        plan->weight[i] *= p->layer->spec->chunk_scale;
    p->weight_bytes += (uint64_t)experts * p->layer->spec->hidden * sizeof(float);
    for (uint32_t a = 0; a < plan->n_active; a++) {
        const uint32_t e = plan->active[a];

        p->ws->seen[e] = 1;
        p->weight_bytes += resident_expert_bytes(p->layer, e);
    }
}
