/* cpu_experts: the phases that read expert weights. gate·up·activation is shared out by (expert,
 * block of F), and prepares its result as the input of down; down is shared out by block of H, each
 * task walking all experts in ascending order, so that a row's sum has one order and no two threads
 * write one float. */
#include "cpu.h"
#include "norm.h"
#include "team.h"

#include <string.h>

/* Bytes from one entry's activations to the next: room for any bank's down projection. */
static size_t act_stride(const struct resident_layer *layer)
{
    const struct matrix *banks[] = {&layer->routed.down, &layer->shared.down, &layer->chunks.down};
    size_t most = 0;

    for (size_t i = 0; i < MOED_ARRAY_LEN(banks); i++) {
        const size_t bytes = moed_rows_bytes(rows_kind(banks[i]), banks[i]->cols);

        most = bytes > most ? bytes : most;
    }
    return most;
}

static void prepare_for(struct pass *p, const struct row_set *set, const struct bank *bank,
                        uint32_t row)
{
    const enum moed_rows_kind up = rows_kind(&bank->up);
    const enum moed_rows_kind gate = rows_kind(&bank->gate);
    const enum moed_rows_kind kinds[] = {up, bank->gate.data ? gate : up};

    for (int i = 0; i < 2; i++)
        if (bank->up.data && kinds[i] != MOED_ROWS_F32 && (i == 0 || kinds[1] != kinds[0]))
            p->isa->prepare(kinds[i], set->f32 + (size_t)row * set->width, set->width,
                            set->prepared[kinds[i]] + row * moed_rows_bytes(kinds[i], set->width));
}

/* The rows that a bank reads. Storage is the workspace's, widths are the layer's. */
static struct row_set inputs_of(const struct pass *p, bool routed)
{
    const bool latent = routed && p->layer->latent_down.data;
    struct row_set set = latent ? p->ws->latent : p->ws->x;

    set.f32 = latent ? p->ws->latent_in : p->x;
    set.width = latent ? p->layer->spec->latent : p->layer->spec->hidden;
    return set;
}

void cpu_prepare(struct pass *p)
{
    const struct row_set x = {.f32 = p->x, .width = p->layer->spec->hidden};
    const struct row_set routed = inputs_of(p, true);
    const struct row_set others = inputs_of(p, false);

    if (p->layer->latent_down.data)
        cpu_multiply_all(p, &p->layer->latent_down, &x, p->ws->latent_in, p->layer->spec->latent);
#pragma omp for schedule(static)
    for (uint32_t t = 0; t < p->rows; t++) {
        prepare_for(p, &routed, &p->layer->routed, t);
        prepare_for(p, &others, &p->layer->shared, t);
        prepare_for(p, &others, &p->layer->chunks, t);
    }
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

/* Entries [first, first + rows) of one expert, in one block of columns. */
struct tile {
    struct planned which;
    uint32_t first, rows, col;
};

/* One of a tile's two products, finished but for the activation. */
static uint32_t input_product(struct pass *p, const struct tile *t, const struct matrix *m,
                              struct epilogue *epilogue, float *out)
{
    const struct row_set set = inputs_of(p, t->which.routed);
    const void *rows[BLOCK_ROWS];
    const struct product product = {m, t->which.expert, t->col, rows, t->rows};
    uint32_t cols;

    for (uint32_t i = 0; i < t->rows; i++)
        rows[i] = row_of(&set, rows_kind(m), p->ws->plan.row[t->first + i]);
    if (t->which.routed && p->layer->spec->router.weight_on_input)
        epilogue->entry_weight = p->ws->plan.weight + t->first;
    cols = cpu_product(p, &product, out);
    finish_product(epilogue, out, t->rows, cols);
    return cols;
}

/* gate, up and activation of a tile, prepared as a block of the down projection's input. */
static void gate_up_tile(struct pass *p, const struct tile *t)
{
    const struct bank *b = t->which.bank;
    const struct cpu_scratch *s = &p->ws->scratch[team_rank()];
    const enum moed_rows_kind kind = rows_kind(&b->down);
    const size_t stride = act_stride(p->layer);
    uint8_t *act = p->ws->act + t->first * stride + t->col / 32 * moed_rows_block_bytes(kind);
    struct epilogue gate = epilogue_of(&t->which, b->gate_bias, b->gate_scale, &b->gate, t->col);
    struct epilogue up = epilogue_of(&t->which, b->up_bias, b->up_scale, &b->up, t->col);
    const uint32_t cols = input_product(p, t, &b->up, &up, s->up);

    if (b->gate.data)
        input_product(p, t, &b->gate, &gate, s->gate);
    for (uint32_t i = 0; i < t->rows; i++) {
        float *row = s->up + (size_t)i * BLOCK_COLS;

        p->isa->activate(&b->spec->rule, b->gate.data ? s->gate + (size_t)i * BLOCK_COLS : NULL,
                         row, row, cols);
        p->isa->prepare(kind, row, cols, act + i * stride);
    }
}

/* Calls `each` for the tiles of one expert and block of columns. */
static void for_each_tile(struct pass *p, uint32_t expert, uint32_t col,
                          void (*each)(struct pass *p, const struct tile *tile))
{
    const struct moed_plan *plan = &p->ws->plan;
    struct tile tile = {.which = resident_planned(p->layer, expert), .col = col};

    for (tile.first = plan->begin[expert]; tile.first < plan->begin[expert + 1];
         tile.first += tile.rows) {
        const uint32_t left = plan->begin[expert + 1] - tile.first;

        tile.rows = left < BLOCK_ROWS ? left : BLOCK_ROWS;
        each(p, &tile);
    }
}

static uint32_t widest(const struct moed_layer *spec)
{
    const uint32_t most =
        spec->routed.width > spec->shared.width ? spec->routed.width : spec->shared.width;

    return most > spec->chunks.width ? most : spec->chunks.width;
}

void cpu_gate_up(struct pass *p)
{
    const struct moed_plan *plan = &p->ws->plan;
    const uint32_t blocks = (widest(p->layer->spec) + BLOCK_COLS - 1) / BLOCK_COLS;

#pragma omp for schedule(dynamic)
    for (uint32_t task = 0; task < plan->n_active * blocks; task++) {
        const uint32_t e = plan->active[task / blocks];
        const uint32_t col = task % blocks * BLOCK_COLS;

        if (col < resident_planned(p->layer, e).bank->up.rows)
            for_each_tile(p, e, col, gate_up_tile);
    }
}

/* Adds a tile, times its weights, to the thread's sums of that block of columns. */
static void down_tile(struct pass *p, const struct tile *t)
{
    const struct bank *b = t->which.bank;
    const struct moed_plan *plan = &p->ws->plan;
    const struct cpu_scratch *s = &p->ws->scratch[team_rank()];
    const bool weighed = t->which.routed && p->layer->spec->router.weight_on_input;
    const size_t stride = act_stride(p->layer);
    const void *rows[BLOCK_ROWS];
    const struct product product = {&b->down, t->which.expert, t->col, rows, t->rows};
    const struct epilogue down =
        epilogue_of(&t->which, b->down_bias, b->down_scale, &b->down, t->col);

    for (uint32_t i = 0; i < t->rows; i++)
        rows[i] = p->ws->act + (t->first + i) * stride;
    finish_product(&down, s->up, t->rows, cpu_product(p, &product, s->up));
    for (uint32_t i = 0; i < t->rows; i++) {
        const float weight = weighed ? 1.0F : plan->weight[t->first + i];
        float *sum = s->sum + (size_t)plan->row[t->first + i] * BLOCK_COLS;

        for (uint32_t c = 0; c < BLOCK_COLS; c++)
            sum[c] += weight * s->up[(size_t)i * BLOCK_COLS + c];
    }
}

/* Where a walk over down projections adds up. */
struct target {
    float *to; /* [rows, width] */
    uint32_t width;
    uint32_t first, end; /* planned experts [first, end) */
    bool add;            /* to what is there already */
};

static void write_sums(const struct pass *p, const struct target *target, uint32_t col)
{
    const float *sums = p->ws->scratch[team_rank()].sum;
    const uint32_t left = target->width - col;
    const uint32_t cols = left < BLOCK_COLS ? left : BLOCK_COLS;

    for (uint32_t t = 0; t < p->rows; t++) {
        const float *from = sums + (size_t)t * BLOCK_COLS;
        float *to = target->to + (size_t)t * target->width + col;

        for (uint32_t c = 0; c < cols; c++)
            to[c] = target->add ? to[c] + from[c] : from[c];
    }
}

static void down(struct pass *p, const struct target *target)
{
    const uint32_t blocks = (target->width + BLOCK_COLS - 1) / BLOCK_COLS;

#pragma omp for schedule(dynamic)
    for (uint32_t block = 0; block < blocks; block++) {
        memset(p->ws->scratch[team_rank()].sum, 0, (size_t)p->rows * BLOCK_COLS * sizeof(float));
        for (uint32_t e = target->first; e < target->end; e++)
            for_each_tile(p, e, block * BLOCK_COLS, down_tile);
        write_sums(p, target, block * BLOCK_COLS);
    }
}

/* Latent experts: their sum lives in L dimensions, is normed there and projected back to H. */
static void down_latent(struct pass *p)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct target sum = {p->ws->latent_sum, spec->latent, 0, spec->experts, false};
    const struct target others = {p->output, spec->hidden, spec->experts, p->ws->plan.planned,
                                  true};
    const struct row_set rows = {.f32 = p->ws->latent_sum, .width = spec->latent};
    const struct norm norm = {MOED_NORM_RMS, p->layer->latent_norm, NULL, spec->block.norm_eps};

    down(p, &sum);
    if (p->layer->latent_norm) {
#pragma omp for schedule(static)
        for (uint32_t t = 0; t < p->rows; t++) {
            float *row = p->ws->latent_sum + (size_t)t * spec->latent;

            norm_row(&norm, row, row, spec->latent);
        }
    }
    cpu_multiply_all(p, &p->layer->latent_up, &rows, p->output, spec->hidden);
    down(p, &others);
}

void cpu_down(struct pass *p)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct target all = {p->output, spec->hidden, 0, p->ws->plan.planned, false};

    if (p->layer->latent_up.data)
        down_latent(p);
    else
        down(p, &all);
}

/* The block's output of one row from the sum of its experts. */
static void finish_row(const struct pass *p, uint32_t t)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct moed_block_rule *rule = &spec->block;
    const size_t h = spec->hidden;
    const uint8_t flags = row_flags(p, t);
    const bool normed = rule->residual == MOED_RESIDUAL_NORMED;
    const float *add = (normed ? p->x : p->hidden) + t * h;
    const float ffn_by = normed ? 1.0F : rule->residual_scale;
    const float add_by = normed ? rule->residual_scale : 1.0F;
    const struct norm post = {MOED_NORM_RMS, p->layer->post_norm, NULL, rule->norm_eps};
    float *out = p->output + t * h;

    for (size_t i = 0; rule->ffn_scale != 1.0F && i < h; i++)
        out[i] *= rule->ffn_scale;
    if (!(flags & MOED_ROW_RESIDUAL))
        return;
    if (post.weight)
        norm_row(&post, out, out, h);
    for (size_t i = 0; i < h; i++)
        out[i] = ffn_by * out[i] + (flags & MOED_ROW_PART ? 0.0F : add_by * add[i]);
}

void cpu_finish_rows(struct pass *p)
{
#pragma omp for schedule(static)
    for (uint32_t t = 0; t < p->rows; t++)
        if (!p->not_finite[t])
            finish_row(p, t);
}
