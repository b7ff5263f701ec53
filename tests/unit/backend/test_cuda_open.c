/* Opening the cuda backend: what it refuses and how it says so, with a device and without; that
 * what lies on the device is what the file has; and what happens once a device has failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_rig.h"
#include "device.h"
#include "src/backend/cuda/workspace.h"

static const struct tiny_spec plain = {
    .layers = 2, .hidden = 256, .width = 256, .experts = 6, .used = 2, .type = "Q5_K", .seed = 5};

/* The message of an open that must fail with `code`. */
static const char *refusal(const struct tiny_spec *spec, struct moed_backend_options options,
                           int code)
{
    static struct moed_error err;
    struct moed_backend *backend = NULL;
    struct moed_model *model;
    char path[256];

    tiny_write(spec, path);
    assert_int_equal(moed_model_open(path, NULL, &model, NULL), 0);
    options.name = options.name ? options.name : "cuda";
    assert_int_equal(moed_backend_open(model, &options, &backend, &err), code);
    moed_model_close(model);
    remove(path);
    return err.message;
}

static const char *auto_backend(const struct tiny_spec *spec)
{
    static char name[32];
    const struct moed_backend_options options = {.max_rows = 8};
    struct moed_backend *backend;
    struct moed_model *model;
    struct moed_error err;
    char path[256];

    tiny_write(spec, path);
    assert_int_equal(moed_model_open(path, NULL, &model, NULL), 0);
    if (moed_backend_open(model, &options, &backend, &err) != 0)
        fail_msg("%s", err.message);
    strcpy(name, moed_backend_name(backend));
    assert_false(moed_backend_failed(backend));
    moed_backend_close(backend);
    moed_model_close(model);
    remove(path);
    return name;
}

static void without_a_device_auto_is_the_cpu(void **state)
{
    (void)state;
    if (has_device())
        skip();
    assert_string_equal(auto_backend(&plain), "cpu");
    assert_non_null(strstr(refusal(&plain, (struct moed_backend_options){0}, MOED_E_UNSUPPORTED),
                           "no CUDA device"));
    /* Asking for a device asks for the backend. */
    refusal(&plain, (struct moed_backend_options){.name = "auto", .devices = "0"},
            MOED_E_UNSUPPORTED);
}

static void weights_stay_where_they_are_computed(void **state)
{
    (void)state;
    assert_non_null(
        strstr(refusal(&plain, (struct moed_backend_options){.map = true}, MOED_E_USAGE), "mmap"));
}

static void a_device_takes_what_it_can(void **state)
{
    struct tiny_spec grid = plain;

    (void)state;
    if (!has_device())
        skip();
    grid.type = "IQ2_XXS";
    assert_string_equal(auto_backend(&plain), "cuda");
    assert_string_equal(auto_backend(&grid), "cpu");
    assert_non_null(
        strstr(refusal(&grid, (struct moed_backend_options){0}, MOED_E_UNSUPPORTED), "IQ2_XXS"));
}

static void devices_are_numbers(void **state)
{
    static const struct {
        const char *list, *says;
    } bad[] = {{"x", "expected numbers"},
               {"0,", "expected numbers"},
               {"0;1", "expected a comma"},
               {"0,0", "twice"},
               {"99", "not there"}};

    (void)state;
    if (!has_device())
        skip();
    for (size_t i = 0; i < MOED_ARRAY_LEN(bad); i++)
        assert_non_null(strstr(
            refusal(&plain, (struct moed_backend_options){.devices = bad[i].list}, MOED_E_USAGE),
            bad[i].says));
}

static void what_does_not_fit_is_refused_first(void **state)
{
    (void)state;
    if (!has_device())
        skip();

    const char *message =
        refusal(&plain, (struct moed_backend_options){.max_rows = 1U << 27}, MOED_E_NO_MEMORY);

    assert_non_null(strstr(message, "GB free"));
}

/* Tiles from the device, unpacked on the host. */
static void check_matrix(const struct moed_model *model, const struct cuda_source *s)
{
    const struct moed_cuda_matrix *m = s->to;
    const struct moed_weight *w = s->from[0];
    const uint64_t bytes = w->rows * w->row_bytes;
    uint8_t *tiles = malloc(m->expert_bytes), *expected = malloc(bytes);
    uint8_t *rows[2] = {calloc(1, bytes), calloc(1, bytes)};

    for (uint32_t e = 0; e < m->count; e++) {
        assert_int_equal(cudaMemcpy(tiles, m->tiles + e * m->expert_bytes, m->expert_bytes,
                                    cudaMemcpyDeviceToHost),
                         0);
        for (int i = 0; i < 2; i++)
            memset(rows[i], 0, bytes);
        m->format->unpack_host(m, tiles, rows, w->row_bytes);
        for (int i = 0; i < 2 && s->from[i]; i++) {
            const struct moed_weight_span all = {.expert = e, .n = w->rows};

            assert_int_equal(moed_weight_read(model, s->from[i], all, expected, NULL), 0);
            assert_memory_equal(rows[i], expected, bytes);
        }
    }
    free(tiles);
    free(expected);
    free(rows[0]);
    free(rows[1]);
}

static void a_device_has_what_the_file_has(void **state)
{
    static const char *const types[] = {"Q4_K", "Q6_K", "Q3_K", "Q2_K",  "IQ4_XS", "Q8_0",
                                        "Q5_1", "Q4_0", "BF16", "MXFP4", "F32",    "Q5_K"};

    (void)state;
    if (!has_device())
        skip();
    for (size_t t = 0; t < MOED_ARRAY_LEN(types); t++) {
        struct tiny_spec spec = plain;
        struct cuda_source sources[CUDA_MATRICES];
        struct rig rig;

        spec.type = types[t];
        rig_open(&rig, &spec, NULL);
        for (uint32_t l = 0; l < 2; l++) {
            struct cuda_backend *cuda = (struct cuda_backend *)rig.cuda.backend;

            for (uint32_t i = cuda_sources(&cuda->resident.layers[l], sources); i > 0; i--)
                check_matrix(rig.model, &sources[i - 1]);
        }
        assert_true((double)moed_backend_bytes(rig.cuda.backend) > 0);
        rig_close(&rig);
    }
}

/* The last test: a device that failed is of no use to this process any more. */
static void a_device_that_failed_is_not_asked_again(void **state)
{
    struct moed_batch_rows rows = {.rows = 3, .slots = 2};
    struct cuda_workspace *ws;
    struct moed_error err;
    struct rig rig;
    struct batch b;

    (void)state;
    if (!has_device())
        skip();
    rig_open(&rig, &plain, NULL);
    batch_init(&b, &rig, 2);
    rows.hidden = b.hidden;
    rows.output = b.output;
    rows.ids = b.ids;
    rows.weights = b.weights;
    rows.not_finite = b.not_finite;
    ws = (struct cuda_workspace *)rig.cuda.workspace;
    ws->buffers[0].wanted = (int32_t *)16; /* memory that is not there */
    assert_int_equal(moed_forward(rig.cuda.workspace, 0, &rows, &err), MOED_E_INTERNAL);
    assert_non_null(strstr(err.message, "CUDA"));
    assert_true(moed_backend_failed(rig.cuda.backend));
    assert_int_equal(moed_forward(rig.cuda.workspace, 1, &rows, &err), MOED_E_DEVICE);
    assert_non_null(strstr(err.message, "failed before"));
    batch_fini(&b);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_device_auto_is_the_cpu),
        cmocka_unit_test(weights_stay_where_they_are_computed),
        cmocka_unit_test(a_device_takes_what_it_can),
        cmocka_unit_test(devices_are_numbers),
        cmocka_unit_test(what_does_not_fit_is_refused_first),
        cmocka_unit_test(a_device_has_what_the_file_has),
        cmocka_unit_test(a_device_that_failed_is_not_asked_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
