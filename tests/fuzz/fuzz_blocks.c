/* Fuzzes the number formats: whatever the bytes of a block are, decoding them, packing them into
 * panels and multiplying with them is safe, panels give the bytes back, and every instruction set
 * of this CPU computes what the decoded numbers say.
 *
 *   byte 0       which format         byte 2   weight rows          byte 4   seed of the rows
 *   byte 1       blocks a weight row  byte 3   activation rows      then     blocks, repeated */
#include "fuzz.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/dtype.h"
#include "kernels/panel.h"
#include "kernels/quant.h"

enum { HEADER = 5, MAX_WEIGHTS = 40, MAX_ROWS = 9, LD = 48 };

/* Beyond this a float32 on the way may overflow where the sum does not. */
#define COMPARABLE 1e30

struct fuzz {
    const struct moed_format *format;
    uint32_t cols, weights, rows;
    size_t row_bytes;
    uint8_t *file;          /* [weights] as in a file */
    float *decoded;         /* [weights, cols] */
    float *minimum;         /* [weights, cols] what the format takes off its scaled codes */
    bool scales_are_finite; /* whatever the bytes; a decoded number may still overflow */
    float *input;           /* [rows, cols] */
    uint8_t *packed;        /* NULL: the format has no panels */
    size_t panel_bytes;
};

/* The planes of a format with minimums: with codes of zero it decodes to the minimums alone. Their
 * rounding counts even where scaled codes and minimums cancel. */
static const struct {
    const char *format;
    struct moed_plane planes[2];
} with_minimums[] = {
#define MOED_QUANT(id, NAME, block, bytes, scales, d_at, small_at, low, high, ...) \
    {MOED_MINIMUM_##scales ? #NAME : "", {low, high}},
#include "kernels/formats.def"
};

static void *make(size_t n, size_t size)
{
    void *memory = calloc(n, size);

    FUZZ_CHECK(memory != NULL);
    return memory;
}

static void decode_all(const struct fuzz *f, const uint8_t *file, float *to)
{
    for (uint32_t w = 0; w < f->weights; w++)
        f->format->decode(file + w * f->row_bytes, to + (size_t)w * f->cols, f->cols);
}

static void find_minimums(struct fuzz *f)
{
    const size_t bytes = f->row_bytes * f->weights;
    uint8_t *copy = make(bytes, 1);

    f->minimum = make((size_t)f->weights * f->cols, sizeof(float));
    memcpy(copy, f->file, bytes);
    for (size_t i = 0; i < sizeof with_minimums / sizeof with_minimums[0]; i++) {
        if (strcmp(with_minimums[i].format, f->format->name) != 0)
            continue;
        for (size_t at = 0; at < bytes; at += f->format->bytes)
            for (int p = 0; p < 2; p++)
                memset(copy + at + with_minimums[i].planes[p].at, 0,
                       f->format->block / 8 * (size_t)with_minimums[i].planes[p].bits);
        decode_all(f, copy, f->minimum);
    }
    free(copy);
}

static void make_inputs(struct fuzz *f, uint8_t seed)
{
    struct moed_random r;

    moed_random_seed(&r, seed);
    f->input = make((size_t)f->rows * f->cols, sizeof(float));
    for (size_t i = 0; i < (size_t)f->rows * f->cols; i++) /* some are outliers, some are zero */
        f->input[i] =
            moed_random_below(&r, 5) == 0
                ? 0.0F
                : moed_random_gaussian(&r) * (moed_random_below(&r, 50) == 0 ? 100.0F : 1.0F);
}

static void check_packing(struct fuzz *f)
{
    const struct moed_panel_layout *layout = moed_panel_layout_of(f->format);
    const uint32_t panels = (f->weights + MOED_PANEL_ROWS - 1) / MOED_PANEL_ROWS;
    uint8_t *back = make(f->row_bytes * MOED_PANEL_ROWS, 1);
    uint64_t bytes;

    FUZZ_CHECK(moed_panel_bytes(layout, f->cols, &bytes));
    f->panel_bytes = bytes;
    f->packed = make(panels, bytes);
    for (uint32_t w = 0; w < f->weights; w += MOED_PANEL_ROWS) {
        const uint32_t left = f->weights - w;
        const uint32_t n = left < MOED_PANEL_ROWS ? left : MOED_PANEL_ROWS;
        const uint8_t *from = f->file + w * f->row_bytes;
        uint8_t *panel = f->packed + w / MOED_PANEL_ROWS * bytes;

        moed_panel_pack(layout, from, f->row_bytes, n, f->cols, panel);
        if (moed_panel_is_wide(layout))
            continue; /* the products say whether it means the same */
        moed_panel_unpack(layout, panel, n, f->cols, back, f->row_bytes);
        FUZZ_CHECK(memcmp(back, from, n * f->row_bytes) == 0);
    }
    free(back);
}

/* A prepared row as numbers (kernels/cpu/rows.h). */
static double prepared_at(enum moed_rows_kind kind, const uint8_t *row, uint32_t c)
{
    const struct moed_q8 *b = (const struct moed_q8 *)(const void *)row + c / 32;
    const uint32_t half = c % 32 / 16;
    float value;

    if (kind == MOED_ROWS_Q8)
        return b->outlier[half] != 0.0F && b->outlier_at[half] == c % 32
                   ? b->outlier[half]
                   : (double)b->scale[half] * b->q[c % 32];
    moed_dtype_to_f32(kind == MOED_ROWS_BF16 ? MOED_BF16 : MOED_F32,
                      row + (kind == MOED_ROWS_BF16 ? 2 : 4) * (size_t)c, &value, 1);
    return value;
}

/* `row` is activation row i in the form of `kind`; `out` its products with all weight rows. */
static void check_row(const struct fuzz *f, enum moed_rows_kind kind, const uint8_t *row,
                      const float *out, double tolerance)
{
    for (uint32_t w = 0; w < f->weights; w++) {
        double sum = 0.0;
        double size = 0.0;
        double largest = 0.0;

        for (uint32_t c = 0; c < f->cols; c++) {
            const double x = prepared_at(kind, row, c);
            const double weight = f->decoded[(size_t)w * f->cols + c];
            const double parts =
                fabs(weight) + 2 * fabs((double)f->minimum[(size_t)w * f->cols + c]);

            sum += x * weight;
            size += fabs(x) * parts;
            largest = !(parts <= largest) ? parts : largest;
        }
        if (!isfinite(largest)) /* a scale that is none spoils its whole row, nowhere else */
            FUZZ_CHECK(!isfinite(out[w]) || f->scales_are_finite);
        else if (largest < COMPARABLE && size < COMPARABLE)
            FUZZ_CHECK(fabs(out[w] - sum) <= tolerance * size + 1e-30);
    }
}

static void check_rows_as_in_the_file(const struct fuzz *f, const struct moed_isa *isa)
{
    const struct moed_weight_rows view = {f->format, f->file, f->row_bytes, f->weights, f->cols};
    float *scratch = aligned_alloc(64, (size_t)MOED_TILE_ROWS * f->cols * 4 / 64 * 64 + 64);
    float *out = make((size_t)MAX_ROWS * LD, sizeof(float));
    const float *rows[MAX_ROWS];

    FUZZ_CHECK(scratch != NULL);
    for (uint32_t i = 0; i < f->rows; i++)
        rows[i] = f->input + (size_t)i * f->cols;
    isa->multiply_rows(&view, rows, f->rows, out, LD, scratch);
    for (uint32_t i = 0; i < f->rows; i++)
        check_row(f, MOED_ROWS_F32, (const uint8_t *)rows[i], out + (size_t)i * LD, 2e-6);
    free(out);
    free(scratch);
}

static void check_product(const struct fuzz *f, const struct moed_isa *isa,
                          const struct moed_product *product)
{
    const size_t bytes = moed_rows_bytes(product->rows, f->cols);
    const struct moed_panels view = {.data = f->packed,
                                     .panel_bytes = f->panel_bytes,
                                     .panels = (f->weights + MOED_PANEL_ROWS - 1) / MOED_PANEL_ROWS,
                                     .cols = f->cols};
    /* Quantised weights that meet BF16 rows stand on 128 until their sum is scaled. */
    const bool on_128 = product->rows == MOED_ROWS_BF16 && f->format->block > 1;
    const struct moed_gather_shape shape = {product->rows, f->cols, product->height};
    uint8_t *prepared = aligned_alloc(64, bytes * MAX_ROWS);
    uint8_t *gathered = aligned_alloc(64, bytes * MAX_ROWS);
    struct moed_outlier *outliers =
        make(moed_gather_outliers_max(MAX_ROWS, f->cols), sizeof *outliers);
    float *out = make((size_t)MAX_ROWS * LD, sizeof(float));
    struct moed_gather x;

    FUZZ_CHECK(prepared != NULL && gathered != NULL);
    for (uint32_t i = 0; i < f->rows; i++) {
        isa->prepare(product->rows, f->input + (size_t)i * f->cols, f->cols, prepared + i * bytes);
        moed_gather_row(&shape, f->rows, i, prepared + i * bytes, gathered);
    }
    moed_gather_view(&shape, f->rows, gathered, outliers, &x);
    product->multiply(&view, &x, out, LD);
    for (uint32_t i = 0; i < f->rows; i++)
        check_row(f, product->rows, prepared + i * bytes, out + (size_t)i * LD,
                  on_128 ? 1e-4 : 2e-6);
    free(out);
    free(outliers);
    free(gathered);
    free(prepared);
}

static bool read_shape(struct fuzz *f, const uint8_t *data, size_t size)
{
    uint64_t row_bytes;
    uint32_t formats = 1; /* there are some */

    if (size <= HEADER)
        return false;
    while (moed_format_at(formats) != NULL)
        formats++;
    f->format = moed_format_at(data[0] % formats);
    if (f->format->decode == NULL)
        return false;
    /* Formats of single elements: odd widths too. */
    f->cols = f->format->block > 1 ? f->format->block * (data[1] % 4 + 1U) : data[1] + 1U;
    f->weights = data[2] % MAX_WEIGHTS + 1U;
    f->rows = data[3] % MAX_ROWS + 1U;
    FUZZ_CHECK(moed_format_row_bytes(f->format, f->cols, &row_bytes));
    f->row_bytes = row_bytes;
    f->scales_are_finite = strcmp(f->format->name, "MXFP4") == 0;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {0};

    if (!read_shape(&f, data, size))
        return 0;
    f.file = make(f.weights, f.row_bytes);
    for (size_t i = 0; i < f.weights * f.row_bytes; i++)
        f.file[i] = data[HEADER + i % (size - HEADER)];
    f.decoded = make((size_t)f.weights * f.cols, sizeof(float));
    decode_all(&f, f.file, f.decoded);
    find_minimums(&f);
    make_inputs(&f, data[4]);
    if (moed_panel_layout_of(f.format) != NULL)
        check_packing(&f);
    for (size_t i = 0; moed_isa_at(i); i++) {
        const struct moed_isa *isa = moed_isa_at(i);
        const struct moed_product *product = moed_isa_product(isa, f.format);

        if (!isa->supported())
            continue;
        check_rows_as_in_the_file(&f, isa);
        if (product != NULL)
            check_product(&f, isa, product);
    }
    free(f.packed);
    free(f.input);
    free(f.minimum);
    free(f.decoded);
    free(f.file);
    return 0;
}
