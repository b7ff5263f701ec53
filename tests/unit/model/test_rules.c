/* What single architectures do beyond the columns that all share. */
#include "recipe.h"

#include <stdio.h>
#include <string.h>

static struct recipe r;

static void needs_bias_and_gating(void)
{
    recipe_tensor(&r, "blk.0.exp_probs_b.bias", "F32", RECIPE_E, 0, 0);
    recipe_key(&r, "expert_gating_func", RECIPE_U32, 2);
}

static struct moed_layer bind_one(void)
{
    struct moed_model *m = recipe_must_open(&r);
    struct moed_layer layer = m->layers[0];

    moed_model_close(m); /* only numbers are looked at below */
    return layer;
}

static void qwen3moe_has_a_second_key(void **state)
{
    (void)state;
    recipe_init(&r, "qwen3moe");
    recipe_key(&r, "expert_norm_topk_prob", RECIPE_BOOL, 0);
    assert_false(bind_one().router.renorm);
}

static void gating_of_0_is_no_gating(void **state)
{
    (void)state;
    recipe_init(&r, "mistral4");
    recipe_key(&r, "expert_gating_func", RECIPE_U32, 0);
    assert_int_equal(bind_one().router.score, MOED_SCORE_SOFTMAX);
}

/* V2 scores groups by their maximum, V3 by the sum of two. */
static void deepseek2_group_scores(void **state)
{
    (void)state;
    recipe_init(&r, "deepseek2");
    recipe_key(&r, "expert_group_count", RECIPE_U32, 4);
    recipe_key(&r, "expert_group_used_count", RECIPE_U32, 2);
    assert_int_equal(bind_one().router.group_score, MOED_GROUP_MAX);
    needs_bias_and_gating();
    assert_int_equal(bind_one().router.group_score, MOED_GROUP_TOP2_SUM);
}

/* GLM-4.7-Flash is told by its depth and vocabulary. */
static void deepseek2_with_glm_dimensions(void **state)
{
    (void)state;
    recipe_init(&r, "deepseek2");
    recipe_key(&r, "block_count", RECIPE_U32, 47);
    assert_int_equal(bind_one().router.score, MOED_SCORE_SOFTMAX);
    recipe_key(&r, "vocab_size", RECIPE_U32, 154880);
    assert_int_equal(bind_one().router.score, MOED_SCORE_SIGMOID);
    recipe_key(&r, "block_count", RECIPE_U32, 49);
    assert_int_equal(bind_one().router.score, MOED_SCORE_SOFTMAX);
}

static void clamps(void **state)
{
    struct moed_layer l;

    (void)state;
    recipe_init(&r, "bailingmoe3");
    needs_bias_and_gating();
    recipe_key(&r, "swiglu_clamp_exp", RECIPE_F32, 7);
    l = bind_one();
    assert_int_equal(l.routed.rule.clamp, MOED_CLAMP_POST);
    assert_true(l.routed.rule.clamp_limit == 7.0F);
    assert_int_equal(l.shared.rule.clamp, MOED_CLAMP_NONE);
    recipe_key(&r, "swiglu_clamp_shexp", RECIPE_F32, 9);
    recipe_key(&r, "swiglu_clamp_exp", RECIPE_F32, 1e-7); /* too small to mean a limit */
    l = bind_one();
    assert_int_equal(l.routed.rule.clamp, MOED_CLAMP_NONE);
    assert_true(l.shared.rule.clamp_limit == 9.0F);

    recipe_init(&r, "deepseek4");
    recipe_key(&r, "swiglu_clamp_exp", RECIPE_F32, 10); /* one limit for both */
    l = bind_one();
    assert_int_equal(l.routed.rule.clamp, MOED_CLAMP_PRE);
    assert_int_equal(l.shared.rule.clamp, MOED_CLAMP_PRE);
    assert_true(l.shared.rule.clamp_limit == 10.0F);
    assert_non_null(strstr(l.block.refuses_residual, "hyper-connections"));
    assert_null(l.block.refuses_norm);
}

static void activations_with_constants(void **state)
{
    struct moed_layer l;

    (void)state;
    recipe_init(&r, "gpt-oss");
    l = bind_one();
    assert_true(l.routed.rule.alpha == 1.702F && l.routed.rule.limit == 7.0F);
    assert_int_equal(l.router.weight_from, MOED_WEIGHT_SOFTMAX_CHOSEN);

    recipe_init(&r, "kimi-k3");
    needs_bias_and_gating();
    recipe_must_fail(&r, MOED_E_BAD_FILE, (const char *const[4]){"kimi-k3.activation.situ_beta"});
    recipe_key(&r, "activation.situ_beta", RECIPE_F32, 4);
    recipe_key(&r, "activation.situ_linear_beta", RECIPE_F32, 2);
    l = bind_one();
    assert_true(l.shared.rule.beta == 4.0F && l.routed.rule.lambda == 2.0F);
}

static void llama4_weighs_the_input(void **state)
{
    struct moed_layer l;

    (void)state;
    recipe_init(&r, "llama4");
    l = bind_one();
    assert_true(l.router.weight_on_input);
    assert_int_equal(l.router.select, MOED_SELECT_LOGITS);
}

static void residuals_and_norms(void **state)
{
    struct moed_layer l;

    (void)state;
    recipe_init(&r, "granitemoe");
    recipe_key(&r, "residual_scale", RECIPE_F32, 0.22);
    l = bind_one();
    assert_int_equal(l.block.residual, MOED_RESIDUAL_INPUT);
    assert_true(l.block.residual_scale == 0.22F);

    recipe_init(&r, "minimax-01");
    assert_int_equal(bind_one().block.residual, MOED_RESIDUAL_NORMED);

    recipe_init(&r, "dbrx");
    recipe_drop(&r, "blk.0.ffn_norm.weight");
    recipe_tensor(&r, "blk.0.attn_output_norm.weight", "F32", RECIPE_H, 0, 0);
    l = bind_one();
    assert_int_equal(l.block.norm, MOED_NORM_LAYER);
    assert_non_null(strstr(l.block.refuses_norm, "epsilon")); /* of the wrong kind */
    assert_ptr_equal(l.block.refuses_norm, l.block.refuses_residual);
    recipe_key(&r, "attention.layer_norm_epsilon", RECIPE_F32, 0.5);
    l = bind_one();
    assert_null(l.block.refuses_norm);
    assert_true(l.block.norm_eps == 0.5F);

    recipe_init(&r, "phimoe");
    recipe_tensor(&r, "blk.0.ffn_norm.bias", "F32", RECIPE_H, 0, 0);
    assert_int_equal(bind_one().norm_bias.cols, RECIPE_H);

    recipe_init(&r, "qwen3moe");
    recipe_drop(&r, "blk.0.ffn_norm.weight");
    assert_non_null(strstr(bind_one().block.refuses_norm, "no norm tensor"));

    recipe_init(&r, "arctic");
    assert_non_null(bind_one().block.refuses_residual);
}

static void sums_that_are_scaled(void **state)
{
    struct moed_layer l;

    (void)state;
    recipe_init(&r, "grok");
    assert_true(bind_one().block.ffn_scale == 1.0F);
    recipe_bank(&r, 0, "", 16, 1);
    recipe_tensor(&r, "blk.0.layer_output_norm.weight", "F32", RECIPE_H, 0, 0);
    l = bind_one();
    assert_float_equal(l.block.ffn_scale, 0.70710678F, 1e-7F);
    assert_int_equal(l.post_norm.cols, RECIPE_H);

    recipe_init(&r, "cohere2moe");
    assert_int_equal(bind_one().block.norm, MOED_NORM_RMS);
    recipe_bank(&r, 0, "_shexp", 16, 1);
    recipe_drop_key(&r, "attention.layer_norm_rms_epsilon");
    l = bind_one();
    assert_int_equal(l.block.norm, MOED_NORM_LAYER);
    assert_true(l.block.ffn_scale == 0.5F);
}

static void promised_shared_experts(void **state)
{
    (void)state;
    recipe_init(&r, "deepseek2");
    recipe_key(&r, "expert_shared_count", RECIPE_U32, 2);
    recipe_must_fail(&r, MOED_E_BAD_FILE,
                     (const char *const[4]){"expert_shared_count is 2", "ffn_down_shexp"});
    recipe_bank(&r, 0, "_shexp", 16, 1);
    recipe_key(&r, "expert_shared_feed_forward_length", RECIPE_U32, 8); /* of each */
    assert_int_equal(bind_one().shared.width, 16);
    recipe_key(&r, "expert_shared_feed_forward_length", RECIPE_U32, 16); /* of both */
    assert_int_equal(bind_one().shared.width, 16);
    recipe_key(&r, "expert_shared_feed_forward_length", RECIPE_U32, 24);
    recipe_must_fail(&r, MOED_E_BAD_FILE,
                     (const char *const[4]){"expert_shared_feed_forward_length is 24",
                                            "ffn_down_shexp.weight says 16"});
}

static void unknown(void **state)
{
    (void)state;
    recipe_init(&r, "brandnew");
    needs_bias_and_gating();
    recipe_key(&r, "expert_weights_norm", RECIPE_BOOL, 1);
    recipe_must_fail(&r, MOED_E_UNSUPPORTED,
                     (const char *const[4]){"\"brandnew\"", "expert_gating_func=2",
                                            "expert_weights_norm=true", "qwen3moe"});
    recipe_must_fail(&r, MOED_E_UNSUPPORTED,
                     (const char *const[4]){"expert_count=8", "llama4", "cohere2moe"});
}

/* One row does not tell which experts; what follows the choice is computed. */
static void routing_that_is_the_callers(void **state)
{
    struct moed_model *m;
    struct moed_layer l;
    char text[600];

    (void)state;
    recipe_init(&r, "smallthinker");
    needs_bias_and_gating();
    recipe_drop(&r, "blk.0.exp_probs_b.bias");
    l = bind_one();
    assert_non_null(strstr(l.router.refuses_routing, "layer's input"));
    assert_null(l.block.refuses_residual);

    recipe_init(&r, "gemma4");
    recipe_bank(&r, 0, "", 16, 1); /* the dense branch: the caller's */
    recipe_tensor(&r, "blk.0.pre_ffw_norm_2.weight", "F32", RECIPE_H, 0, 0);
    recipe_tensor(&r, "blk.0.ffn_down_exps.scale", "F32", RECIPE_E, 0, 0);
    m = recipe_must_open(&r);
    assert_non_null(m->layers[0].router.refuses_routing);
    assert_int_equal(m->layers[0].shared.width, 0);
    assert_int_equal(m->layers[0].routed.down_scale.cols, RECIPE_E);
    assert_null(m->layers[0].block.refuses_norm);
    assert_non_null(strstr(m->layers[0].block.refuses_residual, "dense branch"));
    moed_router_describe(&m->layers[0], text, sizeof(text));
    assert_string_equal(text,
                        "Requests choose among the 8 experts: its router reads another norm of the "
                        "state after attention than the experts; the weight multiplies the "
                        "expert's output. y = sum_S w_e E_e(x)");
    moed_model_close(m);
}

static void chunk_experts(void **state)
{
    struct moed_model *m;
    char text[900];

    (void)state;
    recipe_init(&r, "grovemoe");
    recipe_key(&r, "expert_group_scale", RECIPE_F32, 0.25);
    recipe_bank(&r, 0, "_chexps", 16, RECIPE_E / 2);
    recipe_key(&r, "experts_per_group", RECIPE_U32, 2);
    recipe_key(&r, "expert_chunk_feed_forward_length", RECIPE_U32, 16);
    m = recipe_must_open(&r);
    assert_int_equal(m->layers[0].router.select, MOED_SELECT_SIGMOID);
    assert_int_equal(m->layers[0].chunk_size, 2);
    assert_int_equal(m->layers[0].chunks.width, 16);
    assert_int_equal(m->layers[0].chunks.down.count, RECIPE_E / 2);
    assert_true(m->layers[0].chunk_scale == 0.25F);
    moed_router_describe(&m->layers[0], text, sizeof(text));
    assert_non_null(strstr(text, "Each 2 neighbours share a chunk of width 16"));
    assert_non_null(strstr(text, "y = sum_S w_e E_e(x) + 0.25 sum_S w_e C_(e div 2)(x)"));
    moed_model_close(m);

    recipe_key(&r, "experts_per_group", RECIPE_U32, 4);
    recipe_must_fail(&r, MOED_E_BAD_FILE,
                     (const char *const[4]){"experts_per_group is 4", "ffn_down_chexps", "2"});
    recipe_drop_key(&r, "experts_per_group");
    recipe_key(&r, "expert_chunk_feed_forward_length", RECIPE_U32, 17);
    recipe_must_fail(&r, MOED_E_BAD_FILE,
                     (const char *const[4]){"expert_chunk_feed_forward_length is 17", "16"});
    recipe_bank(&r, 0, "_chexps", 16, 3);
    recipe_must_fail(&r, MOED_E_BAD_FILE,
                     (const char *const[4]){"found 3 chunks", "divisor of the 8"});
    recipe_drop(&r, "blk.0.ffn_down_chexps.weight");
    recipe_must_fail(&r, MOED_E_BAD_FILE, (const char *const[4]){"ffn_down_chexps", "missing"});

    recipe_init(&r, "qwen3moe");
    recipe_bank(&r, 0, "_chexps", 16, RECIPE_E / 2);
    recipe_must_fail(&r, MOED_E_UNSUPPORTED, (const char *const[4]){"second bank", "qwen3moe"});
}

static void descriptions(void **state)
{
    struct moed_model *m;
    char text[1200], cut[20];

    (void)state;
    recipe_init(&r, "deepseek2");
    needs_bias_and_gating();
    recipe_key(&r, "expert_weights_norm", RECIPE_BOOL, 1);
    recipe_key(&r, "expert_weights_scale", RECIPE_F32, 2.5);
    recipe_key(&r, "expert_group_count", RECIPE_U32, 4);
    recipe_key(&r, "expert_group_used_count", RECIPE_U32, 2);
    recipe_bank(&r, 0, "_shexp", 16, 1);
    m = recipe_must_open(&r);
    moed_router_describe(&m->layers[0], text, sizeof(text));
    assert_string_equal(
        text,
        "The 8 experts are scored by the sigmoid of their logit; of 4 groups only the 2 best "
        "count, by their two best experts; the 2 best by score plus a bias for selection "
        "alone are chosen, their weights divided by their sum, times 2.5; the weight "
        "multiplies the expert's output. A shared expert of width 16 is added. l = W x; s = "
        "sigmoid(l); S = top2(s + c in the best 2 of 4 groups); w_e = 2.5 s_e / max(sum_S s, "
        "6.10352e-05); y = sum_S w_e E_e(x) + E_shared(x)");
    moed_router_describe(&m->layers[0], cut, sizeof(cut));
    assert_int_equal(strlen(cut), sizeof(cut) - 1);
    moed_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qwen3moe_has_a_second_key),
        cmocka_unit_test(gating_of_0_is_no_gating),
        cmocka_unit_test(deepseek2_group_scores),
        cmocka_unit_test(deepseek2_with_glm_dimensions),
        cmocka_unit_test(clamps),
        cmocka_unit_test(activations_with_constants),
        cmocka_unit_test(llama4_weighs_the_input),
        cmocka_unit_test(residuals_and_norms),
        cmocka_unit_test(sums_that_are_scaled),
        cmocka_unit_test(promised_shared_experts),
        cmocka_unit_test(unknown),
        cmocka_unit_test(routing_that_is_the_callers),
        cmocka_unit_test(chunk_experts),
        cmocka_unit_test(descriptions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
