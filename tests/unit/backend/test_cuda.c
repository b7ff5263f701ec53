/* The cuda backend against the float64 reference: every type and batch size, every way in which
 * rows may fall on experts, rows that f16 cannot hold, and that the same batch gives the same bits.
 * `test_backend_cuda --soak SECONDS` goes on with random sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/golden.h"
#include "cuda_rig.h"
#include "device.h"
#include "kernels/random.h"

#define E 8
#define K 2

static const struct {
    const char *name;
    uint32_t hidden, width; /* odd ones, where the type's blocks leave a choice */
    double limit;
} types[] = {
    {"F32", 77, 45, 2e-6},      {"F16", 77, 45, 1e-3},    {"BF16", 77, 45, 1e-3},
    {"Q8_0", 96, 160, 2e-3},    {"Q4_0", 160, 96, 2e-3},  {"Q4_1", 96, 160, 2e-3},
    {"Q5_0", 160, 96, 2e-3},    {"Q5_1", 96, 160, 2e-3},  {"IQ4_NL", 160, 96, 2e-3},
    {"MXFP4", 96, 160, 2e-3},   {"Q2_K", 256, 256, 2e-3}, {"Q3_K", 256, 512, 2e-3},
    {"Q4_K", 512, 256, 2e-3},   {"Q5_K", 256, 256, 2e-3}, {"Q6_K", 256, 512, 2e-3},
    {"IQ4_XS", 512, 256, 2e-3},
};

static void need_device(void)
{
    if (!has_device())
        skip();
}

static struct tiny_spec spec_of(size_t type)
{
    return (struct tiny_spec){.layers = 1,
                              .hidden = types[type].hidden,
                              .width = types[type].width,
                              .experts = E,
                              .used = K,
                              .type = types[type].name,
                              .seed = type + 1};
}

static void check_type(size_t type, const struct moed_backend_options *options, double limit)
{
    static const uint32_t sizes[] = {64, 100, 257, 1000, 4096};
    const struct tiny_spec spec = spec_of(type);
    struct rig rig;
    struct batch b;

    rig_open(&rig, &spec, options);
    batch_init(&b, &rig, K);
    for (uint32_t i = 1; i <= 40 + MOED_ARRAY_LEN(sizes); i++) {
        const uint32_t n = i <= 40 ? i : sizes[i - 41];
        const double error = rig_error(&rig, &b, n, 5);

        if (!(error <= limit))
            fail_msg("%s, %u rows: relative error %.3g", types[type].name, n, error);
    }
    batch_fini(&b);
    rig_close(&rig);
}

static void every_type_and_size(void **state)
{
    (void)state;
    need_device();
    for (size_t i = 0; i < MOED_ARRAY_LEN(types); i++)
        check_type(i, NULL, types[i].limit);
}

static void f32_rows_are_exact(void **state)
{
    const struct moed_backend_options exact = {.f32_rows = true};

    (void)state;
    need_device();
    for (size_t i = 0; i < MOED_ARRAY_LEN(types); i++)
        check_type(i, &exact, 2e-6);
}

/* ---- which rows fall on which experts ---- */

enum crowd { ONE_EXPERT, ONE_ROW_EACH, SKIPS };

static void supply(struct batch *b, enum crowd crowd, uint32_t experts)
{
    for (uint32_t t = 0; t < RIG_ROWS; t++) {
        b->flags[t] = MOED_ROW_SUPPLIED;
        for (uint32_t s = 0; s < b->slots; s++) {
            int32_t *id = &b->ids[t * b->slots + s];

            if (crowd == ONE_EXPERT)
                *id = (int32_t)(3 + s);
            else
                *id = (int32_t)((t * b->slots + s) % experts);
            if (crowd == SKIPS && (t + s) % 3 == 0)
                *id = -1;
            b->weights[t * b->slots + s] = 0.25F + 0.5F * (float)s;
        }
    }
}

static void rows_fall_as_they_like(void **state)
{
    static const uint32_t sizes[] = {1, 5, 32, 33, 200, 1000};
    static const struct tiny_spec specs[] = {
        {.layers = 1, .hidden = 256, .width = 256, .experts = 64, .used = 4, .type = "Q4_K"},
        {.layers = 1, .hidden = 64, .width = 96, .experts = 64, .used = 4, .type = "Q8_0"}};

    (void)state;
    need_device();
    for (int i = 0; i < 2; i++)
        for (int crowd = ONE_EXPERT; crowd <= SKIPS; crowd++) {
            struct rig rig;
            struct batch b;

            rig_open(&rig, &specs[i], NULL);
            batch_init(&b, &rig, 4);
            supply(&b, (enum crowd)crowd, 64);
            for (size_t s = 0; s < MOED_ARRAY_LEN(sizes); s++)
                if (!(rig_error(&rig, &b, sizes[s], 9) <= 2e-3))
                    fail_msg("%s, %u rows, crowd %d", specs[i].type, sizes[s], crowd);
            batch_fini(&b);
            rig_close(&rig);
        }
}

/* Two slots where the model chooses four, and eight. */
static void routing_may_have_other_slots(void **state)
{
    static const struct tiny_spec spec = {
        .layers = 1, .hidden = 64, .width = 64, .experts = 16, .used = 4, .type = "Q5_1"};

    (void)state;
    need_device();
    for (uint32_t slots = 4; slots <= 16; slots *= 2) {
        struct rig rig;
        struct batch b;

        rig_open(&rig, &spec, NULL);
        batch_init(&b, &rig, slots);
        supply(&b, SKIPS, 16);
        assert_true(rig_error(&rig, &b, 100, 20) <= 2e-3);
        batch_fini(&b);
        rig_close(&rig);
    }
}

/* ---- range ---- */

/* Rows of every size that f32 has, some with one input that dwarfs the rest: those that f16 cannot
 * hold are computed again in f32, and the others are not disturbed. */
static void rows_of_any_size(void **state)
{
    static const float sizes[] = {1.0F, 1e-3F, 1e-6F, 1e-12F, 1e3F, 1e6F, 1e9F, 0.0F};
    const struct tiny_spec spec = spec_of(12);

    (void)state;
    need_device();
    for (uint32_t n = 16; n <= 1024; n *= 8) {
        const size_t h = spec.hidden;
        struct rig rig;
        struct batch b;

        rig_open(&rig, &spec, NULL);
        batch_init(&b, &rig, K);
        supply(&b, ONE_ROW_EACH, E); /* routing by such logits is another matter */
        for (uint32_t t = 0; t < n; t++) {
            for (size_t i = 0; i < h; i++)
                b.hidden[t * h + i] *= sizes[t % 8];
            if (t % 16 > 8)
                b.hidden[t * h + t % h] *= 3e4F;
        }
        for (uint32_t t = 0; t < n; t += n / 16 + 1) {
            float *found = malloc(h * sizeof *found);

            rig_run(&rig, &rig.cuda, &b, 0, n);
            memcpy(found, b.output + t * h, h * sizeof *found);
            rig_run(&rig, &rig.reference, &b, t, 1);
            for (size_t i = 0, zeros = t % 8 == 7; i < h && zeros; i++)
                assert_true(found[i] == 0.0F);
            if (t % 8 != 7)
                assert_true(golden_error(found, b.output + t * h, h) <= 2e-3);
            free(found);
        }
        batch_fini(&b);
        rig_close(&rig);
    }
}

/* ---- bits ---- */

static void the_same_batch_gives_the_same_bits(void **state)
{
    static const uint32_t sizes[] = {1, 7, 64, 300, 1500};
    const struct tiny_spec spec = spec_of(12);
    struct rig rig;
    struct batch b;

    (void)state;
    need_device();
    rig_open(&rig, &spec, NULL);
    batch_init(&b, &rig, K);
    for (size_t s = 0; s < MOED_ARRAY_LEN(sizes); s++) {
        const size_t bytes = sizes[s] * spec.hidden * sizeof(float);
        float *first = malloc(bytes);

        rig_run(&rig, &rig.cuda, &b, 0, sizes[s]);
        memcpy(first, b.output, bytes);
        for (int run = 1; run < 100; run++) {
            rig_run(&rig, &rig.cuda, &b, 0, sizes[s]);
            assert_memory_equal(first, b.output, bytes);
        }
        free(first);
    }
    batch_fini(&b);
    rig_close(&rig);
}

static void invariant_rows_do_not_heed_their_batch(void **state)
{
    const struct moed_backend_options options = {.invariant = true};
    const uint32_t n = 700;
    const struct tiny_spec spec = spec_of(12);
    float *whole;
    struct rig rig;
    struct batch b;

    (void)state;
    need_device();
    whole = malloc(n * spec.hidden * sizeof *whole);
    rig_open(&rig, &spec, &options);
    batch_init(&b, &rig, K);
    rig_run(&rig, &rig.cuda, &b, 0, n);
    memcpy(whole, b.output, n * spec.hidden * sizeof *whole);
    for (uint32_t longest = 1; longest <= 512; longest *= 4) {
        for (uint32_t first = 0; first < n; first += longest)
            rig_run(&rig, &rig.cuda, &b, first, n - first < longest ? n - first : longest);
        assert_memory_equal(whole, b.output, n * spec.hidden * sizeof *whole);
    }
    free(whole);
    batch_fini(&b);
    rig_close(&rig);
}

/* ---- few rows, in one launch ---- */

/* Shapes that such a launch takes: all its formats, tiles of one and of several pairs, inputs that
 * are no whole parts of a sum, more rows of tiles than a device has multiprocessors. */
static const struct tiny_spec whole_layers[] = {
    {.layers = 1, .hidden = 512, .width = 768, .experts = 128, .used = 8, .type = "Q4_K"},
    {.layers = 1, .hidden = 4096, .width = 256, .experts = 16, .used = 2, .type = "Q6_K"},
    {.layers = 1, .hidden = 256, .width = 512, .experts = 9, .used = 3, .type = "Q5_K"},
    {.layers = 1, .hidden = 480, .width = 96, .experts = 200, .used = 6, .type = "Q8_0"},
    {.layers = 1, .hidden = 352, .width = 416, .experts = 32, .used = 8, .type = "MXFP4"},
    {.layers = 1, .hidden = 1024, .width = 32, .experts = 32, .used = 4, .type = "Q4_0"},
    {.layers = 1, .hidden = 256, .width = 256, .experts = 4, .used = 1, .type = "IQ4_XS"},
    {.layers = 1, .hidden = 272, .width = 200, .experts = 32, .used = 4, .type = "BF16"},
};

static void few_rows_are_right_and_alone(void **state)
{
    const uint32_t n = 24;

    (void)state;
    need_device();
    for (size_t i = 0; i < MOED_ARRAY_LEN(whole_layers); i++) {
        const struct tiny_spec *spec = &whole_layers[i];
        const size_t bytes = (size_t)n * spec->hidden * sizeof(float);
        float *whole = malloc(bytes);
        struct rig rig;
        struct batch b;

        rig_open(&rig, spec, NULL);
        batch_init(&b, &rig, spec->used);
        rig_run(&rig, &rig.cuda, &b, 0, n);
        memcpy(whole, b.output, bytes);
        for (uint32_t rows = 1; rows <= 9; rows++) {
            const double error = rig_error(&rig, &b, rows, rows);

            if (!(error <= 2e-3))
                fail_msg("%s, %u rows: relative error %.3g", spec->type, rows, error);
            for (uint32_t first = 0; first < n; first += rows)
                rig_run(&rig, &rig.cuda, &b, first, n - first < rows ? n - first : rows);
            if (memcmp(whole, b.output, bytes) != 0)
                fail_msg("%s: %u rows at a time give other bits than %u", spec->type, rows, n);
        }
        free(whole);
        batch_fini(&b);
        rig_close(&rig);
    }
}

/* Rows that bring their experts, that are not numbers, and that f16 cannot hold. */
static void few_rows_of_all_kinds(void **state)
{
    const struct tiny_spec *spec = &whole_layers[0];
    const size_t h = spec->hidden;
    struct rig rig;
    struct batch b;

    (void)state;
    need_device();
    rig_open(&rig, spec, NULL);
    batch_init(&b, &rig, spec->used);
    for (uint32_t t = 0; t < 8; t++) {
        b.flags[t] = t % 4 == 1 ? MOED_ROW_SUPPLIED : t % 4 == 2 ? MOED_ROW_RESIDUAL : 0;
        for (uint32_t s = 0; s < spec->used; s++) {
            b.ids[t * spec->used + s] = s % 3 == 2 ? -1 : (int32_t)(t + 5 * (s / 2));
            b.weights[t * spec->used + s] = 0.125F * (float)(1 + s);
        }
    }
    for (size_t i = 0; i < h; i++)
        b.hidden[4 * h + i] *= 1e9F;
    b.hidden[7 * h] = NAN;
    for (uint32_t rows = 1; rows <= 8; rows++) {
        float found[8 * 512];

        rig_run(&rig, &rig.cuda, &b, 0, rows);
        memcpy(found, b.output, rows * h * sizeof *found);
        for (uint32_t t = 0; t < rows; t++)
            assert_int_equal(b.not_finite[t], t == 7);
        rig_run(&rig, &rig.reference, &b, 0, rows);
        for (uint32_t t = 0; t < rows && t < 7; t++)
            assert_true(golden_error(found + t * h, b.output + t * h, h) <= 2e-3);
        for (size_t i = 0; i < h && rows == 8; i++)
            assert_true(found[7 * h + i] == 0.0F);
    }
    batch_fini(&b);
    rig_close(&rig);
}

struct worker {
    const struct rig *rig;
    struct side side;
    struct batch batch;
    uint32_t rows;
};

static void *work(void *context)
{
    struct worker *w = context;

    for (int i = 0; i < 500; i++)
        rig_run(w->rig, &w->side, &w->batch, 0, w->rows);
    return NULL;
}

/* Launches whose blocks wait for each other do not take each other's room for good. */
static void workers_share_a_device(void **state)
{
    struct rig rig;
    struct worker workers[4];
    pthread_t threads[4];

    (void)state;
    need_device();
    rig_open(&rig, &whole_layers[0], NULL);
    for (uint32_t i = 0; i < 4; i++) {
        struct moed_error err;

        workers[i] = (struct worker){.rig = &rig, .side = rig.cuda, .rows = 1 + i * 5};
        assert_int_equal(moed_workspace_create(rig.cuda.backend, &workers[i].side.workspace, &err),
                         MOED_OK);
        batch_init(&workers[i].batch, &rig, rig.spec.used);
    }
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        batch_fini(&workers[i].batch);
        moed_workspace_destroy(workers[i].side.workspace);
    }
    rig_close(&rig);
}

/* ---- soak ---- */

static double soak_seconds;

static void soak(void **state)
{
    const uint64_t end = moed_now_ns() + (uint64_t)(soak_seconds * 1e9);
    struct moed_random r;
    uint64_t batches = 0;

    (void)state;
    need_device();
    moed_random_seed(&r, 99);
    while (moed_now_ns() < end) {
        const size_t type = moed_random_below(&r, MOED_ARRAY_LEN(types));
        const struct tiny_spec spec = spec_of(type);
        struct rig rig;
        struct batch b;

        rig_open(&rig, &spec, NULL);
        batch_init(&b, &rig, K);
        for (int i = 0; i < 200 && moed_now_ns() < end; i++, batches++) {
            const uint32_t n = 1 + moed_random_below(&r, 1U << (1 + moed_random_below(&r, 12)));
            const double error = rig_error(&rig, &b, n, i % 8 == 0 ? 3 : 0);

            if (!(error <= types[type].limit))
                fail_msg("%s, %u rows: relative error %.3g", types[type].name, n, error);
        }
        batch_fini(&b);
        rig_close(&rig);
    }
    print_message("soaked %llu batches\n", (unsigned long long)batches);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_and_size),
        cmocka_unit_test(f32_rows_are_exact),
        cmocka_unit_test(rows_fall_as_they_like),
        cmocka_unit_test(routing_may_have_other_slots),
        cmocka_unit_test(rows_of_any_size),
        cmocka_unit_test(the_same_batch_gives_the_same_bits),
        cmocka_unit_test(invariant_rows_do_not_heed_their_batch),
        cmocka_unit_test(few_rows_are_right_and_alone),
        cmocka_unit_test(few_rows_of_all_kinds),
        cmocka_unit_test(workers_share_a_device),
    };
    const struct CMUnitTest soaks[] = {cmocka_unit_test(soak)};

    if (argc == 3 && strcmp(argv[1], "--soak") == 0) {
        soak_seconds = strtod(argv[2], NULL);
        return cmocka_run_group_tests(soaks, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
