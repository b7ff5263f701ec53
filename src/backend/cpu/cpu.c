/* cpu: the CPU backend: resident weights, workspaces, and the passes of a forward call. */
#include "cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int choose_isa(const char *name, const struct moed_isa **out, struct moed_error *err)
{
    char known[256] = "";
    size_t at = 0;

    *out = name != NULL && strcmp(name, "auto") != 0 ? moed_isa_by_name(name) : moed_isa_best();
    if (*out != NULL && (*out)->supported())
        return 0;
    for (size_t i = 0; moed_isa_at(i); i++)
        if (moed_isa_at(i)->supported() && at < sizeof known)
            at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "",
                                   moed_isa_at(i)->name);
    return moed_fail(err, *out != NULL ? MOED_E_UNSUPPORTED : MOED_E_USAGE,
                     "instruction set \"%s\" %s; this CPU has %s", name,
                     *out != NULL ? "is not one of this CPU's" : "is unknown", known);
}

static void cpu_close(struct moed_backend *backend)
{
    struct cpu_backend *cpu = (struct cpu_backend *)backend;

    resident_close(&cpu->resident);
    free(cpu);
}

static int cpu_open(const struct moed_model *model, const struct moed_backend_options *options,
                    struct moed_backend **out, struct moed_error *err)
{
    struct cpu_backend *cpu = calloc(1, sizeof *cpu);
    int status;

    if (cpu == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the backend");
    status = choose_isa(options->isa, &cpu->isa, err);
    if (status == 0)
        status = resident_open(model, options, cpu->isa, &cpu->resident, err);
    if (status != 0) {
        free(cpu);
        return status;
    }
    cpu->base.isa = cpu->isa->name;
    cpu->base.f32_rows = options->f32_rows;
    cpu->base.activations = options->f32_rows ? "f32" : "int8";
    cpu->base.threads = options->threads;
    cpu->solo_work = options->solo_work;
    cpu->base.bytes = cpu->resident.bytes;
    *out = &cpu->base;
    return 0;
}

/* ---- workspace ---- */

struct extent { /* the most that any layer needs */
    uint64_t hidden, experts, used, width, latent, cols;
    bool chunks;
};

static void raise_to(uint64_t *max, uint64_t value)
{
    *max = value > *max ? value : *max;
}

static struct extent extent_of(const struct moed_model *model)
{
    struct extent x = {0};

    for (uint32_t i = 0; i < model->n_layers; i++) {
        const struct moed_layer *l = &model->layers[i];

        raise_to(&x.hidden, l->hidden);
        raise_to(&x.experts, l->experts);
        raise_to(&x.used, l->used);
        raise_to(&x.width, l->routed.width);
        raise_to(&x.width, l->shared.width);
        raise_to(&x.width, l->chunks.width);
        x.chunks = x.chunks || l->chunk_size > 0;
        if (l->latent_down.tensor != NULL)
            raise_to(&x.latent, l->latent);
    }
    raise_to(&x.cols, x.hidden); /* the longest row that any product reads */
    raise_to(&x.cols, x.width);
    raise_to(&x.cols, x.latent);
    return x;
}

static bool scratch_init(struct cpu_scratch *s, const struct extent *x, uint64_t rows)
{
    s->decoded = moed_aligned_alloc(MOED_TILE_ROWS * x->cols, sizeof(float));
    s->gate = moed_aligned_alloc((uint64_t)BLOCK_ROWS * BLOCK_COLS, sizeof(float));
    s->up = moed_aligned_alloc((uint64_t)BLOCK_ROWS * BLOCK_COLS, sizeof(float));
    s->sum = moed_aligned_alloc(rows * TASK_BLOCKS * BLOCK_COLS, sizeof(float));
    s->route = moed_aligned_alloc(2 * x->experts, sizeof(float));
    return s->decoded != NULL && s->gate != NULL && s->up != NULL && s->sum != NULL &&
           s->route != NULL && cpu_gathered_init(&s->of_up, (uint32_t)x->cols) &&
           cpu_gathered_init(&s->of_gate, (uint32_t)x->cols);
}

static void scratch_fini(struct cpu_scratch *s)
{
    free(s->decoded);
    free(s->gate);
    free(s->up);
    free(s->sum);
    cpu_gathered_fini(&s->of_up);
    cpu_gathered_fini(&s->of_gate);
    free(s->route);
}

/* Storage for every prepared form of `rows` rows; nothing where the width is 0. */
static bool row_set_init(struct row_set *set, uint64_t rows, uint64_t width)
{
    for (int kind = 0; kind < MOED_ROWS_KINDS && width > 0; kind++) {
        if (kind == MOED_ROWS_F32)
            continue;
        set->prepared[kind] =
            moed_aligned_alloc(rows, moed_rows_bytes((enum moed_rows_kind)kind, (uint32_t)width));
        if (set->prepared[kind] == NULL)
            return false;
    }
    return true;
}

static void cpu_workspace_destroy(struct moed_workspace *workspace)
{
    struct cpu_workspace *ws = (struct cpu_workspace *)workspace;
    void *all[] = {ws->normed, ws->logits,        ws->latent_in, ws->latent_sum,
                   ws->act,    ws->shared_weight, ws->skip,      ws->shared,
                   ws->seen,   ws->act_outliers,  ws->n_outliers};

    for (uint32_t i = 0; ws->scratch != NULL && i < ws->base.backend->threads; i++)
        scratch_fini(&ws->scratch[i]);
    for (int kind = 0; kind < MOED_ROWS_KINDS; kind++) {
        free(ws->x.prepared[kind]);
        free(ws->latent.prepared[kind]);
    }
    for (size_t i = 0; i < MOED_ARRAY_LEN(all); i++)
        free(all[i]);
    free(ws->scratch);
    moed_plan_fini(&ws->plan);
    team_destroy(ws->team);
    free(ws);
}

static bool workspace_init(struct cpu_workspace *ws, const struct moed_backend *backend)
{
    const struct extent x = extent_of(backend->model);
    const uint64_t rows = ws->pass_rows;
    uint64_t planned;
    bool ok = true;

    ws->pairs = rows * x.used > x.experts ? rows * x.used : x.experts;
    planned = (x.chunks ? 2 : 1) * ws->pairs + rows;
    ws->normed = moed_aligned_alloc(rows * x.hidden, sizeof(float));
    ws->logits = moed_aligned_alloc(rows * x.experts, sizeof(float));
    ws->latent_in = moed_aligned_alloc(rows * x.latent + 1, sizeof(float));
    ws->latent_sum = moed_aligned_alloc(rows * x.latent + 1, sizeof(float));
    ws->act = moed_aligned_alloc(planned, moed_rows_bytes(MOED_ROWS_F32, (uint32_t)x.width));
    ws->outliers_each = moed_gather_outliers_max(1, (uint32_t)x.width);
    ws->act_outliers = moed_calloc(planned, ws->outliers_each * sizeof *ws->act_outliers);
    ws->n_outliers = moed_calloc(planned, sizeof *ws->n_outliers);
    ws->shared_weight = moed_calloc(rows, sizeof(float));
    ws->skip = moed_calloc(rows, 1);
    ws->shared = moed_calloc(rows, 1);
    ws->seen = moed_calloc(2 * x.experts + 1, 1);
    ws->scratch = moed_calloc(backend->threads, sizeof *ws->scratch);
    for (uint32_t i = 0; ok && ws->scratch != NULL && i < backend->threads; i++)
        ok = scratch_init(&ws->scratch[i], &x, rows);
    return ok && ws->scratch != NULL && ws->normed != NULL && ws->logits != NULL &&
           ws->latent_in != NULL && ws->latent_sum != NULL && ws->act != NULL &&
           ws->act_outliers != NULL && ws->n_outliers != NULL && ws->shared_weight != NULL &&
           ws->skip != NULL && ws->shared != NULL && ws->seen != NULL &&
           row_set_init(&ws->x, rows, x.hidden) && row_set_init(&ws->latent, rows, x.latent) &&
           moed_plan_init(&ws->plan, (uint32_t)x.experts, (uint32_t)planned) == 0;
}

static int cpu_workspace_create(struct moed_backend *backend, struct moed_workspace **out,
                                struct moed_error *err)
{
    struct cpu_workspace *ws = calloc(1, sizeof *ws);
    int status = MOED_E_NO_MEMORY;

    if (ws == NULL)
        goto no_memory;
    ws->base.backend = backend;
    ws->pass_rows = backend->max_rows < MAX_PASS_ROWS ? backend->max_rows : MAX_PASS_ROWS;
    if (!workspace_init(ws, backend))
        goto no_memory;
    status = team_create(backend->threads, &ws->team, err);
    if (status == 0)
        *out = &ws->base;
    else
        cpu_workspace_destroy(&ws->base);
    return status;
no_memory:
    if (ws != NULL)
        cpu_workspace_destroy(&ws->base);
    return moed_fail(err, status, "no memory for a workspace of %u rows", backend->max_rows);
}

/* ---- forward ---- */

static bool any_row(const struct pass *p, uint8_t flag)
{
    for (uint32_t t = 0; t < p->rows; t++)
        if (row_flags(p, t) & flag)
            return true;
    return false;
}

struct rows_task {
    struct pass *pass;
    void (*each)(struct pass *p, uint32_t row);
};

static void one_row(void *context, uint32_t row)
{
    const struct rows_task *task = context;

    task->each(task->pass, row);
}

void cpu_for_rows(struct pass *p, void (*each)(struct pass *p, uint32_t row))
{
    const uint32_t share = p->rows / (4 * p->threads); /* rows take about the same time each */
    struct rows_task task = {p, each};

    team_for(p->team, p->rows, share > 1 ? share : 1, one_row, &task);
}

static void run(struct pass *p)
{
    p->x = any_row(p, MOED_ROW_NORM) ? p->ws->normed : p->hidden;
    cpu_norm_rows(p);
    cpu_logits(p);
    cpu_topk(p);
    cpu_plan(p);
    cpu_prepare(p);
    cpu_gate_up(p);
    cpu_index(p);
    cpu_down(p);
    cpu_finish_rows(p);
}

/* Threads for `rows` rows of a layer. A row's bits do not depend on it. */
static uint32_t team_of(const struct cpu_backend *cpu, const struct moed_layer *spec, uint32_t rows)
{
    const uint64_t width = (uint64_t)spec->used * spec->routed.width + spec->shared.width;
    const uint64_t work = (3 * width + spec->experts) * spec->hidden * rows;

    return work < cpu->solo_work ? 1 : cpu->base.threads;
}

static int cpu_forward(struct moed_workspace *workspace, uint32_t layer_at,
                       struct moed_batch_rows *batch, struct moed_error *err)
{
    struct cpu_workspace *ws = (struct cpu_workspace *)workspace;
    struct cpu_backend *cpu = (struct cpu_backend *)workspace->backend;
    const struct resident_layer *layer = &cpu->resident.layers[layer_at];
    const struct moed_layer *spec = layer->spec;
    const uint64_t fit = ws->pairs / batch->slots;
    const uint32_t step = fit < ws->pass_rows ? (uint32_t)fit : ws->pass_rows;
    const uint32_t threads = team_of(cpu, spec, batch->rows);

    (void)err; /* arithmetic in memory that is there already cannot fail */
    memset(ws->seen, 0, resident_planned_count(layer));
    for (uint32_t t = 0; t < batch->rows; t += step) {
        const size_t row = t;
        struct pass p = {
            .ws = ws,
            .isa = cpu->isa,
            .layer = layer,
            .team = threads > 1 ? ws->team : NULL,
            .threads = threads,
            .rows = batch->rows - t < step ? batch->rows - t : step,
            .slots = batch->slots,
            .hidden = batch->hidden + row * spec->hidden,
            .output = batch->output + row * spec->hidden,
            .ids = batch->ids + row * batch->slots,
            .weights = batch->weights + row * batch->slots,
            .logits = batch->logits != NULL ? batch->logits + row * spec->experts : ws->logits,
            .flags = batch->flags != NULL ? batch->flags + row : NULL,
            .not_finite = batch->not_finite + row,
        };

        run(&p);
        batch->weight_bytes += p.weight_bytes;
    }
    for (uint32_t e = 0; e < resident_planned_count(layer); e++)
        batch->active_experts += ws->seen[e];
    return 0;
}

const struct moed_backend_ops moed_backend_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .workspace_create = cpu_workspace_create,
    .workspace_destroy = cpu_workspace_destroy,
    .forward = cpu_forward,
};
