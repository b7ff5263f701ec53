/* What the cuda backend knows without a device: which tensors make which matrices and what those
 * take, which types it refuses, how large its buffers are, and that a batch's results fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "src/model/model.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/tiny.h"
#include "kernels/formats.h"
#include "src/backend/cuda/workspace.h"

#define HIDDEN  512
#define WIDTH   256
#define EXPERTS 6

static struct moed_model *open_tiny(const char *type)
{
    const struct tiny_spec spec = {.layers = 2,
                                   .hidden = HIDDEN,
                                   .width = WIDTH,
                                   .experts = EXPERTS,
                                   .used = 2,
                                   .type = type,
                                   .seed = 1};
    struct moed_model *model;
    struct moed_error err;
    char path[256];

    tiny_write(&spec, path);
    if (moed_model_open(path, NULL, &model, &err) != 0)
        fail_msg("%s", err.message);
    unlink(path);
    return model;
}

static void lay_out(const struct moed_layer *spec, struct cuda_layer *out)
{
    struct moed_error err;

    *out = (struct cuda_layer){0};
    if (cuda_lay_out(spec, out, &err) != MOED_OK)
        fail_msg("%s", err.message);
}

/* ---- matrices ---- */

static void check_matrix(const struct moed_cuda_matrix *m, uint32_t rows, uint32_t cols)
{
    assert_int_equal(m->rows, rows);
    assert_int_equal(m->cols, cols);
    assert_int_equal(m->count, EXPERTS);
    assert_int_equal(m->blocks, rows / MOED_CUDA_TILE_ROWS);
    assert_int_equal(m->block_bytes, (uint64_t)(cols / m->format->chunk) * m->format->tile_bytes);
    assert_int_equal(m->expert_bytes, m->blocks * m->block_bytes);
    assert_int_equal(m->block_bytes % 16, 0); /* as copies want them */
}

static void gate_and_up_of_one_type_are_one_matrix(void **state)
{
    static const char *const types[] = {"F32",  "BF16", "Q8_0", "Q4_0",
                                        "Q2_K", "Q4_K", "Q6_K", "MXFP4"};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(types); i++) {
        struct moed_model *model = open_tiny(types[i]);
        struct cuda_source sources[CUDA_MATRICES];
        struct cuda_layer layer;

        lay_out(moed_model_layer(model, 0), &layer);
        assert_null(layer.banks[0].gate.format);
        assert_true(layer.banks[0].up.interleaved);
        assert_false(layer.banks[0].down.interleaved);
        check_matrix(&layer.banks[0].up, 2 * WIDTH, HIDDEN);
        check_matrix(&layer.banks[0].down, HIDDEN, WIDTH);
        assert_null(layer.banks[1].up.format); /* no shared expert */
        assert_int_equal(layer.fast, strcmp(types[i], "F32") != 0);

        assert_int_equal(cuda_sources(&layer, sources), 2);
        assert_ptr_equal(sources[0].from[0], &layer.spec->routed.gate);
        assert_ptr_equal(sources[0].from[1], &layer.spec->routed.up);
        assert_ptr_equal(sources[1].from[0], &layer.spec->routed.down);
        assert_null(sources[1].from[1]);
        moed_model_close(model);
    }
}

static void of_two_types_they_are_two(void **state)
{
    struct moed_model *model = open_tiny("Q4_K");
    struct moed_layer spec = *moed_model_layer(model, 0);
    struct cuda_source sources[CUDA_MATRICES];
    struct cuda_layer layer;

    (void)state;
    spec.routed.gate.format = moed_format_by_name("Q5_K");
    lay_out(&spec, &layer);
    assert_string_equal(layer.banks[0].gate.format->name, "Q5_K");
    assert_string_equal(layer.banks[0].up.format->name, "Q4_K");
    assert_false(layer.banks[0].up.interleaved);
    check_matrix(&layer.banks[0].gate, WIDTH, HIDDEN);
    check_matrix(&layer.banks[0].up, WIDTH, HIDDEN);
    assert_int_equal(cuda_sources(&layer, sources), 3);
    for (int i = 0; i < 3; i++)
        assert_null(sources[i].from[1]);
    moed_model_close(model);
}

static void other_types_are_refused_by_name(void **state)
{
    static const char *const types[] = {"IQ2_XXS", "IQ3_S", "IQ1_M", "TQ2_0"};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(types); i++) {
        struct moed_model *model = open_tiny(types[i]);
        struct cuda_layer layer = {0};
        struct moed_error err;

        assert_int_equal(cuda_lay_out(moed_model_layer(model, 1), &layer, &err),
                         MOED_E_UNSUPPORTED);
        assert_non_null(strstr(err.message, types[i]));
        assert_non_null(strstr(err.message, "blk.1.ffn_up_exps.weight"));
        moed_model_close(model);
    }
}

static void a_matrix_that_does_not_fit_is_refused(void **state)
{
    struct moed_model *model = open_tiny("Q8_0");
    struct moed_layer spec = *moed_model_layer(model, 0);
    struct cuda_layer layer = {0};
    struct moed_error err;

    (void)state;
    spec.routed.down.cols = UINT32_MAX;
    assert_int_equal(cuda_lay_out(&spec, &layer, &err), MOED_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "too large"));
    moed_model_close(model);
}

/* ---- sizes ---- */

static void a_layer_takes_its_tiles_and_vectors(void **state)
{
    struct moed_model *model = open_tiny("Q6_K");
    struct cuda_layer layer;
    uint64_t tiles;

    (void)state;
    lay_out(moed_model_layer(model, 0), &layer);
    tiles = EXPERTS * (layer.banks[0].up.expert_bytes + layer.banks[0].down.expert_bytes);
    assert_true(tiles >= EXPERTS * UINT64_C(3) * HIDDEN * WIDTH * 210 / 256); /* the file's */
    assert_true(tiles < EXPERTS * UINT64_C(3) * HIDDEN * WIDTH * 215 / 256);
    assert_true(cuda_layer_bytes(&layer) >=
                tiles + 2 * MOED_CUDA_SLACK + EXPERTS * HIDDEN * sizeof(float));
    assert_true(cuda_layer_bytes(&layer) <
                tiles + 2 * MOED_CUDA_SLACK + (EXPERTS + 4) * HIDDEN * sizeof(float));
    moed_model_close(model);
}

static void experts_weigh_what_the_file_has(void **state)
{
    struct moed_model *model = open_tiny("Q4_K");
    const struct moed_layer *spec = moed_model_layer(model, 0);

    (void)state;
    for (uint32_t e = 0; e < EXPERTS; e++)
        assert_int_equal(cuda_planned_bytes(spec, e), 3 * HIDDEN * WIDTH * 144 / 256);
    assert_int_equal(cuda_planned_bytes(spec, EXPERTS), 0); /* the shared one */
    moed_model_close(model);
}

static void buffers_grow_with_rows(void **state)
{
    struct moed_model *model = open_tiny("Q4_K");
    uint64_t before = 0;

    (void)state;
    for (uint32_t rows = 1; rows <= 1U << 16; rows *= 4) {
        const struct cuda_extent x = cuda_extent_of(model, rows);
        const uint64_t bytes = cuda_buffers_size(&x);

        assert_int_equal(x.rows, rows);
        assert_int_equal(x.hidden, HIDDEN);
        assert_int_equal(x.width, WIDTH);
        assert_int_equal(x.planned, EXPERTS + 1);
        assert_int_equal(x.slots, rows * 2 > EXPERTS ? rows * 2 : EXPERTS);
        assert_int_equal(x.pairs, x.slots + rows);
        assert_true(bytes > before);
        /* Rows in, as f16 and out, and of each pair its activations and its part of the sum. */
        assert_true(bytes >= x.rows * HIDDEN * (4 + 2 + 4) + x.pairs * (WIDTH * 2 + HIDDEN * 4));
        before = bytes;
    }
    moed_model_close(model);
}

/* Rows × slots of any shape that a batch may have fit where the extent left them room. */
static void results_fit_whatever_their_shape(void **state)
{
    struct moed_model *model = open_tiny("Q4_K");
    const struct cuda_extent x = cuda_extent_of(model, 300);

    (void)state;
    for (uint32_t slots = 1; slots <= x.slots; slots++)
        for (uint32_t rows = 1; rows <= 300 && (uint64_t)rows * slots <= x.slots; rows++) {
            const struct cuda_meta m = cuda_meta_of(rows, slots, (uint32_t)x.planned);

            assert_int_equal(m.any_retry, 0);
            assert_true(m.count >= sizeof(uint32_t));
            assert_true(m.not_finite >= m.count + x.planned * sizeof(uint32_t));
            assert_true(m.ids >= m.not_finite + rows);
            assert_true(m.weights >= m.ids + (uint64_t)rows * slots * sizeof(int32_t));
            assert_true(m.bytes >= m.weights + (uint64_t)rows * slots * sizeof(float));
            assert_int_equal((m.count | m.ids | m.weights) % 16, 0);
            assert_true(m.bytes <= cuda_meta_room(&x));
        }
    moed_model_close(model);
}

/* ---- a device that failed ---- */

static void a_failed_backend_is_not_asked_again(void **state)
{
    struct cuda_backend cuda = {0};
    struct cuda_workspace workspace = {.base = {.backend = &cuda.base}};
    struct moed_batch_rows rows = {.rows = 1, .slots = 1};
    struct moed_error err;

    (void)state;
    atomic_store(&cuda.base.failed, true);
    assert_int_equal(cuda_forward(&workspace.base, 0, &rows, &err), MOED_E_DEVICE);
    assert_non_null(strstr(err.message, "failed before"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gate_and_up_of_one_type_are_one_matrix),
        cmocka_unit_test(of_two_types_they_are_two),
        cmocka_unit_test(other_types_are_refused_by_name),
        cmocka_unit_test(a_matrix_that_does_not_fit_is_refused),
        cmocka_unit_test(a_layer_takes_its_tiles_and_vectors),
        cmocka_unit_test(experts_weigh_what_the_file_has),
        cmocka_unit_test(buffers_grow_with_rows),
        cmocka_unit_test(results_fit_whatever_their_shape),
        cmocka_unit_test(a_failed_backend_is_not_asked_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
