/* Parts of layers: which experts are held, where they stand, what is read of them, and that a
 * layer's fingerprint is that of the whole. */
#include "claims.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A grovemoe layer has everything: gates, chunks; a bias and scales are added. */
static void make(struct recipe *r)
{
    recipe_init(r, "grovemoe");
    r->seed = 5;
    recipe_key(r, "expert_group_scale", RECIPE_F32, 0.05);
    recipe_bank(r, 0, "_chexps", 48, RECIPE_E / 2);
    recipe_tensor(r, "blk.0.ffn_up_exps.bias", "F32", RECIPE_F, RECIPE_E, 0);
    recipe_tensor(r, "blk.0.ffn_down_exps.scale", "F32", RECIPE_E, 0, 0);
}

/* Opens the part of the model that `experts` selects. */
static int open_part(const struct recipe *r, const char *experts, struct moed_model **out,
                     struct moed_error *err)
{
    const struct moed_model_options options = {.experts = experts};
    char path[64];
    int rc;

    recipe_write(r, path);
    rc = moed_model_open(path, &options, out, err);
    unlink(path);
    return rc;
}

static struct moed_model *must_open(const struct recipe *r, const char *experts)
{
    struct moed_model *model;
    struct moed_error err;

    if (open_part(r, experts, &model, &err) != 0)
        fail_msg("%s", err.message);
    return model;
}

/* Experts of `part` are, floats for floats, those of the whole that `ids` names. */
static void assert_picked(const struct moed_model *whole, const struct moed_weight *all,
                          const struct moed_model *part, const struct moed_weight *some,
                          const uint32_t *ids)
{
    const size_t n = some->rows * some->cols;
    float *expected, *found;

    assert_int_equal(moed_weight_read_f32(whole, all, &expected, NULL), 0);
    assert_int_equal(moed_weight_read_f32(part, some, &found, NULL), 0);
    for (size_t i = 0; i < some->count; i++)
        assert_memory_equal(found + i * n, expected + ids[i] * n, n * sizeof(float));
    free(expected);
    free(found);
}

static void some_experts(void **state)
{
    static const uint32_t experts[] = {1, 2, 7}, chunks[] = {0, 1, 3};
    static const int32_t place[] = {-1, 0, 1, -1, -1, -1, -1, 2}, chunk_place[] = {0, 1, -1, 2};
    struct moed_model *whole, *part;
    const struct moed_layer *w, *p;
    struct recipe r;

    (void)state;
    make(&r);
    whole = must_open(&r, NULL);
    part = must_open(&r, "7,1-2");
    w = &whole->layers[0];
    p = &part->layers[0];
    assert_int_equal(p->experts, RECIPE_E);
    assert_int_equal(p->held, 3);
    assert_false(p->primary);
    assert_memory_equal(p->routed.place, place, sizeof place);
    assert_memory_equal(p->chunks.place, chunk_place, sizeof chunk_place);
    for (uint32_t e = 0; e < RECIPE_E; e++) {
        assert_int_equal(moed_layer_holds(p, e), place[e] >= 0);
        assert_true(moed_layer_holds(w, e));
    }
    assert_int_equal(p->routed.up.count, 3);
    assert_int_equal(p->chunks.down.count, 3);
    assert_picked(whole, &w->routed.gate, part, &p->routed.gate, experts);
    assert_picked(whole, &w->routed.down, part, &p->routed.down, experts);
    assert_picked(whole, &w->routed.up_bias, part, &p->routed.up_bias, experts);
    assert_picked(whole, &w->chunks.up, part, &p->chunks.up, chunks);
    assert_int_equal(w->bytes - p->bytes,
                     4 * (5 * (3 * RECIPE_F * RECIPE_H + RECIPE_F + 1) + 3 * 48 * RECIPE_H));
    moed_model_close(part);
    moed_model_close(whole);
}

static void scales_are_picked(void **state)
{
    struct moed_model *whole, *part;
    float *expected, *found;
    struct recipe r;

    (void)state;
    make(&r);
    whole = must_open(&r, NULL);
    part = must_open(&r, "0,5");
    assert_int_equal(
        moed_weight_read_f32(whole, &whole->layers[0].routed.down_scale, &expected, NULL), 0);
    assert_int_equal(moed_weight_read_f32(part, &part->layers[0].routed.down_scale, &found, NULL),
                     0);
    assert_true(found[0] == expected[0]);
    assert_true(found[1] == expected[5]);
    free(expected);
    free(found);
    moed_model_close(part);
    moed_model_close(whole);
}

/* Selecting all is no part at all; the shared expert goes with expert 0. */
static void whole_and_shared(void **state)
{
    struct moed_model *model;
    struct recipe r;

    (void)state;
    recipe_init(&r, "deepseek2");
    recipe_key(&r, "expert_weights_scale", RECIPE_F32, 1);
    recipe_bank(&r, 0, "_shexp", 16, 1);
    model = must_open(&r, "0-7");
    assert_null(model->layers[0].routed.place);
    assert_int_equal(model->layers[0].held, RECIPE_E);
    moed_model_close(model);
    model = must_open(&r, "0");
    assert_true(model->layers[0].primary);
    assert_int_equal(model->layers[0].shared.up.count, 1);
    moed_model_close(model);
    model = must_open(&r, "1-7");
    assert_false(model->layers[0].primary);
    assert_int_equal(model->layers[0].shared.width, 16);
    assert_int_equal(model->layers[0].shared.up.count, 0);
    moed_model_close(model);
}

static void refused(void **state)
{
    static const struct {
        const char *experts;
        const char *words[2];
    } cases[] = {
        {"", {"experts \"\"", "expected expert numbers"}},
        {"3-1", {"experts \"3-1\"", "at character"}},
        {"0-8", {"found expert 8", "layer 0 has 8 experts"}},
    };
    struct moed_model *model;
    struct moed_error err;
    struct recipe r;

    (void)state;
    make(&r);
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        assert_int_equal(open_part(&r, cases[i].experts, &model, &err), MOED_E_USAGE);
        for (int w = 0; w < 2; w++)
            if (strstr(err.message, cases[i].words[w]) == NULL)
                fail_msg("no \"%s\" in: %s", cases[i].words[w], err.message);
    }
}

/* The sum of a latent layer is normed before it is projected up: parts would not add up. */
static void a_normed_sum_has_no_parts(void **state)
{
    struct moed_model *model;
    struct moed_error err;
    struct recipe r;
    size_t i = 0;

    (void)state;
    while (strcmp(claim_at(i)->arch, "kimi-k3") != 0)
        i++;
    claim_make(claim_at(i), &r);
    claim_add_options(claim_at(i), &r);
    assert_int_equal(open_part(&r, "0-3", &model, &err), MOED_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "blk.0.ffn_routed_norm.weight"));
}

static void fingerprint(const struct recipe *r, const char *experts, char hex[65])
{
    struct moed_model *model = must_open(r, experts);

    assert_int_equal(moed_layer_fingerprint(model, &model->layers[0], hex, NULL), 0);
    moed_model_close(model);
}

static void fingerprints(void **state)
{
    char whole[65], other[65];
    struct recipe r;

    (void)state;
    make(&r);
    fingerprint(&r, NULL, whole);
    fingerprint(&r, "3-7", other);
    assert_string_equal(whole, other);
    r.seed++; /* the same shapes, another training */
    fingerprint(&r, NULL, other);
    assert_string_not_equal(whole, other);
    r.seed--;
    recipe_key(&r, "expert_group_scale", RECIPE_F32, 0.25); /* the same weights, another rule */
    fingerprint(&r, NULL, other);
    assert_string_not_equal(whole, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_experts),
        cmocka_unit_test(scales_are_picked),
        cmocka_unit_test(whole_and_shared),
        cmocka_unit_test(refused),
        cmocka_unit_test(a_normed_sum_has_no_parts),
        cmocka_unit_test(fingerprints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
