/* bench_kernels: each packed product of each instruction set that this CPU has, one thread, the
 * weights in the cache: what the arithmetic costs when memory does not. Beside it what packing
 * costs. Usage: bench_kernels [ISA [TYPE]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/base.h"

#include "kernels/cpu/peak.h"
#include "kernels/panel.h"

enum { WEIGHTS = 32, COLS = 2048, MAX_ROWS = 16, RUNS = 21, RUN_NS = 1000000 };

static const uint32_t row_counts[] = {1, 4, MAX_ROWS};

struct bench {
    const struct moed_isa *isa;
    const struct moed_product *product;
    const struct moed_format *format;
    uint64_t row_bytes, panel_bytes;
    uint8_t *file, *packed, *rows;
    uint8_t *data;
    struct moed_outlier *outliers;
    struct moed_gather gathered;
    uint32_t n;
    float out[MAX_ROWS * WEIGHTS];
};

static void *or_die(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "bench_kernels: no memory\n");
        exit(1);
    }
    return memory;
}

/* ---- what is timed ---- */

static void multiply(struct bench *b)
{
    const struct moed_panels view = {.data = b->packed,
                                     .panel_bytes = b->panel_bytes,
                                     .panels = WEIGHTS / MOED_PANEL_ROWS,
                                     .cols = COLS};

    b->product->multiply(&view, &b->gathered, b->out, WEIGHTS);
}

static void gather(struct bench *b)
{
    const struct moed_gather_shape shape = {b->product->rows, COLS, b->product->height};
    const size_t bytes = moed_rows_bytes(b->product->rows, COLS);

    for (uint32_t i = 0; i < b->n; i++)
        moed_gather_row(&shape, b->n, i, b->rows + i * bytes, b->data);
    moed_gather_view(&shape, b->n, b->data, b->outliers, &b->gathered);
}

static void pack(struct bench *b)
{
    for (uint32_t w = 0; w < WEIGHTS; w += MOED_PANEL_ROWS)
        moed_panel_pack(moed_panel_layout_of(b->format), b->file + w * b->row_bytes, b->row_bytes,
                        MOED_PANEL_ROWS, COLS, b->packed + w / MOED_PANEL_ROWS * b->panel_bytes);
}

/* ---- timing ---- */

static double ns_of(void (*step)(struct bench *), struct bench *b, uint64_t times)
{
    const uint64_t begin = moed_now_ns();

    for (uint64_t i = 0; i < times; i++)
        step(b);
    return (double)(moed_now_ns() - begin) / (double)times;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median of RUNS runs of about RUN_NS each. */
static double median_ns(void (*step)(struct bench *), struct bench *b)
{
    const double once = ns_of(step, b, 2);
    const uint64_t times = once < RUN_NS ? (uint64_t)(RUN_NS / once) + 1 : 1;
    double ns[RUNS];

    for (int i = 0; i < RUNS; i++)
        ns[i] = ns_of(step, b, times);
    qsort(ns, RUNS, sizeof(ns[0]), ascending);
    return ns[RUNS / 2];
}

/* The best of RUNS, in 10^9 operations a second. */
static double peak_gops(const struct moed_peak *peak)
{
    enum { ROUNDS = 40000 };
    volatile uint32_t used = 0;
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < RUNS; i++) {
        const uint64_t begin = moed_now_ns();

        used = used + peak->run(ROUNDS);
        const uint64_t elapsed = moed_now_ns() - begin;

        best = elapsed < best ? elapsed : best;
    }
    return (double)peak->ops * ROUNDS / (double)best;
}

/* ---- the table ---- */

static void make_inputs(struct bench *b)
{
    const size_t bytes = moed_rows_bytes(b->product->rows, COLS);
    struct moed_random random;
    float x[COLS];

    moed_random_seed(&random, 1);
    moed_format_row_bytes(b->format, COLS, &b->row_bytes);
    moed_panel_bytes(moed_panel_layout_of(b->format), COLS, &b->panel_bytes);
    b->file = or_die(moed_aligned_alloc(WEIGHTS, b->row_bytes));
    b->packed = or_die(moed_aligned_alloc(WEIGHTS / MOED_PANEL_ROWS, b->panel_bytes));
    b->rows = or_die(moed_aligned_alloc(MAX_ROWS, bytes));
    b->data = or_die(moed_aligned_alloc(MAX_ROWS, bytes));
    b->outliers =
        or_die(moed_calloc(moed_gather_outliers_max(MAX_ROWS, COLS), sizeof *b->outliers));
    b->format->fill(&random, 0.02F, b->file, (size_t)WEIGHTS * COLS);
    for (uint32_t i = 0; i < MAX_ROWS; i++) {
        for (uint32_t c = 0; c < COLS; c++)
            x[c] = moed_random_gaussian(&random);
        b->isa->prepare(b->product->rows, x, COLS, b->rows + i * bytes);
    }
}

static void report(const struct moed_isa *isa, const struct moed_product *product, double peak)
{
    struct bench b = {
        .isa = isa, .product = product, .format = moed_format_by_name(product->format)};
    double file_bytes, packed_bytes;

    make_inputs(&b);
    file_bytes = (double)b.row_bytes * WEIGHTS;
    packed_bytes = (double)b.panel_bytes * WEIGHTS / MOED_PANEL_ROWS;
    printf("%-10s  %-7s  %7.2f", isa->name, product->format, file_bytes / median_ns(pack, &b));
    for (size_t i = 0; i < MOED_ARRAY_LEN(row_counts); i++) {
        double ns, gops;

        b.n = row_counts[i];
        gather(&b);
        ns = median_ns(multiply, &b);
        gops = 2.0 * WEIGHTS * COLS * b.n / ns;
        printf("  |  %7.2f  %6.1f  %7.1f  %4.0f%%", ns * 256 / (WEIGHTS * COLS), packed_bytes / ns,
               gops, 100 * gops / peak);
    }
    putchar('\n');
    fflush(stdout);
    free(b.file);
    free(b.packed);
    free(b.rows);
    free(b.data);
    free(b.outliers);
}

static void report_isa(const struct moed_isa *isa, const char *type)
{
    double gops[MOED_ROWS_KINDS] = {0};

    for (const struct moed_product *p = isa->products; p->format; p++) {
        const struct moed_peak *peak = moed_peak_of(isa, p->rows);

        if (type != NULL && strcmp(type, p->format) != 0)
            continue;
        if (gops[p->rows] <= 0) {
            gops[p->rows] = peak_gops(peak);
            printf("%-10s  %s: %.1f GOPS\n", isa->name, peak->name, gops[p->rows]);
        }
        report(isa, p, gops[p->rows]);
    }
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL;

    printf(
        "one thread; %d weight rows x %d; a row count's columns: ns for 256 weights and all "
        "rows, packed GB/s, GOPS, of the peak\n",
        WEIGHTS, COLS);
    printf("%-10s  %-7s  %7s", "isa", "type", "pack");
    for (size_t i = 0; i < MOED_ARRAY_LEN(row_counts); i++)
        printf("  |  n=%-5u  %6s  %7s  %5s", row_counts[i], "GB/s", "GOPS", "peak");
    putchar('\n');
    for (size_t i = 0; moed_isa_at(i); i++)
        if (moed_isa_at(i)->supported() &&
            (only == NULL || strcmp(only, moed_isa_at(i)->name) == 0))
            report_isa(moed_isa_at(i), argc > 2 ? argv[2] : NULL);
    return 0;
}
