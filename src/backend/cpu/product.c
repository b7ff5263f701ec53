/* cpu_product: a block of a matrix times some rows, packed or not. */
#include "cpu.h"
#include "kernels/panel.h"

#include <stdlib.h>
#include <string.h>

static uint32_t rows_that_fit(size_t row_bytes)
{
    const size_t fit = GATHER_BYTES / row_bytes;

    if (fit < GATHER_LEAST)
        return GATHER_LEAST;
    return fit < BLOCK_ROWS ? (uint32_t)fit : BLOCK_ROWS;
}

uint32_t cpu_rows_at_once(const struct matrix *m)
{
    return rows_that_fit(moed_rows_bytes(rows_kind(m), m->cols));
}

void cpu_prefetch(const void *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 64)
        __builtin_prefetch((const uint8_t *)from + at);
}

struct moed_gather_shape cpu_shape(const struct matrix *m)
{
    return (struct moed_gather_shape){rows_kind(m), m->cols,
                                      m->product != NULL ? m->product->height : 1};
}

bool cpu_gathered_init(struct gathered *g, uint32_t cols)
{
    const size_t least = GATHER_LEAST * moed_rows_bytes(MOED_ROWS_F32, cols);

    g->data = moed_aligned_alloc(least > GATHER_BYTES ? least : GATHER_BYTES, 1);
    g->outliers = moed_calloc(moed_gather_outliers_max(BLOCK_ROWS, cols), sizeof *g->outliers);
    return g->data != NULL && g->outliers != NULL;
}

void cpu_gathered_fini(struct gathered *g)
{
    free(g->data);
    free(g->outliers);
}

void cpu_gather(const struct matrix *m, uint32_t n, struct gathered *g, struct inputs *in)
{
    const struct moed_gather_shape shape = cpu_shape(m);

    in->gathered.n = n;
    if (m->product == NULL)
        return;
    for (uint32_t i = 0; i < n; i++) {
        if (i + 1 < n) /* rows are anywhere in the batch: no prefetcher foresees the next */
            cpu_prefetch(in->rows[i + 1], moed_rows_bytes(shape.kind, shape.cols));
        moed_gather_row(&shape, n, i, in->rows[i], g->data);
    }
    moed_gather_view(&shape, n, g->data, g->outliers, &in->gathered);
}

static uint32_t block_cols(const struct block *b)
{
    const uint32_t left = b->matrix->rows - b->col;

    return left < BLOCK_COLS ? left : BLOCK_COLS;
}

static struct moed_panels panels_of(const struct block *b)
{
    const struct matrix *m = b->matrix;

    return (struct moed_panels){
        .data = matrix_expert(m, b->expert) + b->col / MOED_PANEL_ROWS * m->panel_bytes,
        .panel_bytes = m->panel_bytes,
        .panels = (block_cols(b) + MOED_PANEL_ROWS - 1) / MOED_PANEL_ROWS,
        .cols = m->cols,
    };
}

void cpu_prefetch_block(const struct block *b)
{
    const struct moed_panels panels = panels_of(b);

    if (b->matrix->product != NULL)
        cpu_prefetch(panels.data, panels.panels * panels.panel_bytes);
}

uint32_t cpu_product(const struct pass *p, const struct inputs *in, const struct block *block,
                     const struct block *next, float *tile)
{
    const struct matrix *m = block->matrix;

    if (m->product != NULL) {
        struct moed_panels panels = panels_of(block);

        if (next != NULL && next->matrix->product != NULL) {
            const struct moed_panels following = panels_of(next);

            panels.next = following.data;
            panels.next_bytes = following.panels * following.panel_bytes;
        }
        m->product->multiply(&panels, &in->gathered, tile, BLOCK_COLS);
    } else {
        const struct moed_weight_rows rows = {
            .format = m->format,
            .data = matrix_expert(m, block->expert) + block->col * m->row_bytes,
            .row_bytes = m->row_bytes,
            .rows = block_cols(block),
            .cols = m->cols,
        };

        p->isa->multiply_rows(&rows, (const float *const *)in->rows, in->gathered.n, tile,
                              BLOCK_COLS, scratch_of(p)->decoded);
    }
    return block_cols(block);
}

/* A matrix for all rows, in tasks of a block of columns and as many rows as are taken at a time. */
struct multiply {
    struct pass *pass;
    const struct matrix *matrix;
    const struct row_set *set;
    float *out;
    size_t ld;
    uint32_t col_blocks, step;
};

static void multiply_block(void *context, uint32_t task)
{
    const struct multiply *all = context;
    const struct pass *p = all->pass;
    const struct matrix *m = all->matrix;
    const uint32_t first = task / all->col_blocks * all->step;
    const uint32_t n = p->rows - first < all->step ? p->rows - first : all->step;
    const struct block block = {m, 0, task % all->col_blocks * BLOCK_COLS};
    struct cpu_scratch *s = scratch_of(p);
    struct inputs in;
    uint32_t cols;

    for (uint32_t i = 0; i < n; i++)
        in.rows[i] = row_of(all->set, rows_kind(m), first + i);
    cpu_gather(m, n, &s->of_up, &in);
    cols = cpu_product(p, &in, &block, NULL, s->up);
    for (uint32_t i = 0; i < n; i++)
        memcpy(all->out + (first + i) * all->ld + block.col, s->up + (size_t)i * BLOCK_COLS,
               cols * sizeof *all->out);
}

void cpu_multiply_all(struct pass *p, const struct matrix *m, const struct row_set *set, float *out,
                      size_t ld)
{
    const uint32_t step = cpu_rows_at_once(m);
    struct multiply all = {
        p, m, set, out, ld, .col_blocks = (m->rows + BLOCK_COLS - 1) / BLOCK_COLS, .step = step};

    team_for(p->team, all.col_blocks * ((p->rows + step - 1) / step), 1, multiply_block, &all);
}
