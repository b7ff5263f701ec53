/* cpu_product: a block of a matrix times some rows, packed or not. */
#include "cpu.h"
#include "kernels/panel.h"
#include "team.h"

#include <string.h>

uint32_t cpu_product(const struct pass *p, const struct product *product, float *tile)
{
    const struct matrix *m = product->matrix;
    const uint32_t left = m->rows - product->col;
    const uint32_t cols = left < BLOCK_COLS ? left : BLOCK_COLS;
    const uint8_t *expert = matrix_expert(m, product->expert);

    if (m->product) {
        const struct moed_panels panels = {
            .data = expert + product->col / MOED_PANEL_ROWS * m->panel_bytes,
            .panel_bytes = m->panel_bytes,
            .panels = (cols + MOED_PANEL_ROWS - 1) / MOED_PANEL_ROWS,
            .cols = m->cols,
        };

        m->product->multiply(&panels, product->rows, product->n, tile, BLOCK_COLS);
    } else {
        const struct moed_weight_rows rows = {
            .format = m->format,
            .data = expert + product->col * m->row_bytes,
            .row_bytes = m->row_bytes,
            .rows = cols,
            .cols = m->cols,
        };

        p->isa->multiply_rows(&rows, (const float *const *)product->rows, product->n, tile,
                              BLOCK_COLS, p->ws->scratch[team_rank()].decoded);
    }
    return cols;
}

void cpu_multiply_all(struct pass *p, const struct matrix *m, const struct row_set *set, float *out,
                      size_t ld)
{
    const uint32_t col_blocks = (m->rows + BLOCK_COLS - 1) / BLOCK_COLS;
    const uint32_t row_blocks = (p->rows + BLOCK_ROWS - 1) / BLOCK_ROWS;

#pragma omp for schedule(dynamic)
    for (uint32_t task = 0; task < col_blocks * row_blocks; task++) {
        const uint32_t first = task / col_blocks * BLOCK_ROWS;
        const void *rows[BLOCK_ROWS];
        float *tile = p->ws->scratch[team_rank()].up;
        struct product product = {.matrix = m, .col = task % col_blocks * BLOCK_COLS, .rows = rows};

        product.n = p->rows - first < BLOCK_ROWS ? p->rows - first : BLOCK_ROWS;
        for (uint32_t i = 0; i < product.n; i++)
            rows[i] = row_of(set, rows_kind(m), first + i);

        const uint32_t cols = cpu_product(p, &product, tile);

        for (uint32_t i = 0; i < product.n; i++)
            memcpy(out + (first + i) * ld + product.col, tile + (size_t)i * BLOCK_COLS,
                   cols * sizeof *out);
    }
}
