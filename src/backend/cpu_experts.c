/* cpu_experts: the phases that read expert weights. gate·up·activation is shared out by (expert,
 * block of F); down by block of H, each task walking all experts in ascending order, so that a
 * row's sum has one order and no two threads write one float. */
#include "cpu.h"
#include "norm.h"
#include "team.h"

#include <string.h>

/* The bank and the number within it of a planned expert: the last one is the shared expert. */
struct planned {
    const struct bank *bank;
    uint32_t expert;
    bool shared;
};

static struct planned planned_expert(const struct pass *p, uint32_t e)
{
    const bool shared = e == p->layer->spec->experts;

    return (struct planned){shared ? &p->layer->shared : &p->layer->routed, shared ? 0 : e, shared};
}

/* Floats from one entry's activations to the next. */
static size_t act_stride(const struct pass *p)
{
    const uint32_t routed = p->layer->spec->routed.width;
    const uint32_t shared = p->layer->spec->shared.width;

    return routed > shared ? routed : shared;
}

void cpu_latent_in(struct pass *p)
{
    const struct matrix *m = &p->layer->latent_down;
    const struct moed_row_view x = {
        .base = p->x, .stride = p->layer->spec->hidden, .rows = p->rows};

    if (m->data)
        cpu_multiply_all(p, m, &x, p->ws->latent_in, m->rows);
}

/* product · expert's scale · entry's weight + expert's bias, over a tile of entries × columns. */
struct epilogue {
    const float *entry_weight; /* one an entry, or NULL */
    const float *bias;         /* one a column, or NULL */
    float scale;
};

static void finish_product(const struct epilogue *e, float *tile, uint32_t rows, uint32_t cols)
{
    if (!e->entry_weight && !e->bias && e->scale == 1.0F)
        return;
    for (uint32_t i = 0; i < rows; i++) {
        const float scale = e->scale * (e->entry_weight ? e->entry_weight[i] : 1.0F);

        for (uint32_t c = 0; c < cols; c++)
            tile[(size_t)i * BLOCK_COLS + c] =
                tile[(size_t)i * BLOCK_COLS + c] * scale + (e->bias ? e->bias[c] : 0.0F);
    }
}

static struct epilogue epilogue_of(const struct planned *which, const float *bias,
                                   const float *scale, const struct matrix *m, uint32_t col)
{
    return (struct epilogue){
        .bias = bias ? bias + (size_t)which->expert * m->rows + col : NULL,
        .scale = scale ? scale[which->expert] : 1.0F,
    };
}

/* One product of a task: rows [0, view->rows) × columns [col, col + cols) of matrix m. */
static void product(struct pass *p, const struct planned *which, const struct matrix *m,
                    const struct moed_row_view *view, uint32_t col, float *tile)
{
    const uint32_t cols = m->rows - col < BLOCK_COLS ? m->rows - col : BLOCK_COLS;
    const struct moed_weight_block block = matrix_block(m, which->expert, col, cols);

    p->isa->multiply(&block, view, tile, BLOCK_COLS, p->ws->scratch[team_rank()].tile);
}

/* Activations of entries [first, first + rows) of one expert in one block of columns. */
static void gate_up_tile(struct pass *p, const struct planned *which, uint32_t first, uint32_t rows,
                         uint32_t col)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct bank *b = which->bank;
    const struct cpu_scratch *s = &p->ws->scratch[team_rank()];
    const bool latent = !which->shared && p->layer->latent_down.data;
    const bool weigh = !which->shared && spec->router.weight_on_input;
    const uint32_t cols = b->up.rows - col < BLOCK_COLS ? b->up.rows - col : BLOCK_COLS;
    const struct moed_row_view view = {
        .base = latent ? p->ws->latent_in : p->x,
        .stride = latent ? spec->latent : spec->hidden,
        .index = p->ws->plan.row + first,
        .rows = rows,
    };
    struct epilogue gate = epilogue_of(which, b->gate_bias, b->gate_scale, &b->gate, col);
    struct epilogue up = epilogue_of(which, b->up_bias, b->up_scale, &b->up, col);
    float *act = p->ws->act + first * act_stride(p) + col;

    gate.entry_weight = up.entry_weight = weigh ? p->ws->plan.weight + first : NULL;
    product(p, which, &b->up, &view, col, s->up);
    finish_product(&up, s->up, rows, cols);
    if (b->gate.data) {
        product(p, which, &b->gate, &view, col, s->gate);
        finish_product(&gate, s->gate, rows, cols);
    }
    for (uint32_t i = 0; i < rows; i++)
        p->isa->activate(&b->spec->rule, b->gate.data ? s->gate + (size_t)i * BLOCK_COLS : NULL,
                         s->up + (size_t)i * BLOCK_COLS, act + i * act_stride(p), cols);
}

void cpu_gate_up(struct pass *p)
{
    const struct moed_plan *plan = &p->ws->plan;
    const uint32_t blocks = (uint32_t)((act_stride(p) + BLOCK_COLS - 1) / BLOCK_COLS);

#pragma omp for schedule(dynamic)
    for (uint32_t task = 0; task < plan->n_active * blocks; task++) {
        const uint32_t e = plan->active[task / blocks];
        const uint32_t col = task % blocks * BLOCK_COLS;
        const struct planned which = planned_expert(p, e);

        if (col >= which.bank->up.rows)
            continue;
        for (uint32_t i = plan->begin[e]; i < plan->begin[e + 1]; i += BLOCK_ROWS) {
            const uint32_t left = plan->begin[e + 1] - i;

            gate_up_tile(p, &which, i, left < BLOCK_ROWS ? left : BLOCK_ROWS, col);
        }
    }
}

/* Where a walk over down projections adds up. */
struct target {
    float *to; /* [rows, width] */
    uint32_t width;
    uint32_t first, end; /* planned experts [first, end) */
    bool clear;          /* begin at zero */
};

/* Adds entries [first, first + rows) of one expert into the target's columns. */
static void down_tile(struct pass *p, const struct planned *which, const struct target *target,
                      uint32_t first, uint32_t rows, uint32_t col)
{
    const struct bank *b = which->bank;
    const struct moed_plan *plan = &p->ws->plan;
    const bool weighed = !which->shared && p->layer->spec->router.weight_on_input;
    const uint32_t cols = b->down.rows - col < BLOCK_COLS ? b->down.rows - col : BLOCK_COLS;
    const struct moed_row_view view = {
        .base = p->ws->act + first * act_stride(p), .stride = act_stride(p), .rows = rows};
    const struct epilogue down = epilogue_of(which, b->down_bias, b->down_scale, &b->down, col);
    float *tile = p->ws->scratch[team_rank()].up;

    product(p, which, &b->down, &view, col, tile);
    finish_product(&down, tile, rows, cols);
    for (uint32_t i = 0; i < rows; i++) {
        const float weight = weighed ? 1.0F : plan->weight[first + i];
        float *to = target->to + (size_t)plan->row[first + i] * target->width + col;

        for (uint32_t c = 0; c < cols; c++)
            to[c] += weight * tile[(size_t)i * BLOCK_COLS + c];
    }
}

static void clear_columns(const struct pass *p, const struct target *target, uint32_t col)
{
    const uint32_t left = target->width - col;
    const uint32_t cols = left < BLOCK_COLS ? left : BLOCK_COLS;

    for (uint32_t t = 0; t < p->rows; t++)
        memset(target->to + (size_t)t * target->width + col, 0, cols * sizeof(float));
}

static void down(struct pass *p, const struct target *target)
{
    const struct moed_plan *plan = &p->ws->plan;
    const uint32_t blocks = (target->width + BLOCK_COLS - 1) / BLOCK_COLS;

#pragma omp for schedule(dynamic)
    for (uint32_t block = 0; block < blocks; block++) {
        const uint32_t col = block * BLOCK_COLS;

        if (target->clear)
            clear_columns(p, target, col);
        for (uint32_t e = target->first; e < target->end; e++) {
            const struct planned which = planned_expert(p, e);

            for (uint32_t i = plan->begin[e]; i < plan->begin[e + 1]; i += BLOCK_ROWS) {
                const uint32_t left = plan->begin[e + 1] - i;

                down_tile(p, &which, target, i, left < BLOCK_ROWS ? left : BLOCK_ROWS, col);
            }
        }
    }
}

/* Latent experts: their sum lives in L dimensions, is normed there and projected back to H. */
static void down_latent(struct pass *p)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct target sum = {p->ws->latent_sum, spec->latent, 0, spec->experts, true};
    const struct target shared = {p->output, spec->hidden, spec->experts, spec->experts + 1, false};
    const struct moed_row_view rows = {p->ws->latent_sum, spec->latent, NULL, p->rows};

    down(p, &sum);
    if (p->layer->latent_norm) {
#pragma omp for schedule(static)
        for (uint32_t t = 0; t < p->rows; t++) {
            float *row = p->ws->latent_sum + (size_t)t * spec->latent;

            norm_row(MOED_NORM_RMS, row, p->layer->latent_norm, NULL, spec->block.norm_eps, row,
                     spec->latent);
        }
    }
    cpu_multiply_all(p, &p->layer->latent_up, &rows, p->output, spec->hidden);
    down(p, &shared);
}

void cpu_down(struct pass *p)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct target all = {p->output, spec->hidden, 0, spec->experts + 1, true};

    if (p->layer->latent_up.data)
        down_latent(p);
    else
        down(p, &all);
}

void cpu_finish_rows(struct pass *p)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct moed_block_rule *rule = &spec->block;
    const size_t h = spec->hidden;

#pragma omp for schedule(static)
    for (uint32_t t = 0; t < p->rows; t++) {
        const bool normed = rule->residual == MOED_RESIDUAL_NORMED;
        float *out = p->output + t * h;
        const float *add = (normed ? p->x : p->hidden) + t * h;
        const float ffn_by = normed ? 1.0F : rule->residual_scale;
        const float add_by = normed ? rule->residual_scale : 1.0F;

        if (p->not_finite[t])
            continue;
        for (size_t i = 0; rule->ffn_scale != 1.0F && i < h; i++)
            out[i] *= rule->ffn_scale;
        if (p->layer->post_norm)
            norm_row(MOED_NORM_RMS, out, p->layer->post_norm, NULL, rule->norm_eps, out, h);
        for (size_t i = 0; (row_flags(p, t) & MOED_ROW_RESIDUAL) && i < h; i++)
            out[i] = ffn_by * out[i] + add_by * add[i];
    }
}
