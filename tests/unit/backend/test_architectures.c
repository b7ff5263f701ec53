/* Every row of the architecture table: a small random model of it, with all that the row may have,
 * computes the same on the CPU, and on a GPU where there is one, as in the float64 reference, in
 * every mode that it takes. */
#include "tests/unit/model/claims.h"

#include "src/backend/backend.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/golden.h"
#include "device.h"
#include "kernels/random.h"

#define H ((size_t)RECIPE_H)
#define K ((size_t)RECIPE_K)
#define T ((size_t)12)

struct answer {
    float output[T * H], weights[T * K];
    int32_t ids[T * K];
};

static float rows[T * H];
static bool device; /* the tests run on it */

static void run(const struct moed_model *model, const char *backend, uint8_t flags,
                struct answer *out)
{
    const struct moed_backend_options options = {.name = backend, .threads = 2, .max_rows = T};
    uint8_t all_flags[T], not_finite[T];
    struct moed_batch_rows batch = {.rows = T,
                                    .slots = K,
                                    .hidden = rows,
                                    .output = out->output,
                                    .ids = out->ids,
                                    .weights = out->weights,
                                    .flags = all_flags,
                                    .not_finite = not_finite};
    struct moed_backend *b = NULL;
    struct moed_workspace *ws = NULL;
    struct moed_error err;

    memset(out->output, 0xff, sizeof(out->output)); /* NaN: dirty on purpose */
    memset(all_flags, flags, T);
    for (size_t t = 0; t < T; t++) {
        out->ids[t * K] = (int32_t)(t % 8);
        out->ids[t * K + 1] = (int32_t)((t + 1 + t / 4) % 8);
        out->weights[t * K] = 0.7F;
        out->weights[t * K + 1] = 0.4F;
    }
    if (moed_backend_open(model, &options, &b, &err) != 0 ||
        moed_workspace_create(b, &ws, &err) != 0 || moed_forward(ws, 0, &batch, &err) != 0)
        fail_msg("%s", err.message);
    moed_workspace_destroy(ws);
    moed_backend_close(b);
}

static void check_backend(const struct moed_model *model, const char *backend, uint8_t flags)
{
    struct answer expected, found;

    run(model, "reference", flags, &expected);
    run(model, backend, flags, &found);
    for (size_t i = 0; i < T * K; i++) {
        if (found.ids[i] != expected.ids[i] ||
            !(fabsf(found.weights[i] - expected.weights[i]) <= 1e-6F))
            fail_msg("%s, %s, flags %u: another choice in row %zu", model->arch, backend, flags,
                     i / K);
    }
    if (!(golden_error(found.output, expected.output, T * H) <= 1e-6))
        fail_msg("%s, %s, flags %u: relative error %g", model->arch, backend, flags,
                 golden_error(found.output, expected.output, T * H));
}

static void check_mode(const struct moed_model *model, uint8_t flags)
{
    check_backend(model, device ? "cuda" : "cpu", flags);
}

static void check_modes(const struct moed_model *model)
{
    const struct moed_layer *l = &model->layers[0];
    const uint8_t routed = l->router.refuses_routing != NULL ? MOED_ROW_SUPPLIED : 0;

    check_mode(model, routed);
    check_mode(model, MOED_ROW_SUPPLIED);
    check_mode(model, routed | MOED_ROW_NO_SHARED);
    if (l->shared.width > 0)
        check_mode(model, routed | MOED_ROW_ONLY_SHARED);
    if (l->block.refuses_norm == NULL)
        check_mode(model, routed | MOED_ROW_NORM);
    if (l->block.refuses_residual == NULL)
        check_mode(model, routed | MOED_ROW_NORM | MOED_ROW_RESIDUAL);
}

static struct moed_model *open_recipe(const struct recipe *r, char path[64])
{
    struct moed_model *model;
    struct moed_error err;

    recipe_write(r, path);
    if (moed_model_open(path, NULL, &model, &err) != 0)
        fail_msg("%s", err.message);
    return model;
}

static void close_recipe(struct moed_model *model, const char *path)
{
    moed_model_close(model);
    unlink(path);
}

static void every_row_agrees_with_the_reference(void **state)
{
    const struct claim *c;

    device = *state != NULL;
    if (device && !has_device())
        skip();
    for (size_t i = 0; (c = claim_at(i)); i++) {
        struct moed_model *model;
        struct recipe r;
        char path[64];

        claim_make(c, &r);
        r.seed = i + 1;
        claim_add_options(c, &r);
        model = open_recipe(&r, path);
        check_modes(model);
        close_recipe(model, path);
    }
}

/* ---- chunks, by hand ---- */

static double silu_expert(const float *gate, const float *up, const float *x)
{
    double g = 0, u = 0;

    for (size_t i = 0; i < H; i++) {
        g += (double)gate[i] * x[i];
        u += (double)up[i] * x[i];
    }
    return g / (1 + exp(-g)) * u;
}

/* out += weight × chunk g (x) */
static void add_chunk(const struct moed_model *model, size_t g, double weight, const float *x,
                      double *out)
{
    const struct moed_experts *bank = &model->layers[0].chunks;
    const size_t f = bank->width;
    float *gate, *up, *down;

    assert_int_equal(moed_weight_read_f32(model, &bank->gate, &gate, NULL), 0);
    assert_int_equal(moed_weight_read_f32(model, &bank->up, &up, NULL), 0);
    assert_int_equal(moed_weight_read_f32(model, &bank->down, &down, NULL), 0);
    for (size_t i = 0; i < f; i++) {
        const double a = silu_expert(gate + (g * f + i) * H, up + (g * f + i) * H, x);

        for (size_t o = 0; o < H; o++)
            out[o] += weight * a * down[(g * H + o) * f + i];
    }
    free(gate);
    free(up);
    free(down);
}

/* What chunks add to a grovemoe layer: each chosen expert's chunk, by its weight, times 0.05. */
static void chunks_by_hand(void **state)
{
    static const char *const backends[] = {"reference", "cpu"};
    struct moed_model *model;
    struct recipe r;
    char path[64];

    (void)state;
    recipe_init(&r, "grovemoe");
    r.seed = 3;
    recipe_key(&r, "expert_group_scale", RECIPE_F32, 0.05);
    recipe_bank(&r, 0, "_chexps", 48, RECIPE_E / 2);
    model = open_recipe(&r, path);
    for (int b = 0; b < 2; b++) {
        struct moed_layer *layer = &model->layers[0];
        struct answer with, without;

        run(model, backends[b], 0, &with);
        layer->chunk_scale = 0;
        run(model, backends[b], 0, &without);
        layer->chunk_scale = 0.05F;
        for (size_t t = 0; t < T; t++) {
            double sum[H] = {0};

            for (size_t s = 0; s < K; s++)
                add_chunk(model, (size_t)with.ids[t * K + s] / 2, 0.05 * with.weights[t * K + s],
                          rows + t * H, sum);
            for (size_t i = 0; i < H; i++)
                assert_float_equal(with.output[t * H + i] - without.output[t * H + i], sum[i],
                                   2e-6F);
        }
    }
    close_recipe(model, path);
}

static int random_rows(void **state)
{
    struct moed_random random;

    (void)state;
    moed_random_seed(&random, 11);
    for (size_t i = 0; i < T * H; i++)
        rows[i] = moed_random_gaussian(&random);
    return 0;
}

int main(void)
{
    static char on_device[] = "device";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_agrees_with_the_reference),
        {"every_row_agrees_with_the_reference_on_a_device", every_row_agrees_with_the_reference,
         NULL, NULL, on_device},
        cmocka_unit_test(chunks_by_hand),
    };

    return cmocka_run_group_tests(tests, random_rows, NULL);
}
