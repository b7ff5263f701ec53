/* What a forward call promises beyond its numbers: modes of rows, supplied routing, bad rows,
 * empty batches, dirty buffers, no allocation once warm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "src/backend/backend.h"
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/golden.h"
#include "../support/tiny.h"
#include "device.h"
#include "kernels/random.h"

#define H 64
#define E 6
#define K 2
#define T 5

static const char *const backends[] = {"reference", "cpu", "cuda"};
#define N_BACKENDS (has_device() ? 3 : 2)

struct rig {
    char path[256];
    struct moed_model *model;
    struct moed_backend *backend;
    struct moed_workspace *workspace;
};

static uint64_t solo_work; /* of the next rig */

static void rig_open(struct rig *r, const struct tiny_spec *spec, const char *backend)
{
    const struct moed_backend_options options = {
        .name = backend, .threads = 2, .max_rows = 64, .solo_work = solo_work};
    struct moed_error err;

    tiny_write(spec, r->path);
    if (moed_model_open(r->path, NULL, &r->model, &err) != 0 ||
        moed_backend_open(r->model, &options, &r->backend, &err) != 0 ||
        moed_workspace_create(r->backend, &r->workspace, &err) != 0)
        fail_msg("%s", err.message);
}

static void rig_close(struct rig *r)
{
    moed_workspace_destroy(r->workspace);
    moed_backend_close(r->backend);
    moed_model_close(r->model);
    unlink(r->path);
}

static const struct tiny_spec plain = {
    .layers = 2, .hidden = H, .width = 48, .experts = E, .used = K, .seed = 7};

/* A batch with its own memory, everything dirty. */
struct dirty {
    float hidden[T * H], output[T * H], weights[T * K], logits[T * E];
    int32_t ids[T * K];
    uint8_t flags[T], not_finite[T];
    struct moed_batch_rows batch;
};

static void dirty_init(struct dirty *d, uint64_t seed)
{
    struct moed_random r;

    memset(d, 0xff, sizeof *d);
    moed_random_seed(&r, seed);
    for (int i = 0; i < T * H; i++)
        d->hidden[i] = moed_random_gaussian(&r);
    memset(d->flags, 0, sizeof d->flags);
    d->batch = (struct moed_batch_rows){.rows = T,
                                        .slots = K,
                                        .hidden = d->hidden,
                                        .output = d->output,
                                        .ids = d->ids,
                                        .weights = d->weights,
                                        .logits = d->logits,
                                        .flags = d->flags,
                                        .not_finite = d->not_finite};
}

static void forward(struct rig *r, uint32_t layer, struct dirty *d)
{
    struct moed_error err;

    if (moed_forward(r->workspace, layer, &d->batch, &err) != 0)
        fail_msg("%s", err.message);
}

/* ---- a dominant expert with k = 1: silu(7) · 7 ---- */

static float dominant(const char *tensor, uint64_t i, void *context)
{
    const uint64_t expert = i / (2 * 2); /* hidden 2, width 2 */

    (void)context;
    if (strcmp(tensor, "ffn_gate_inp") == 0)
        return i / 2 == 1 ? 100.0F : 0.0F; /* expert 1 wins for positive rows */
    if (strcmp(tensor, "ffn_norm") == 0)
        return 1.0F;
    if (strcmp(tensor, "ffn_down_exps") == 0)
        return expert == 1 && i % 4 % 3 == 0 ? 1.0F : 0.0F; /* the identity */
    return expert == 1 && i % 4 % 3 == 0 ? 7.0F : 0.0F;     /* 7 times the identity */
}

static void dominant_expert(void **state)
{
    const struct tiny_spec spec = {
        .layers = 1, .hidden = 2, .width = 2, .experts = 3, .used = 1, .value = dominant};

    (void)state;
    for (int b = 0; b < N_BACKENDS; b++) {
        const float hidden[2] = {1.0F, 1.0F};
        float output[2] = {NAN, NAN};
        float weight = NAN;
        int32_t id = -7;
        uint8_t not_finite = 9;
        struct moed_batch_rows batch = {.rows = 1,
                                        .slots = 1,
                                        .hidden = hidden,
                                        .output = output,
                                        .ids = &id,
                                        .weights = &weight,
                                        .not_finite = &not_finite};
        const double want = 7.0 / (1.0 + exp(-7.0)) * 7.0;
        struct rig r;

        rig_open(&r, &spec, backends[b]);
        assert_int_equal(moed_forward(r.workspace, 0, &batch, NULL), 0);
        rig_close(&r);
        assert_int_equal(id, 1);
        assert_true(weight == 1.0F);
        assert_true(fabs(output[0] - want) < 1e-5 && fabs(output[1] - want) < 1e-5);
        assert_int_equal(batch.active_experts, 1);
    }
}

static void empty_batch(void **state)
{
    (void)state;
    for (int b = 0; b < N_BACKENDS; b++) {
        struct moed_batch_rows batch = {.rows = 0, .slots = K};
        struct rig r;

        rig_open(&r, &plain, backends[b]);
        assert_int_equal(moed_forward(r.workspace, 0, &batch, NULL), 0);
        assert_int_equal(batch.active_experts, 0);
        rig_close(&r);
    }
}

/* Whether a team computes or one thread alone changes no bit. */
static void alone_or_in_a_team(void **state)
{
    const uint64_t limits[] = {0, (3 * K * 48 + E) * H * T, (3 * K * 48 + E) * H * T + 1};
    struct dirty answers[MOED_ARRAY_LEN(limits)];

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(limits); i++) {
        struct rig r;

        solo_work = limits[i];
        rig_open(&r, &plain, "cpu");
        dirty_init(&answers[i], 1);
        forward(&r, 1, &answers[i]);
        rig_close(&r);
        assert_memory_equal(answers[i].output, answers[0].output, sizeof answers[0].output);
        assert_memory_equal(answers[i].ids, answers[0].ids, sizeof answers[0].ids);
    }
    solo_work = 0;
}

static void rows_of_any_mode_share_a_batch(void **state)
{
    (void)state;
    for (int b = 0; b < N_BACKENDS; b++) {
        struct dirty routed;
        struct dirty mixed;
        struct rig r;

        rig_open(&r, &plain, backends[b]);
        dirty_init(&routed, 1);
        dirty_init(&mixed, 1);
        forward(&r, 1, &routed);
        mixed.flags[1] = MOED_ROW_SUPPLIED; /* the router's own answer: same bits */
        memcpy(mixed.ids + K, routed.ids + K, K * sizeof *mixed.ids);
        memcpy(mixed.weights + K, routed.weights + K, K * sizeof *mixed.weights);
        mixed.flags[2] = MOED_ROW_ROUTE_ONLY;
        mixed.flags[3] = MOED_ROW_SUPPLIED; /* nothing but skips: zero */
        mixed.ids[3 * K] = mixed.ids[3 * K + 1] = -1;
        forward(&r, 1, &mixed);
        assert_memory_equal(mixed.output, routed.output, 2 * H * sizeof(float));
        assert_memory_equal(mixed.ids + 2 * K, routed.ids + 2 * K, K * sizeof(int32_t));
        assert_memory_equal(mixed.weights + 2 * K, routed.weights + 2 * K, K * sizeof(float));
        for (int i = 0; i < H; i++)
            assert_true(mixed.output[3 * H + i] == 0.0F);
        assert_memory_equal(mixed.output + 4 * H, routed.output + 4 * H, H * sizeof(float));
        rig_close(&r);
    }
}

static void supplied_weights_are_used_as_given(void **state)
{
    (void)state;
    for (int b = 0; b < N_BACKENDS; b++) {
        struct dirty one;
        struct dirty three;
        struct rig r;

        rig_open(&r, &plain, backends[b]);
        dirty_init(&one, 2);
        dirty_init(&three, 2);
        for (int t = 0; t < T; t++) {
            one.flags[t] = three.flags[t] = MOED_ROW_SUPPLIED;
            one.ids[t * K] = three.ids[t * K + 1] = t;
            one.ids[t * K + 1] = three.ids[t * K] = -1; /* a skip in either place */
            one.weights[t * K] = 1.0F;
            three.weights[t * K + 1] = 3.0F; /* not renormalised */
        }
        forward(&r, 0, &one);
        forward(&r, 0, &three);
        for (int i = 0; i < T * H; i++)
            assert_true(fabsf(three.output[i] - 3.0F * one.output[i]) <=
                        1e-6F * fmaxf(1.0F, fabsf(three.output[i])));
        rig_close(&r);
    }
}

static void a_bad_row_harms_no_other(void **state)
{
    static const float poisons[] = {NAN, INFINITY, -INFINITY};

    (void)state;
    for (int b = 0; b < N_BACKENDS; b++) {
        struct dirty good;
        struct rig r;

        rig_open(&r, &plain, backends[b]);
        dirty_init(&good, 3);
        forward(&r, 0, &good);
        for (int p = 0; p < 3; p++) {
            struct dirty bad;

            dirty_init(&bad, 3);
            bad.hidden[2 * H + 17] = poisons[p];
            forward(&r, 0, &bad);
            for (int t = 0; t < T; t++)
                assert_int_equal(bad.not_finite[t], t == 2);
            for (int i = 0; i < H; i++)
                assert_true(bad.output[2 * H + i] == 0.0F);
            assert_int_equal(bad.ids[2 * K], -1);
            assert_memory_equal(bad.output, good.output, 2 * H * sizeof(float));
            assert_memory_equal(bad.output + 3 * H, good.output + 3 * H, 2 * H * sizeof(float));
        }
        rig_close(&r);
    }
}

static void norm_and_residual(void **state)
{
    (void)state;
    for (int b = 0; b < N_BACKENDS; b++) {
        struct dirty normed;
        struct dirty plain_rows;
        struct rig r;

        rig_open(&r, &plain, backends[b]);
        dirty_init(&normed, 4);
        dirty_init(&plain_rows, 4);
        normed.flags[0] = MOED_ROW_NORM;
        normed.flags[1] = MOED_ROW_NORM | MOED_ROW_RESIDUAL;
        forward(&r, 0, &normed);

        float *weight;

        assert_int_equal(moed_weight_read_f32(r.model, &r.model->layers[0].norm, &weight, NULL), 0);
        for (int t = 0; t < 2; t++) { /* the norm by hand, then the plain block */
            double squares = 0.0;

            for (int i = 0; i < H; i++)
                squares += (double)normed.hidden[t * H + i] * normed.hidden[t * H + i];
            for (int i = 0; i < H; i++)
                plain_rows.hidden[t * H + i] =
                    (float)(normed.hidden[t * H + i] / sqrt(squares / H + 1e-6) * weight[i]);
        }
        free(weight);
        forward(&r, 0, &plain_rows);
        for (int i = 0; i < H; i++)
            plain_rows.output[H + i] += normed.hidden[H + i];
        assert_true(golden_error(normed.output, plain_rows.output, T * H) < 1e-6);
        rig_close(&r);
    }
}

static void limits_are_checked(void **state)
{
    struct moed_error err;
    struct moed_batch_rows batch = {.rows = 65, .slots = K};
    struct rig r;

    (void)state;
    rig_open(&r, &plain, "cpu");
    assert_int_equal(moed_forward(r.workspace, 0, &batch, &err), MOED_E_INTERNAL);
    batch = (struct moed_batch_rows){.rows = 1, .slots = K - 1};
    assert_int_equal(moed_forward(r.workspace, 0, &batch, &err), MOED_E_INTERNAL);
    assert_int_equal(moed_forward(r.workspace, 2, &batch, &err), MOED_E_NOT_SERVED);
    assert_non_null(strstr(err.message, "layer 2"));
    rig_close(&r);
}

static void unknown_names_list_the_known(void **state)
{
    struct moed_backend_options options = {.name = "tpu"};
    struct moed_backend *backend;
    struct moed_error err;
    struct rig r;

    (void)state;
    rig_open(&r, &plain, "cpu");
    assert_int_equal(moed_backend_open(r.model, &options, &backend, &err), MOED_E_USAGE);
    assert_non_null(strstr(err.message, "tpu"));
    assert_non_null(strstr(err.message, "reference"));
    options = (struct moed_backend_options){.name = "cpu", .isa = "altivec"};
    assert_int_equal(moed_backend_open(r.model, &options, &backend, &err), MOED_E_USAGE);
    assert_non_null(strstr(err.message, "altivec"));
    assert_non_null(strstr(err.message, "scalar"));
    options = (struct moed_backend_options){.map = true, .mlock = true};
    assert_int_equal(moed_backend_open(r.model, &options, &backend, &err), MOED_E_USAGE);
    assert_non_null(strstr(err.message, "mlock"));
    options = (struct moed_backend_options){.map = true, .hugepages = true};
    assert_int_equal(moed_backend_open(r.model, &options, &backend, &err), MOED_E_USAGE);
    assert_non_null(strstr(err.message, "hugepages"));
    rig_close(&r);
}

/* Most machines reserve none: then the message says where to. */
static void huge_pages_are_had_or_refused(void **state)
{
    const struct moed_backend_options options = {.name = "cpu", .hugepages = true, .max_rows = 4};
    struct moed_backend *backend = NULL;
    struct moed_error err = {0};
    struct rig r;
    int status;

    (void)state;
    rig_open(&r, &plain, "cpu");
    status = moed_backend_open(r.model, &options, &backend, &err);
    if (status == MOED_OK) {
        moed_backend_close(backend);
    } else {
        assert_int_equal(status, MOED_E_NO_MEMORY);
        assert_non_null(strstr(err.message, "vm.nr_hugepages"));
    }
    rig_close(&r);
}

static void mapped_weights_answer_alike(void **state)
{
    struct moed_backend_options options = {.name = "cpu", .map = true, .max_rows = 64};
    struct dirty resident;
    struct dirty mapped;
    struct rig r;

    (void)state;
    rig_open(&r, &plain, "cpu");
    dirty_init(&resident, 8);
    dirty_init(&mapped, 8);
    forward(&r, 0, &resident);
    moed_workspace_destroy(r.workspace);
    moed_backend_close(r.backend);
    assert_int_equal(moed_backend_open(r.model, &options, &r.backend, NULL), 0);
    assert_int_equal(moed_workspace_create(r.backend, &r.workspace, NULL), 0);
    forward(&r, 0, &mapped);
    assert_true(golden_error(mapped.output, resident.output, T * H) < 1e-6); /* other sums */
    rig_close(&r);
}

int main(void)
{
    if (!has_device())
        print_message("skip  what a forward call promises, on cuda: there is no device\n");

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dominant_expert),
        cmocka_unit_test(empty_batch),
        cmocka_unit_test(alone_or_in_a_team),
        cmocka_unit_test(rows_of_any_mode_share_a_batch),
        cmocka_unit_test(supplied_weights_are_used_as_given),
        cmocka_unit_test(a_bad_row_harms_no_other),
        cmocka_unit_test(norm_and_residual),
        cmocka_unit_test(limits_are_checked),
        cmocka_unit_test(unknown_names_list_the_known),
        cmocka_unit_test(huge_pages_are_had_or_refused),
        cmocka_unit_test(mapped_weights_answer_alike),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
