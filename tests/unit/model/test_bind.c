/* Binding: what is found in a good file, and the message for each way in which it can be bad. */
#include "recipe.h"

#include <stdio.h>
#include <string.h>

#define BAD(r, ...) recipe_must_fail(r, MOED_E_BAD_FILE, (const char *const[4]){__VA_ARGS__})
#define UNSUPPORTED(r, ...) \
    recipe_must_fail(r, MOED_E_UNSUPPORTED, (const char *const[4]){__VA_ARGS__})

static struct recipe r;

static int start(void **state)
{
    (void)state;
    recipe_init(&r, "qwen3moe");
    return 0;
}

static void good_layer(void **state)
{
    struct moed_model *m = recipe_must_open(&r);
    const struct moed_layer *l = moed_model_layer(m, 0);

    (void)state;
    assert_non_null(l);
    assert_int_equal(l->hidden, RECIPE_H);
    assert_int_equal(l->latent, RECIPE_H);
    assert_int_equal(l->routed.width, RECIPE_F);
    assert_int_equal(l->experts, RECIPE_E);
    assert_int_equal(l->used, RECIPE_K);
    assert_int_equal(l->routed.gate.rows, RECIPE_F);
    assert_int_equal(l->routed.gate.cols, RECIPE_H);
    assert_int_equal(l->routed.down.rows, RECIPE_H);
    assert_int_equal(l->routed.down.cols, RECIPE_F);
    assert_int_equal(l->routed.down.count, RECIPE_E);
    assert_int_equal(l->routed.down.row_bytes, 4 * RECIPE_F);
    assert_int_equal(l->router_weight.rows, RECIPE_E);
    assert_int_equal(l->norm.rows, 1);
    assert_int_equal(l->norm.cols, RECIPE_H);
    assert_true(l->block.norm_eps == 1e-5F);
    assert_null(l->block.refuses_norm);
    assert_null(l->shared.down.tensor);
    assert_int_equal(l->shared.width, 0);
    assert_int_equal(l->bytes,
                     4 * (3 * RECIPE_E * RECIPE_F * RECIPE_H + RECIPE_H * RECIPE_E + RECIPE_H));
    assert_null(moed_model_layer(m, 1));
    moed_model_close(m);
}

static void missing_tensors(void **state)
{
    static const char *const names[] = {"blk.0.ffn_gate_inp.weight", "blk.0.ffn_down_exps.weight",
                                        "blk.0.ffn_gate_exps.weight", "blk.0.ffn_up_exps.weight"};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(names); i++) {
        recipe_init(&r, "qwen3moe");
        recipe_drop(&r, names[i]);
        BAD(&r, names[i], "missing");
    }
    recipe_tensor(&r, "blk.0.ffn_up_exps.weight", "F32", RECIPE_H, RECIPE_F, RECIPE_E);
    recipe_drop(&r, "blk.0.ffn_down_exps.weight");
    recipe_tensor(&r, "blk.0.ffn_down.0.weight", "F32", RECIPE_F, RECIPE_H, 0);
    BAD(&r, "ffn_down_exps", "convert");
}

/* Each tensor in turn with a shape that disagrees with the others. */
static void wrong_shapes(void **state)
{
    static const struct {
        const char *name;
        uint64_t dims[3];
        const char *found, *expected;
    } cases[] = {
        {"ffn_gate_exps.weight", {64, 32, 8}, "{64, 32, 8}", "{32, 64, 8}"}, /* transposed */
        {"ffn_up_exps.weight", {64, 32, 8}, "{64, 32, 8}", "{32, 64, 8}"},
        {"ffn_down_exps.weight", {32, 64, 8}, "{32, 64, 8}", "{any, 32, 8}"},
        {"ffn_up_exps.weight", {32, 48, 8}, "{32, 48, 8}", "{32, 64, 8}"}, /* F */
        {"ffn_up_exps.weight", {48, 64, 8}, "{48, 64, 8}", "{32, 64, 8}"}, /* H */
        {"ffn_up_exps.weight", {32, 64, 7}, "{32, 64, 7}", "{32, 64, 8}"}, /* E */
        {"ffn_down_exps.weight", {64, 32, 0}, "{64, 32}", "{any, 32, 8}"},
        {"ffn_gate_inp.weight", {8, 32, 0}, "{any, 8, 32}", "ffn_down_exps"}, /* transposed */
        {"ffn_gate_inp.weight", {32, 8, 2}, "{32, 8, 2}", "{any, any}"},
        {"ffn_gate_inp.bias", {7, 0, 0}, "{7}", "{8}"},
        {"ffn_gate_exps.bias", {64, 7, 0}, "{64, 7}", "{64, 8}"},
        {"ffn_up_exps.bias", {8, 64, 0}, "{8, 64}", "{64, 8}"},
        {"ffn_down_exps.bias", {64, 8, 0}, "{64, 8}", "{32, 8}"},
        {"ffn_down_exps.scale", {1, 0, 0}, "{1}", "{8}"},
        {"ffn_norm.weight", {33, 0, 0}, "{33}", "{32}"},
        {"ffn_norm.bias", {31, 0, 0}, "{31}", "{32}"},
        {"ffn_latent_down.weight", {16, 8, 0}, "ffn_latent_up", "missing"},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        char name[96];

        snprintf(name, sizeof(name), "blk.0.%s", cases[i].name);
        recipe_init(&r, "qwen3moe");
        recipe_tensor(&r, name, "F32", cases[i].dims[0], cases[i].dims[1], cases[i].dims[2]);
        BAD(&r, cases[i].found, cases[i].expected, "blk.0.ffn_");
    }
}

static void contradicting_keys(void **state)
{
    static const struct {
        const char *key, *word1, *word2;
        double value;
    } cases[] = {
        {"expert_count", "ffn_gate_inp", "8", 9},
        {"embedding_length", "ffn_gate_inp", "32", 48},
        {"expert_feed_forward_length", "ffn_down_exps", "64", 48},
        {"expert_used_count", "ffn_gate_inp", "1 to 8", 9},
        {"expert_used_count", "1 to 8", "0", 0},
        {"block_count", "1 to 512", "0", 0},
        {"block_count", "1 to 512", "513", 513},
        {"expert_group_count", "expert_group_used_count", "4", 4},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        recipe_init(&r, "qwen3moe");
        recipe_key(&r, cases[i].key, RECIPE_U32, cases[i].value);
        BAD(&r, cases[i].key, cases[i].word1, cases[i].word2);
    }
}

static void groups(void **state)
{
    struct moed_model *m;

    (void)state;
    recipe_key(&r, "expert_group_count", RECIPE_U32, 4);
    recipe_key(&r, "expert_group_used_count", RECIPE_U32, 1);
    m = recipe_must_open(&r);
    assert_int_equal(m->layers[0].router.groups, 4);
    assert_int_equal(m->layers[0].router.groups_used, 1);
    moed_model_close(m);
    recipe_key(&r, "expert_used_count", RECIPE_U32, 3); /* of 2 experts in 1 group */
    BAD(&r, "expert_used_count", "found 3", "1 groups of 2");
    recipe_key(&r, "expert_group_count", RECIPE_U32, 3);
    BAD(&r, "expert_group_count", "found 3", "8 experts");
    recipe_key(&r, "expert_group_used_count", RECIPE_U32, 4);
    BAD(&r, "expert_group_used_count", "found 4", "1 to");
}

static void wrong_key_types(void **state)
{
    (void)state;
    recipe_drop_key(&r, "expert_used_count");
    BAD(&r, "qwen3moe.expert_used_count", "missing");
    recipe_key(&r, "expert_used_count", RECIPE_F32, 2);
    BAD(&r, "qwen3moe.expert_used_count");
    recipe_key(&r, "expert_used_count", RECIPE_U32, 2);
    recipe_key(&r, "expert_weights_norm", RECIPE_U32, 1);
    BAD(&r, "qwen3moe.expert_weights_norm");
    recipe_drop_key(&r, "expert_weights_norm");
    recipe_key(&r, "attention.layer_norm_rms_epsilon", RECIPE_F32, -1);
    BAD(&r, "epsilon", "-1");
    recipe_key(&r, "attention.layer_norm_rms_epsilon", RECIPE_F32, (double)__builtin_inff());
    BAD(&r, "epsilon", "finite");
    recipe_drop_key(&r, "block_count");
    recipe_key(&r, "attention.layer_norm_rms_epsilon", RECIPE_F32, 1e-6);
    BAD(&r, "qwen3moe.block_count", "missing");
}

static void types_without_decoder(void **state)
{
    (void)state;
    recipe_tensor(&r, "blk.0.ffn_up_exps.weight", "I8", RECIPE_H, RECIPE_F, RECIPE_E);
    UNSUPPORTED(&r, "blk.0.ffn_up_exps.weight", "I8", "24");
    recipe_tensor(&r, "blk.0.ffn_up_exps.weight", "F16", RECIPE_H, RECIPE_F, RECIPE_E);
    recipe_tensor(&r, "blk.0.attn_q.weight", "I8", 32, 32, 0); /* not the block's: stepped over */
    moed_model_close(recipe_must_open(&r));
    recipe_tensor(&r, "blk.0.ffn_norm.weight", "I32", RECIPE_H, 0, 0);
    UNSUPPORTED(&r, "blk.0.ffn_norm.weight", "I32", "26");
}

static void types_may_differ(void **state)
{
    struct moed_model *m;

    (void)state;
    recipe_tensor(&r, "blk.0.ffn_gate_exps.weight", "Q4_0", RECIPE_H, RECIPE_F, RECIPE_E);
    recipe_tensor(&r, "blk.0.ffn_up_exps.weight", "Q8_0", RECIPE_H, RECIPE_F, RECIPE_E);
    m = recipe_must_open(&r);
    assert_string_equal(m->layers[0].routed.gate.format->name, "Q4_0");
    assert_string_equal(m->layers[0].routed.up.format->name, "Q8_0");
    assert_string_equal(m->layers[0].routed.down.format->name, "F32");
    assert_int_equal(m->layers[0].routed.up.row_bytes, 34);
    moed_model_close(m);
}

static void unclaimed_tensors(void **state)
{
    (void)state;
    recipe_tensor(&r, "blk.0.exp_probs_b.bias", "F32", RECIPE_E, 0, 0);
    UNSUPPORTED(&r, "exp_probs_b.bias", "qwen3moe");
    recipe_drop(&r, "blk.0.exp_probs_b.bias");
    recipe_bank(&r, 0, "_shexp", 16, 1);
    UNSUPPORTED(&r, "shared experts", "qwen3moe");
}

static void no_moe_layer(void **state)
{
    recipe_drop(&r, "blk.0.ffn_gate_inp.weight");
    recipe_drop(&r, "blk.0.ffn_gate_exps.weight");
    recipe_drop(&r, "blk.0.ffn_up_exps.weight");
    recipe_drop(&r, "blk.0.ffn_down_exps.weight");
    (void)state;
    UNSUPPORTED(&r, "no MoE layer", "dense model", "ffn_gate_inp");
}

static void tensors_past_the_last_block(void **state)
{
    (void)state;
    recipe_bank(&r, 3, "_exps", RECIPE_F, RECIPE_E);
    BAD(&r, "qwen3moe.block_count is 1", "blk.3.");
}

static void names(void **state)
{
    struct moed_model *m = recipe_must_open(&r);

    (void)state;
    assert_string_equal(m->arch, "qwen3moe");
    assert_int_equal(strncmp(m->name, "moed-recipe-", 12), 0); /* no general.name: the file's */
    moed_model_close(m);
    moed_model_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(good_layer, start),
        cmocka_unit_test_setup(missing_tensors, start),
        cmocka_unit_test_setup(wrong_shapes, start),
        cmocka_unit_test_setup(contradicting_keys, start),
        cmocka_unit_test_setup(groups, start),
        cmocka_unit_test_setup(wrong_key_types, start),
        cmocka_unit_test_setup(types_without_decoder, start),
        cmocka_unit_test_setup(types_may_differ, start),
        cmocka_unit_test_setup(unclaimed_tensors, start),
        cmocka_unit_test_setup(no_moe_layer, start),
        cmocka_unit_test_setup(tensors_past_the_last_block, start),
        cmocka_unit_test_setup(names, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
