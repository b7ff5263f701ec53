/* Tiles of the CUDA backend: packing moves codes and scales and loses nothing, for every format,
 * plain and interleaved, whole blocks of rows or not; a tile's values are the decoder's; and what
 * tiles cost in bytes. By the host's form of the same code, so that it needs no device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda.h"
#include "kernels/formats.h"
#include "kernels/panel.h"

struct sample { /* a matrix in both forms */
    const struct moed_format *format;
    struct moed_cuda_matrix matrix;
    uint64_t row_bytes;
    uint32_t rows;    /* of one source */
    uint8_t *file[2]; /* gate and up, or one matrix */
    uint8_t *tiles;
};

static void sample_init(struct sample *s, const struct moed_cuda_format *format, bool interleaved,
                        uint32_t rows, uint32_t cols)
{
    s->format = moed_format_by_name(format->name);
    s->rows = rows;
    s->matrix = (struct moed_cuda_matrix){.format = format,
                                          .rows = interleaved ? 2 * rows : rows,
                                          .cols = cols,
                                          .count = 1,
                                          .interleaved = interleaved};
    assert_true(moed_format_row_bytes(s->format, cols, &s->row_bytes));
    assert_true(moed_cuda_matrix_shape(&s->matrix));
    s->tiles = calloc(1, s->matrix.expert_bytes + 16);
    for (int i = 0; i < 2; i++)
        s->file[i] = malloc(rows * s->row_bytes);
}

static void sample_pack(struct sample *s)
{
    const struct moed_cuda_source source = {{s->file[0], s->file[1]}, s->row_bytes};

    memset(s->tiles + s->matrix.expert_bytes, 0xa5, 16);
    s->matrix.format->pack_host(&s->matrix, &source, s->tiles);
    for (int i = 0; i < 16; i++)
        assert_int_equal(s->tiles[s->matrix.expert_bytes + (uint64_t)i], 0xa5);
}

static void sample_fini(struct sample *s)
{
    free(s->tiles);
    free(s->file[0]);
    free(s->file[1]);
}

/* Random bytes, not values: every bit of a block must come back. */
static void round_trip(const struct moed_cuda_format *format, bool interleaved, uint32_t rows,
                       uint32_t cols)
{
    struct moed_random r;
    struct sample s;
    uint8_t *back[2];

    sample_init(&s, format, interleaved, rows, cols);
    moed_random_seed(&r, rows * 7919U + cols);
    for (int i = 0; i < 2; i++) {
        for (uint64_t at = 0; at < rows * s.row_bytes; at++)
            s.file[i][at] = (uint8_t)moed_random_below(&r, 256);
        back[i] = calloc(rows, s.row_bytes);
    }
    sample_pack(&s);
    format->unpack_host(&s.matrix, s.tiles, back, s.row_bytes);
    for (int i = 0; i < 1 + interleaved; i++)
        if (memcmp(s.file[i], back[i], rows * s.row_bytes) != 0)
            fail_msg("%s: %u rows of %u inputs came back different", format->name, rows, cols);
    free(back[0]);
    free(back[1]);
    sample_fini(&s);
}

static void packing_loses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; moed_cuda_format_at(i); i++) {
        const struct moed_cuda_format *format = moed_cuda_format_at(i);

        for (uint32_t rows = 1; rows <= 33; rows += 4)
            for (uint32_t blocks = 1; blocks <= 7; blocks += 2) {
                round_trip(format, false, rows, blocks * format->block);
                round_trip(format, true, rows, blocks * format->block);
            }
    }
}

/* Every type that panels hold as in the file has tiles, but for one. */
static void formats_are_those_of_panels(void **state)
{
    (void)state;
    for (size_t i = 0; moed_format_at(i); i++) {
        const struct moed_format *format = moed_format_at(i);
        const struct moed_panel_layout *layout = moed_panel_layout_of(format);
        const struct moed_cuda_format *tiled = moed_cuda_format_by_name(format->name);

        assert_int_equal(tiled != NULL, layout && !moed_panel_is_wide(layout) &&
                                            strcmp(format->name, "NVFP4") != 0);
        assert_true(!tiled || (tiled->block == format->block && tiled->bytes == format->bytes));
    }
}

/* Values, in every row and column, against the decoder of the file's form. */
static void check_values(const struct moed_cuda_format *format, uint32_t rows, uint32_t cols)
{
    float *expected = malloc(cols * sizeof *expected);
    struct moed_random r;
    struct sample s;

    sample_init(&s, format, false, rows, cols);
    moed_random_seed(&r, 3);
    s.format->fill(&r, 0.1F, s.file[0], (size_t)rows * cols);
    sample_pack(&s);
    for (uint32_t row = 0; row < rows; row++) {
        s.format->decode(s.file[0] + row * s.row_bytes, expected, cols);
        for (uint32_t k = 0; k < cols; k++) {
            const uint8_t *tile =
                s.tiles + row / 16 * s.matrix.block_bytes + k / format->chunk * format->tile_bytes;
            const float found = format->value_host(tile, row % 16, k % format->chunk);

            if (found != expected[k])
                fail_msg("%s, row %u, input %u: %g instead of %g", format->name, row, k,
                         (double)found, (double)expected[k]);
        }
    }
    free(expected);
    sample_fini(&s);
}

static void values_are_the_decoders(void **state)
{
    (void)state;
    for (size_t i = 0; moed_cuda_format_at(i); i++) {
        const struct moed_cuda_format *format = moed_cuda_format_at(i);

        check_values(format, 21, format->block == 1 ? 77 : 3 * format->block);
    }
}

/* A model takes at most 1.05 times its bytes in the file. */
static void tiles_are_as_small_as_blocks(void **state)
{
    (void)state;
    for (size_t i = 0; moed_cuda_format_at(i); i++) {
        const struct moed_cuda_format *format = moed_cuda_format_at(i);
        struct moed_cuda_matrix m = {.format = format,
                                     .rows = 2 * 768,
                                     .cols = 2880 / format->block * format->block,
                                     .count = 1,
                                     .interleaved = true};
        uint64_t row_bytes;

        assert_true(moed_format_row_bytes(moed_format_by_name(format->name), m.cols, &row_bytes));
        assert_true(moed_cuda_matrix_shape(&m));
        assert_true((double)m.expert_bytes <= 1.05 * 1536 * (double)row_bytes);
    }
}

static void huge_matrices_are_told(void **state)
{
    struct moed_cuda_matrix m = {.format = moed_cuda_format_by_name("F32"),
                                 .rows = UINT32_MAX / 4,
                                 .cols = UINT32_MAX / 4,
                                 .count = 1};

    (void)state;
    assert_false(moed_cuda_matrix_shape(&m));
    assert_null(moed_cuda_format_by_name("IQ2_XXS"));
}

static struct moed_cuda_range range_of(float weight, float scale)
{
    struct moed_cuda_range range;

    memcpy(&range.weight, &weight, sizeof weight);
    memcpy(&range.scale, &scale, sizeof scale);
    return range;
}

/* The largest scale becomes 2^-10 to 2^-9, since codes are subnormal f16 numbers; what f16 cannot
 * hold is told. */
static void units_suit_the_weights(void **state)
{
    const struct moed_cuda_format *format = moed_cuda_format_by_name("Q4_K");
    const struct moed_cuda_range usual = range_of(0.11F, 0.007F), small = range_of(3e-6F, 1e-7F);
    const struct moed_cuda_range large = range_of(3e4F, 2e3F), zero = range_of(0.0F, 0.0F);
    const struct moed_cuda_range lost = range_of(1e9F, 1e-3F), nan = range_of(NAN, 1.0F);
    const struct moed_cuda_range infinite = range_of(INFINITY, 1.0F);

    (void)state;
    assert_true(moed_cuda_unit(format, &usual) == 0x1p-2F);
    assert_true(moed_cuda_unit(format, &small) == 0x1p6F);
    assert_true(moed_cuda_unit(format, &large) == 0x1p-20F);
    assert_true(moed_cuda_unit(format, &zero) == 1.0F);
    assert_true(moed_cuda_unit(format, &lost) == 0.0F);
    assert_true(moed_cuda_unit(format, &nan) == 0.0F);
    assert_true(moed_cuda_unit(format, &infinite) == 0.0F);
    assert_true(moed_cuda_unit(moed_cuda_format_by_name("F16"), &large) == 1.0F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_those_of_panels),
        cmocka_unit_test(packing_loses_nothing),
        cmocka_unit_test(values_are_the_decoders),
        cmocka_unit_test(tiles_are_as_small_as_blocks),
        cmocka_unit_test(huge_matrices_are_told),
        cmocka_unit_test(units_suit_the_weights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
