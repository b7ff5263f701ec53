/* Every product of every instruction set that this CPU has, against float64 over the decoded
 * weights and the prepared rows: 1 to 33 rows, one to three panels, several widths. Outputs are
 * poisoned, and the same row must give the same bits whatever stands beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/dtype.h"
#include "kernels/panel.h"

#define MAX_ROWS   33
#define MAX_PANELS 3
#define LD         (MAX_PANELS * MOED_PANEL_ROWS + 5)
#define POISON     12345.0F

struct rig {
    const struct moed_isa *isa;
    const struct moed_product *product;
    const struct moed_format *format;
    uint32_t cols, weight_rows, panels;
    uint8_t *packed;
    uint8_t *rows;   /* MAX_ROWS prepared rows */
    float *weights;  /* [weight_rows, cols] decoded */
    double *meaning; /* [MAX_ROWS, cols] what the prepared rows stand for */
    struct moed_panels view;
    double rounding; /* of a product, to the sizes of its terms */
};

/* A prepared row as numbers: the reading that rows.h prescribes. */
static void read_row(enum moed_rows_kind kind, const uint8_t *row, uint32_t cols, double *out)
{
    for (uint32_t c = 0; c < cols; c++) {
        const struct moed_q8 *b = (const struct moed_q8 *)(const void *)row + c / 32;
        const uint32_t half = c % 32 / 16;
        float f;

        if (kind == MOED_ROWS_Q8) {
            out[c] = (double)b->scale[half] * b->q[c % 32];
            if (b->outlier[half] != 0.0F && b->outlier_at[half] == c % 32)
                out[c] = b->outlier[half];
        } else if (kind == MOED_ROWS_BF16) {
            moed_dtype_to_f32(MOED_BF16, row + (size_t)c * 2, &f, 1);
            out[c] = f;
        } else {
            memcpy(&f, row + (size_t)c * 4, 4);
            out[c] = f;
        }
    }
}

static void make_rows(struct rig *g, struct moed_random *r)
{
    const size_t bytes = moed_rows_bytes(g->product->rows, g->cols);
    float *x = malloc(g->cols * sizeof *x);

    g->rows = aligned_alloc(64, bytes * MAX_ROWS);
    g->meaning = malloc((size_t)MAX_ROWS * g->cols * sizeof *g->meaning);
    for (uint32_t i = 0; i < MAX_ROWS; i++) {
        for (uint32_t c = 0; c < g->cols; c++) /* some inputs are outliers, some rows are zero */
            x[c] = (i == 7 ? 0.0F : moed_random_gaussian(r)) * (c % 37 == 11 ? 50.0F : 1.0F);
        g->isa->prepare(g->product->rows, x, g->cols, g->rows + i * bytes);
        read_row(g->product->rows, g->rows + i * bytes, g->cols, g->meaning + (size_t)i * g->cols);
    }
    free(x);
}

/* Products with BF16 rows round weights alike; one that lies between two may go to either. */
static void round_weights(struct rig *g)
{
    uint16_t rounded;

    for (size_t i = 0; i < (size_t)g->weight_rows * g->cols; i++) {
        moed_dtype_from_f32(MOED_BF16, g->weights + i, &rounded, 1);
        moed_dtype_to_f32(MOED_BF16, &rounded, g->weights + i, 1);
    }
    if (strcmp(g->product->format, "BF16") != 0)
        g->rounding = 1e-4;
}

static void make_weights(struct rig *g, struct moed_random *r)
{
    uint64_t row_bytes;
    uint64_t panel_bytes;

    moed_format_row_bytes(g->format, g->cols, &row_bytes);
    moed_panel_bytes(moed_panel_layout_of(g->format), g->cols, &panel_bytes);

    uint8_t *file = malloc(row_bytes * g->weight_rows);

    g->packed = aligned_alloc(64, (panel_bytes * g->panels + 63) / 64 * 64);
    g->weights = malloc((size_t)g->weight_rows * g->cols * sizeof *g->weights);
    g->format->fill(r, 0.05F, file, (size_t)g->weight_rows * g->cols);
    for (uint32_t w = 0; w < g->weight_rows; w += MOED_PANEL_ROWS) {
        const uint32_t left = g->weight_rows - w;

        moed_panel_pack(moed_panel_layout_of(g->format), file + w * row_bytes, row_bytes,
                        left < MOED_PANEL_ROWS ? left : MOED_PANEL_ROWS, g->cols,
                        g->packed + w / MOED_PANEL_ROWS * panel_bytes);
    }
    for (uint32_t w = 0; w < g->weight_rows; w++)
        g->format->decode(file + w * row_bytes, g->weights + (size_t)w * g->cols, g->cols);
    if (g->product->rows == MOED_ROWS_BF16)
        round_weights(g);
    g->view = (struct moed_panels){.data = g->packed,
                                   .panel_bytes = panel_bytes,
                                   .panels = g->panels,
                                   .cols = g->cols,
                                   .next = g->packed,
                                   .next_bytes = panel_bytes * g->panels};
    free(file);
}

/* out[i × LD + w] for rows [first, first + n). */
static void multiply(const struct rig *g, uint32_t first, uint32_t n, float *out)
{
    const struct moed_gather_shape shape = {g->product->rows, g->cols, g->product->height};
    const size_t bytes = moed_rows_bytes(g->product->rows, g->cols);
    uint8_t *data = aligned_alloc(64, n * bytes);
    struct moed_outlier *outliers = malloc(moed_gather_outliers_max(n, g->cols) * sizeof *outliers);
    struct moed_gather x;

    for (uint32_t i = 0; i < n; i++)
        moed_gather_row(&shape, n, i, g->rows + (first + i) * bytes, data);
    moed_gather_view(&shape, n, data, outliers, &x);
    g->product->multiply(&g->view, &x, out, LD);
    free(outliers);
    free(data);
}

/* The product of row i and weight row w, and how large its rounding may be. */
static double expected(const struct rig *g, uint32_t i, uint32_t w, double *scale)
{
    double sum = 0.0;

    *scale = 1e-30;
    for (uint32_t c = 0; c < g->cols; c++) {
        const double term =
            g->meaning[(size_t)i * g->cols + c] * g->weights[(size_t)w * g->cols + c];

        sum += term;
        *scale += fabs(term);
    }
    return sum;
}

static void check_n(const struct rig *g, uint32_t n, float *all)
{
    float *out = malloc(MAX_ROWS * LD * sizeof *out);

    for (size_t i = 0; i < MAX_ROWS * LD; i++)
        out[i] = POISON;
    multiply(g, 0, n, out);
    for (uint32_t i = 0; i < MAX_ROWS; i++)
        for (uint32_t w = 0; w < LD; w++) {
            const float got = out[i * LD + w];

            if (i >= n || w >= g->panels * MOED_PANEL_ROWS)
                assert_true(got == POISON);
            else if (w < g->weight_rows && n > 1) /* the same bits as alone or among any others */
                assert_memory_equal(&got, &all[i * LD + w], sizeof got);
        }
    free(out);
}

static void check_values(const struct rig *g, float *all)
{
    for (uint32_t i = 0; i < MAX_ROWS; i++) {
        multiply(g, i, 1, all + (size_t)i * LD);
        for (uint32_t w = 0; w < g->weight_rows; w++) {
            double scale;
            const double want = expected(g, i, w, &scale);

            if (!(fabs(all[i * LD + w] - want) <= g->rounding * scale))
                fail_msg("%s %s: row %u, weight row %u: %g, expected %g", g->isa->name,
                         g->format->name, i, w, all[i * LD + w], want);
        }
    }
}

static void check_product(const struct moed_isa *isa, const struct moed_product *product)
{
    static const uint32_t weight_rows[] = {16, 32, 45, 7};
    struct moed_random r;

    moed_random_seed(&r, 11);
    for (uint32_t k = 0; k < 4; k++) {
        struct rig g = {.isa = isa, .product = product, .rounding = 2e-6};
        float *all = malloc(MAX_ROWS * LD * sizeof *all);

        g.format = moed_format_by_name(product->format);
        if (g.format->block == 1)
            g.cols = 3 + 29 * k;
        else /* the last are more than a walk takes at a time */
            g.cols = g.format->block * (k < 3 ? 1 + 2 * (k % 2) : 1120 / g.format->block + 1);
        g.weight_rows = weight_rows[k];
        g.panels = (g.weight_rows + MOED_PANEL_ROWS - 1) / MOED_PANEL_ROWS;
        make_rows(&g, &r);
        make_weights(&g, &r);
        check_values(&g, all);
        for (uint32_t n = 1; n <= MAX_ROWS; n++)
            check_n(&g, n, all);
        free(all);
        free(g.rows);
        free(g.meaning);
        free(g.packed);
        free(g.weights);
    }
}

static void every_product(void **state)
{
    (void)state;
    for (size_t i = 0; moed_isa_at(i); i++) {
        const struct moed_isa *isa = moed_isa_at(i);

        if (!isa->supported()) {
            print_message("skipped: this CPU has no %s\n", isa->name);
            continue;
        }
        for (const struct moed_product *p = isa->products; p->format; p++)
            check_product(isa, p);
    }
}

/* The bits of a code; 0 for formats that are not packed as they are. */
static uint32_t code_bits(const struct moed_format *format)
{
#define PLANE(bits, at, run)            (bits)
#define PLANE_BY(bits, at, run, shifts) (bits)
#define MOED_QUANT(id, NAME, block, bytes, scales, d_at, small_at, low, high, ...) \
    if (strcmp(format->name, #NAME) == 0)                                          \
        return (low) + (high);
#include "kernels/formats.def"
    return 0;
}

/* All codes at one end of their range, and all inputs at one end of theirs: the largest sums that
 * integers of a kernel must hold. */
static void check_ends(struct rig *g, uint32_t bits, int fill)
{
    const struct moed_panel_layout *layout = moed_panel_layout_of(g->format);
    const size_t blocks = g->cols / g->format->block;
    const size_t block = blocks > 0 ? (size_t)g->view.panel_bytes / blocks : 0;
    const size_t codes = (size_t)g->format->block * 2 * bits;
    uint64_t row_bytes;
    float out[2 * LD];

    moed_format_row_bytes(g->format, g->cols, &row_bytes);

    uint8_t *file = malloc(row_bytes * MOED_PANEL_ROWS);

    for (size_t b = 0; b < g->view.panel_bytes; b += block)
        memset(g->packed + b + (block - codes), fill, codes);
    moed_panel_unpack(layout, g->packed, MOED_PANEL_ROWS, g->cols, file, row_bytes);
    for (uint32_t w = 0; w < MOED_PANEL_ROWS; w++)
        g->format->decode(file + w * row_bytes, g->weights + (size_t)w * g->cols, g->cols);
    for (uint32_t i = 0; i < 2; i++) {
        multiply(g, i, 1, out + (size_t)i * LD);
        for (uint32_t w = 0; w < MOED_PANEL_ROWS; w++) {
            double scale;
            const double want = expected(g, i, w, &scale);

            if (!(fabs(out[i * LD + w] - want) <= g->rounding * scale))
                fail_msg("%s %s, codes of bytes %d: %g, expected %g", g->isa->name, g->format->name,
                         fill, out[i * LD + w], want);
        }
    }
    free(file);
}

static void codes_at_their_ends(void **state)
{
    struct moed_random r;

    (void)state;
    moed_random_seed(&r, 13);
    for (size_t i = 0; moed_isa_at(i); i++)
        for (const struct moed_product *p = moed_isa_at(i)->products;
             moed_isa_at(i)->supported() && p->format != NULL; p++) {
            struct rig g = {.isa = moed_isa_at(i), .product = p, .rounding = 2e-6};
            float x[256];

            g.format = moed_format_by_name(p->format);
            if (p->rows != MOED_ROWS_Q8 || code_bits(g.format) == 0)
                continue;
            g.cols = 256;
            g.weight_rows = MOED_PANEL_ROWS;
            g.panels = 1;
            make_rows(&g, &r);
            make_weights(&g, &r);
            for (uint32_t row = 0; row < 2; row++) {
                for (uint32_t c = 0; c < g.cols; c++)
                    x[c] = row == 0 ? 1.0F : -1.0F;
                g.isa->prepare(p->rows, x, g.cols, g.rows + row * moed_rows_bytes(p->rows, g.cols));
                for (uint32_t c = 0; c < g.cols; c++)
                    g.meaning[row * g.cols + c] = x[c];
            }
            check_ends(&g, code_bits(g.format), 0);
            check_ends(&g, code_bits(g.format), 255);
            free(g.rows);
            free(g.meaning);
            free(g.packed);
            free(g.weights);
        }
}

/* Rows are prepared by instructions of each set's own, and must be the same. */
static void all_prepare_alike(void **state)
{
    enum { cols = 32, times = 2000 };
    static const float special[] = {0.0F, NAN, INFINITY, 1e-37F, 40.0F, -40.0F, 3e38F, -0.0F};
    const struct moed_isa *first = moed_isa_at(0);
    struct moed_random r;

    (void)state;
    moed_random_seed(&r, 14);
    for (int t = 0; t < times; t++) {
        const bool few = t % 3 == 0;
        struct moed_q8 want, got;
        float x[cols];

        for (int c = 0; c < cols; c++)
            x[c] = few ? 0.0F : moed_random_gaussian(&r);
        for (int n = 0; n < t % 4; n++)
            x[(t * 7 + n * 11) % cols] = special[(t / 4 + n * 3) % 8];
        first->prepare(MOED_ROWS_Q8, x, cols, &want);
        for (size_t i = 1; moed_isa_at(i); i++) {
            if (!moed_isa_at(i)->supported())
                continue;
            moed_isa_at(i)->prepare(MOED_ROWS_Q8, x, cols, &got);
            assert_memory_equal(got.q, want.q, sizeof want.q);
            assert_memory_equal(got.minus, want.minus, sizeof want.minus);
            assert_int_equal(got.any_outlier, want.any_outlier);
            for (int h = 0; h < 2; h++) {
                assert_true(got.scale[h] == want.scale[h] ||
                            (isnan(got.scale[h]) && isnan(want.scale[h])));
                assert_true(got.outlier[h] == want.outlier[h]);
                if (want.outlier[h] != 0.0F)
                    assert_int_equal(got.outlier_at[h], want.outlier_at[h]);
            }
        }
    }
}

/* What rounding rows costs: int8 under a scale for 16, and outliers do not matter. */
static void prepared_rows_are_close(void **state)
{
    const struct moed_isa *isa = moed_isa_best();
    enum { cols = 4096 };
    static const float outliers[] = {1.0F, 8.0F, 1000.0F, 1e6F};
    uint8_t *row = aligned_alloc(64, moed_rows_bytes(MOED_ROWS_F32, cols));
    float *x = malloc(cols * sizeof *x);
    double *back = malloc(cols * sizeof *back);
    struct moed_random r;

    (void)state;
    moed_random_seed(&r, 12);
    for (int k = 0; k < 4; k++) {
        double error = 0.0;
        double size = 0.0;

        for (int c = 0; c < cols; c++)
            x[c] = moed_random_gaussian(&r) * (c % 100 == 3 ? outliers[k] : 1.0F);
        isa->prepare(MOED_ROWS_Q8, x, cols, row);
        read_row(MOED_ROWS_Q8, row, cols, back);
        for (int c = 0; c < cols; c++) {
            const struct moed_q8 *b = (const struct moed_q8 *)(const void *)row + c / 32;

            assert_true(fabs(back[c] - x[c]) <= 0.501 * b->scale[c % 32 / 16]); /* half a step */
            if (c % 100 == 3)
                continue;
            error += (back[c] - x[c]) * (back[c] - x[c]);
            size += (double)x[c] * x[c];
        }
        if (outliers[k] <= 1000.0F) /* beyond 128 times, the others must lose digits */
            assert_true(sqrt(error / size) < 0.0075 * (k == 2 ? 3 : 1));
    }
    free(row);
    free(x);
    free(back);
}

/* What overflowed on its way to a product must not come out of it as a number that looks good. */
static void what_is_not_finite_stays_so(void **state)
{
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    enum { cols = 32 };

    (void)state;
    for (size_t i = 0; moed_isa_at(i); i++)
        for (int n = 0; moed_isa_at(i)->supported() && n < 4 * cols * MOED_ROWS_KINDS; n++) {
            const enum moed_rows_kind kind = (enum moed_rows_kind)(n / (4 * cols));
            const int at = n % cols;
            uint8_t row[128] __attribute__((aligned(64)));
            float x[cols];
            double back[cols];

            for (int c = 0; c < cols; c++)
                x[c] = c == at ? bad[n / cols % 4] : (float)(c * 7 % 16) - 5.0F;
            moed_isa_at(i)->prepare(kind, x, cols, row);
            read_row(kind, row, cols, back);
            if (isfinite(back[at]))
                fail_msg("%s: rows of kind %d: %g at %d became %g", moed_isa_at(i)->name, (int)kind,
                         (double)x[at], at, back[at]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_product),
        cmocka_unit_test(codes_at_their_ends),
        cmocka_unit_test(all_prepare_alike),
        cmocka_unit_test(prepared_rows_are_close),
        cmocka_unit_test(what_is_not_finite_stays_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
