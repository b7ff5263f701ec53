/* cpu_experts: the phases that read expert weights. gate·up·activation is shared out by (expert,
 * block of F), and prepares its result as the input of down; down is shared out by block of H, each
 * task walking all experts in ascending order, so that a row's sum has one order and no two threads
 * write one float. */
#include "cpu.h"
#include "src/backend/norm.h"

#include <string.h>

/* Bytes from one pair's activations to the next: room for any bank's down projection. */
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
    const enum moed_rows_kind kinds[] = {up, bank->gate.data != NULL ? gate : up};

    for (int i = 0; i < 2; i++)
        if (bank->up.data != NULL && kinds[i] != MOED_ROWS_F32 && (i == 0 || kinds[1] != kinds[0]))
            p->isa->prepare(kinds[i], set->f32 + (size_t)row * set->width, set->width,
                            set->prepared[kinds[i]] + row * moed_rows_bytes(kinds[i], set->width));
}

/* The rows that a bank reads. Storage is the workspace's, widths are the layer's. */
static struct row_set inputs_of(const struct pass *p, bool routed)
{
    const bool latent = routed && p->layer->latent_down.data != NULL;
    struct row_set set = latent ? p->ws->latent : p->ws->x;

    set.f32 = latent ? p->ws->latent_in : p->x;
    set.width = latent ? p->layer->spec->latent : p->layer->spec->hidden;
    return set;
}

static void prepare_row(struct pass *p, uint32_t t)
{
    const struct row_set routed = inputs_of(p, true);
    const struct row_set others = inputs_of(p, false);

    prepare_for(p, &routed, &p->layer->routed, t);
    prepare_for(p, &others, &p->layer->shared, t);
    prepare_for(p, &others, &p->layer->chunks, t);
}

void cpu_prepare(struct pass *p)
{
    const struct row_set x = {.f32 = p->x, .width = p->layer->spec->hidden};

    if (p->layer->latent_down.data != NULL)
        cpu_multiply_all(p, &p->layer->latent_down, &x, p->ws->latent_in, p->layer->spec->latent);
    cpu_for_rows(p, prepare_row);
}

/* product · expert's scale · pair's weight + expert's bias, over a tile of pairs × columns. */
struct epilogue {
    const float *pair_weight; /* one a pair, or NULL */
    const float *bias;        /* one a column, or NULL */
    float scale;
};

static void apply_epilogue(const struct epilogue *e, float *tile, uint32_t rows, uint32_t cols)
{
    if (e->pair_weight == NULL && e->bias == NULL && e->scale == 1.0F)
        return;
    for (uint32_t i = 0; i < rows; i++) {
        const float scale = e->scale * (e->pair_weight != NULL ? e->pair_weight[i] : 1.0F);

        for (uint32_t c = 0; c < cols; c++)
            tile[(size_t)i * BLOCK_COLS + c] =
                tile[(size_t)i * BLOCK_COLS + c] * scale + (e->bias != NULL ? e->bias[c] : 0.0F);
    }
}

static struct epilogue epilogue_of(const struct planned *which, const float *bias,
                                   const float *scale, const struct matrix *m, uint32_t col)
{
    return (struct epilogue){
        .bias = bias != NULL ? bias + (size_t)which->expert * m->rows + col : NULL,
        .scale = scale != NULL ? scale[which->expert] : 1.0F,
    };
}

/* Token–expert pairs [first, first + rows) of one expert × columns [col, end). */
struct part {
    struct planned which;
    uint32_t first, rows, col, end;
};

/* Calls `each` for the parts of one expert's pairs that are taken at a time. */
static void for_each_part(struct pass *p, uint32_t expert, struct part part,
                          void (*each)(struct pass *p, const struct part *part))
{
    const struct moed_plan *plan = &p->ws->plan;
    const struct bank *bank = resident_planned(p->layer, expert).bank;
    uint32_t step;

    if (plan->begin[expert] == plan->begin[expert + 1])
        return;
    step = cpu_rows_at_once(&bank->up);
    if (cpu_rows_at_once(&bank->down) < step)
        step = cpu_rows_at_once(&bank->down);
    part.which = resident_planned(p->layer, expert);
    for (part.first = plan->begin[expert]; part.first < plan->begin[expert + 1];
         part.first += part.rows) {
        const uint32_t left = plan->begin[expert + 1] - part.first;

        part.rows = left < step ? left : step;
        each(p, &part);
    }
}

/* Planned entries of a pass from which on the team lists outliers together. */
#define INDEX_TOGETHER 64

/* Rows up to which gathering them costs so little that tasks can be small: the last one is what
 * the others wait for. */
#define SMALL_ROWS 8

/* Tasks that a phase should have at least, where `each` a thread are enough for many rows. */
static uint32_t tasks_wanted(const struct pass *p, uint32_t each)
{
    return each * p->threads * (p->rows <= SMALL_ROWS ? 4 : 1);
}

/* How many of `blocks` blocks of columns a task has, up to `most`, if there are to be at least so
 * many tasks. Wide tasks gather their rows seldom; many share out evenly. */
static uint32_t task_blocks(uint32_t blocks, uint32_t tasks, uint32_t most)
{
    const uint32_t fair = blocks / tasks;

    return fair < 1 ? 1 : fair < most ? fair : most;
}

/* ---- gate and up ---- */

/* What a part multiplies by gate and by up, and where each pair's result lies among the rows that
 * down will take. */
struct gate_up {
    const struct part *part;
    const struct inputs *gate, *up;
    uint8_t *act;
    struct moed_gather_place places[BLOCK_ROWS];
};

static uint8_t *act_block(const struct gate_up *g, uint32_t i, uint32_t col)
{
    return g->act + g->places[i].first + col / 32 * g->places[i].step;
}

/* A product, finished but for the activation. Returns how many columns count. */
static uint32_t input_product(struct pass *p, const struct gate_up *g, const struct block *block,
                              const struct block *next, float *out)
{
    const struct part *t = g->part;
    const struct bank *b = t->which.bank;
    const bool up = block->matrix == &b->up;
    struct epilogue epilogue =
        epilogue_of(&t->which, up ? b->up_bias : b->gate_bias, up ? b->up_scale : b->gate_scale,
                    block->matrix, block->col);
    const uint32_t cols = cpu_product(p, up ? g->up : g->gate, block, next, out);

    if (t->which.routed && p->layer->spec->router.weight_on_input)
        epilogue.pair_weight = p->ws->plan.weight + t->first;
    apply_epilogue(&epilogue, out, t->rows, cols);
    return cols;
}

/* gate, up and activation of a block of columns, prepared as a block of down's input. */
static void gate_up_block(struct pass *p, const struct gate_up *g, uint32_t col)
{
    const struct part *t = g->part;
    const struct bank *b = t->which.bank;
    const struct cpu_scratch *s = scratch_of(p);
    const enum moed_rows_kind kind = rows_kind(&b->down);
    const struct block up = {&b->up, t->which.expert, col};
    const struct block gate = {&b->gate, t->which.expert, col};
    const struct block after = {&b->up, t->which.expert, col + BLOCK_COLS};
    const struct block *next = after.col < t->end && after.col < b->up.rows ? &after : NULL;
    const bool gated = b->gate.data != NULL;
    uint32_t cols;

    for (uint32_t i = 0; i < t->rows; i++) /* lines that others wrote last: fetched meanwhile */
        __builtin_prefetch(act_block(g, i, col), 1);
    cols = input_product(p, g, &up, gated ? &gate : next, s->up);
    if (gated)
        input_product(p, g, &gate, next, s->gate);
    /* Two loops: each is a long chain, and short bodies let a processor overlap more of them. */
    for (uint32_t i = 0; i < t->rows; i++) {
        float *row = s->up + (size_t)i * BLOCK_COLS;

        p->isa->activate(&b->spec->rule, gated ? s->gate + (size_t)i * BLOCK_COLS : NULL, row, row,
                         cols);
    }
    for (uint32_t i = 0; i < t->rows; i++)
        p->isa->prepare(kind, s->up + (size_t)i * BLOCK_COLS, cols, act_block(g, i, col));
}

static void gather_inputs(struct pass *p, const struct part *t, const struct matrix *m,
                          struct gathered *to, struct inputs *in)
{
    const struct row_set set = inputs_of(p, t->which.routed);

    for (uint32_t i = 0; i < t->rows; i++)
        in->rows[i] = row_of(&set, rows_kind(m), p->ws->plan.row[t->first + i]);
    cpu_gather(m, t->rows, to, in);
}

static void gate_up_part(struct pass *p, const struct part *t)
{
    const struct bank *b = t->which.bank;
    struct cpu_scratch *s = scratch_of(p);
    const struct moed_gather_shape of_up = cpu_shape(&b->up), of_gate = cpu_shape(&b->gate);
    const struct moed_gather_shape of_down = cpu_shape(&b->down);
    const bool same = of_up.kind == of_gate.kind && of_up.height == of_gate.height;
    struct inputs up, gate;
    struct gate_up g = {.part = t,
                        .gate = same ? &up : &gate,
                        .up = &up,
                        .act = p->ws->act + t->first * act_stride(p->layer)};
    const struct block first = {&b->up, t->which.expert, t->col};

    if (t->col >= b->up.rows)
        return; /* another bank of the layer is wider */
    cpu_prefetch_block(&first);
    gather_inputs(p, t, &b->up, &s->of_up, &up);
    if (b->gate.data != NULL && !same)
        gather_inputs(p, t, &b->gate, &s->of_gate, &gate);
    for (uint32_t i = 0; i < t->rows; i++)
        g.places[i] = moed_gather_place(&of_down, t->rows, i);
    for (uint32_t col = t->col; col < t->end && col < b->up.rows; col += BLOCK_COLS)
        gate_up_block(p, &g, col);
}

static uint32_t widest(const struct moed_layer *spec)
{
    const uint32_t most =
        spec->routed.width > spec->shared.width ? spec->routed.width : spec->shared.width;

    return most > spec->chunks.width ? most : spec->chunks.width;
}

/* Tasks of gate and up: an active expert × `wide` columns. */
struct gate_up_tasks {
    struct pass *pass;
    uint32_t wide, an_expert;
};

static void gate_up_task(void *context, uint32_t task)
{
    const struct gate_up_tasks *all = context;
    const uint32_t col = task % all->an_expert * all->wide;

    for_each_part(all->pass, all->pass->ws->plan.active[task / all->an_expert],
                  (struct part){.col = col, .end = col + all->wide}, gate_up_part);
}

void cpu_gate_up(struct pass *p)
{
    const struct moed_plan *plan = &p->ws->plan;
    const uint32_t blocks = (widest(p->layer->spec) + BLOCK_COLS - 1) / BLOCK_COLS;
    const uint32_t each = task_blocks(blocks * plan->n_active, tasks_wanted(p, 8), blocks);
    struct gate_up_tasks all = {p, each * BLOCK_COLS, (blocks + each - 1) / each};

    team_for(p->team, plan->n_active * all.an_expert, 1, gate_up_task, &all);
}

/* ---- down ---- */

/* Lists the outliers of a part's rows: once, for all columns of down. */
static void index_part(struct pass *p, const struct part *t)
{
    const struct moed_gather_shape shape = cpu_shape(&t->which.bank->down);
    struct moed_gather view;

    moed_gather_view(&shape, t->rows, p->ws->act + t->first * act_stride(p->layer),
                     p->ws->act_outliers + t->first * p->ws->outliers_each, &view);
    p->ws->n_outliers[t->first] = view.n_outliers;
}

static void index_expert(void *context, uint32_t i)
{
    struct pass *p = context;

    for_each_part(p, p->ws->plan.active[i], (struct part){0}, index_part);
}

/* Little work, which a thread has done alone before others have come, unless there are many rows.
 */
void cpu_index(struct pass *p)
{
    const struct moed_plan *plan = &p->ws->plan;
    struct team *team = plan->begin[plan->planned] < INDEX_TOGETHER ? NULL : p->team;

    team_for(team, plan->n_active, 1, index_expert, p);
}

/* A part's rows lie gathered where gate_up_block() put them. */
static void down_inputs(const struct pass *p, const struct part *t, struct inputs *in)
{
    const struct matrix *down = &t->which.bank->down;
    const uint8_t *act = p->ws->act + t->first * act_stride(p->layer);
    const size_t row_bytes = moed_rows_bytes(rows_kind(down), down->cols);

    in->gathered = (struct moed_gather){
        .n = t->rows,
        .blocks = (down->cols + 31) / 32,
        .data = act,
        .outliers = p->ws->act_outliers + t->first * p->ws->outliers_each,
        .n_outliers = p->ws->n_outliers[t->first],
    };
    for (uint32_t i = 0; down->product == NULL && i < t->rows; i++)
        in->rows[i] = act + i * row_bytes;
}

/* Adds a part's products of one block of columns, times their weights, to the thread's sums. */
static void down_block(struct pass *p, const struct part *t, const struct inputs *in, uint32_t col)
{
    const struct bank *b = t->which.bank;
    const struct moed_plan *plan = &p->ws->plan;
    const struct cpu_scratch *s = scratch_of(p);
    const bool weighed = t->which.routed && p->layer->spec->router.weight_on_input;
    const struct block block = {&b->down, t->which.expert, col};
    const struct block after = {&b->down, t->which.expert, col + BLOCK_COLS};
    const bool more = after.col < t->end && after.col < b->down.rows;
    const struct epilogue down = epilogue_of(&t->which, b->down_bias, b->down_scale, &b->down, col);

    apply_epilogue(&down, s->up, t->rows, cpu_product(p, in, &block, more ? &after : NULL, s->up));
    for (uint32_t i = 0; i < t->rows; i++) {
        const float weight = weighed ? 1.0F : plan->weight[t->first + i];
        float *sum = s->sum + (size_t)plan->row[t->first + i] * (t->end - t->col) + (col - t->col);

        for (uint32_t c = 0; c < BLOCK_COLS; c++)
            sum[c] += weight * s->up[(size_t)i * BLOCK_COLS + c];
    }
}

static void down_part(struct pass *p, const struct part *t)
{
    const struct bank *b = t->which.bank;
    const size_t stride = act_stride(p->layer);
    const uint8_t *act = p->ws->act + t->first * stride;
    const uint32_t blocks = (t->end - t->col) / BLOCK_COLS;
    const size_t share = t->rows * stride / blocks;
    const struct block first = {&b->down, t->which.expert, t->col};
    struct inputs in;

    if (t->col >= b->down.rows)
        return;
    cpu_prefetch_block(&first);
    down_inputs(p, t, &in);
    for (uint32_t i = 0; i < blocks && t->col + i * BLOCK_COLS < b->down.rows; i++) {
        /* The next part's rows lie behind this one's; its weights come with the first product. */
        cpu_prefetch(act + t->rows * stride + i * share, share);
        down_block(p, t, &in, t->col + i * BLOCK_COLS);
    }
}

/* Where a walk over down projections adds up. */
struct target {
    float *to; /* [rows, width] */
    uint32_t width;
    uint32_t first, end; /* planned experts [first, end) */
    bool add;            /* to what is there already */
};

/* Writes the thread's sums of columns [col, end). */
static void write_sums(const struct pass *p, const struct target *target, uint32_t col,
                       uint32_t end)
{
    const float *sums = scratch_of(p)->sum;
    const uint32_t cols = (end < target->width ? end : target->width) - col;

    for (uint32_t t = 0; t < p->rows; t++) {
        const float *from = sums + (size_t)t * (end - col);
        float *to = target->to + (size_t)t * target->width + col;

        for (uint32_t c = 0; c < cols; c++)
            to[c] = target->add ? to[c] + from[c] : from[c];
    }
}

struct down_tasks {
    struct pass *pass;
    const struct target *target;
    uint32_t wide; /* columns of a task */
};

static void down_task(void *context, uint32_t task)
{
    const struct down_tasks *all = context;
    const uint32_t col = task * all->wide, end = col + all->wide;
    struct pass *p = all->pass;

    memset(scratch_of(p)->sum, 0, (size_t)p->rows * all->wide * sizeof(float));
    for (uint32_t e = all->target->first; e < all->target->end; e++)
        for_each_part(p, e, (struct part){.col = col, .end = end}, down_part);
    write_sums(p, all->target, col, end);
}

static void down(struct pass *p, const struct target *target)
{
    const uint32_t blocks = (target->width + BLOCK_COLS - 1) / BLOCK_COLS;
    const uint32_t each = task_blocks(blocks, tasks_wanted(p, 2), TASK_BLOCKS);
    struct down_tasks all = {p, target, each * BLOCK_COLS};

    team_for(p->team, (blocks + each - 1) / each, 1, down_task, &all);
}

static void norm_latent(struct pass *p, uint32_t t)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct norm norm = {MOED_NORM_RMS, p->layer->latent_norm, NULL, spec->block.norm_eps};
    float *row = p->ws->latent_sum + (size_t)t * spec->latent;

    norm_row(&norm, row, row, spec->latent);
}

/* Latent experts: their sum lives in L dimensions, is normed there and projected back to H. */
static void down_latent(struct pass *p)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct target sum = {p->ws->latent_sum, spec->latent, 0, spec->experts, false};
    const struct target others = {p->output, spec->hidden, spec->experts, p->ws->plan.planned,
                                  true};
    const struct row_set rows = {.f32 = p->ws->latent_sum, .width = spec->latent};

    down(p, &sum);
    if (p->layer->latent_norm != NULL)
        cpu_for_rows(p, norm_latent);
    cpu_multiply_all(p, &p->layer->latent_up, &rows, p->output, spec->hidden);
    down(p, &others);
}

void cpu_down(struct pass *p)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct target all = {p->output, spec->hidden, 0, p->ws->plan.planned, false};

    if (p->layer->latent_up.data != NULL)
        down_latent(p);
    else
        down(p, &all);
}

/* The block's output of one row from the sum of its experts. */
static void finish_row(struct pass *p, uint32_t t)
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

    if (p->not_finite[t])
        return;
    for (size_t i = 0; rule->ffn_scale != 1.0F && i < h; i++)
        out[i] *= rule->ffn_scale;
    if (!(flags & MOED_ROW_RESIDUAL))
        return;
    if (post.weight != NULL)
        norm_row(&post, out, out, h);
    for (size_t i = 0; i < h; i++)
        out[i] = ffn_by * out[i] + (flags & MOED_ROW_PART ? 0.0F : add_by * add[i]);
}

void cpu_finish_rows(struct pass *p)
{
    cpu_for_rows(p, finish_row);
}
