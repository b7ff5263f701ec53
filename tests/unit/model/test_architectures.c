/* The table's claims, read back through models that are made for each row: which keys it heeds,
 * which it ignores, its defaults, its tensors. One line of `claims` an architecture. */
#include "recipe.h"

#include "src/model/architecture.h"

#include <stdio.h>
#include <string.h>

struct claim {
    const char *arch;
    enum moed_score score;
    char gating; /* expert_gating_func: K heeded, R required, - ignored */
    char renorm; /* Y always, N never, K by expert_weights_norm, k likewise but by default */
    char scale;  /* K by expert_weights_scale, - never */
    char bias;   /* exp_probs_b: R required, o optional, - refused */
    char shared; /* s sum, g gated, d dense tensors, u sum with up fused, - refused */
    char width;  /* F from: E expert_feed_forward_length, F feed_forward_length */
    enum moed_activation act;
    const char *norm;
};

#define SM MOED_SCORE_SOFTMAX
#define SG MOED_SCORE_SIGMOID
#define ID MOED_SCORE_IDENTITY
#define SP MOED_SCORE_SQRT_SOFTPLUS

/* clang-format off */
static const struct claim claims[] = {
    {"qwen3moe",       SM, '-', 'k', '-', '-', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"qwen3vlmoe",     SM, '-', 'Y', '-', '-', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"rnd1",           SM, '-', 'Y', '-', '-', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"mellum",         SM, '-', 'Y', '-', '-', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"llama",          SM, '-', 'Y', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"mistral3",       SM, '-', 'Y', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"qwen3next",      SM, '-', 'Y', '-', '-', 'g', 'E', MOED_ACT_SILU,         "post_attention_norm"},
    {"qwen35moe",      SM, '-', 'Y', '-', '-', 'g', 'E', MOED_ACT_SILU,         "post_attention_norm"},
    {"dbrx",           SM, '-', 'Y', '-', '-', '-', 'F', MOED_ACT_SILU,         "attn_output_norm"},
    {"phimoe",         SM, '-', 'Y', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"arctic",         SM, '-', 'Y', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm_exps"},
    {"grok",           SM, '-', 'Y', '-', '-', 'd', 'E', MOED_ACT_GELU,         "ffn_norm"},
    {"granite",        SM, '-', 'Y', '-', '-', 's', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"granitemoe",     SM, '-', 'Y', '-', '-', 's', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"granitehybrid",  SM, '-', 'Y', '-', '-', 's', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"granite_swa",    SM, '-', 'Y', '-', '-', 'u', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"minimax-01",     SM, '-', 'Y', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"ernie4_5-moe",   SM, '-', 'Y', '-', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"hunyuan-moe",    SM, '-', 'Y', '-', '-', 's', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"qwen2moe",       SM, '-', 'N', '-', '-', 'g', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"olmoe",          SM, '-', 'N', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"llada-moe",      SM, '-', 'N', '-', '-', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"jamba",          SM, '-', 'N', '-', '-', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"deepseek",       SM, '-', 'N', 'K', '-', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"bailingmoe",     SM, '-', 'K', 'K', '-', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"nomic-bert-moe", SM, '-', 'N', '-', '-', '-', 'F', MOED_ACT_GELU_UNGATED, NULL},
    {"deepseek2",      SM, 'K', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"deepseek2-ocr",  SM, 'K', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"mistral4",       SM, 'K', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"deepseek32",     SG, 'R', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"glm-dsa",        SG, 'K', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"glm4moe",        SG, 'K', 'K', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "post_attention_norm"},
    {"bailingmoe2",    SG, 'R', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"bailingmoe3",    SG, 'R', 'K', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"dots1",          SG, 'R', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"dots3note",      SG, 'R', 'K', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"exaone-moe",     SG, 'R', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"hy_v3",          SG, 'K', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"laguna",         SG, 'K', 'K', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"afmoe",          SG, 'K', 'K', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"kimi-linear",    SG, 'R', 'Y', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"step35",         SG, 'K', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"minimax-m2",     SG, 'R', 'Y', '-', 'R', '-', 'F', MOED_ACT_SILU,         "ffn_norm"},
    {"minimax-m3",     SG, 'R', 'K', 'K', 'R', 's', 'E', MOED_ACT_SWIGLU_OAI,   "ffn_norm"},
    {"mimo2",          SG, '-', 'Y', '-', 'o', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"lfm2moe",        SG, 'R', 'Y', '-', 'R', '-', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"nemotron_h_moe", SG, '-', 'K', 'K', 'R', 's', 'E', MOED_ACT_RELU_SQ,      "attn_norm"},
    {"kimi-k3",        SG, 'R', 'K', 'K', 'R', 's', 'E', MOED_ACT_SITU,         "ffn_norm"},
    {"gpt-oss",        ID, '-', 'N', '-', '-', '-', 'E', MOED_ACT_SWIGLU_OAI,   "post_attention_norm"},
    {"llama4",         SG, '-', 'N', '-', '-', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"deepseek4",      SP, '-', 'K', 'K', 'o', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"dflash",         SP, '-', 'K', 'K', 'R', 's', 'E', MOED_ACT_SILU,         "ffn_norm"},
    {"cohere2moe",     SG, 'K', 'K', 'K', '-', 's', 'E', MOED_ACT_SILU,         "attn_norm"},
};
/* clang-format on */

#define BIAS "blk.0.exp_probs_b.bias"

static bool is_gated(const struct claim *c)
{
    return c->act != MOED_ACT_RELU_SQ && c->act != MOED_ACT_GELU_UNGATED;
}

/* The least that the row needs. */
static void make(struct recipe *r, const struct claim *c)
{
    char norm[64];

    recipe_init(r, c->arch);
    recipe_key(r, "attention.layer_norm_epsilon", RECIPE_F32, 1e-5);
    if (!is_gated(c))
        recipe_drop(r, "blk.0.ffn_gate_exps.weight");
    if (c->gating == 'R')
        recipe_key(r, "expert_gating_func", RECIPE_U32, 2);
    if (c->bias == 'R')
        recipe_tensor(r, BIAS, "F32", RECIPE_E, 0, 0);
    if (c->act == MOED_ACT_SITU)
        recipe_key(r, "activation.situ_beta", RECIPE_F32, 4);
    if (c->norm) {
        recipe_drop(r, "blk.0.ffn_norm.weight");
        snprintf(norm, sizeof(norm), "blk.0.%s.weight", c->norm);
        recipe_tensor(r, norm, "F32", RECIPE_H, 0, 0);
    }
}

static void check_defaults(const struct claim *c)
{
    struct recipe r;
    struct moed_model *m;
    const struct moed_layer *l;

    make(&r, c);
    m = recipe_must_open(&r);
    l = &m->layers[0];
    assert_string_equal(m->arch, c->arch);
    assert_int_equal(l->router.score, c->score);
    assert_int_equal(l->router.renorm, c->renorm == 'Y' || c->renorm == 'k');
    assert_true(l->router.renorm_floor == 6.103515625e-5F);
    assert_true(l->router.scale == 1.0F);
    assert_true(l->block.residual_scale == 1.0F);
    assert_true(l->block.ffn_scale == 1.0F);
    assert_int_equal(l->router.groups, 0);
    assert_int_equal(l->routed.rule.activation, c->act);
    assert_int_equal(l->shared.rule.activation, c->act);
    assert_int_equal(l->routed.rule.clamp, MOED_CLAMP_NONE);
    assert_int_equal(l->norm.tensor != NULL, c->norm != NULL);
    assert_int_equal(l->block.refuses_norm != NULL, c->norm == NULL);
    assert_int_equal(l->routed.gate.tensor != NULL, is_gated(c));
    moed_model_close(m);
}

/* Sets one key and returns the layer's router rule. */
static struct moed_router_rule rule_with(const struct claim *c, const char *key,
                                         enum recipe_kind kind, double value)
{
    struct moed_router_rule rule;
    struct moed_model *m;
    struct recipe r;

    make(&r, c);
    recipe_key(&r, key, kind, value);
    m = recipe_must_open(&r);
    rule = m->layers[0].router;
    moed_model_close(m);
    return rule;
}

static void check_router_keys(const struct claim *c)
{
    const bool by_key = c->renorm == 'K' || c->renorm == 'k';
    struct recipe r;

    assert_int_equal(rule_with(c, "expert_weights_norm", RECIPE_BOOL, 1).renorm, c->renorm != 'N');
    assert_int_equal(rule_with(c, "expert_weights_norm", RECIPE_BOOL, 0).renorm,
                     !by_key && c->renorm == 'Y');
    assert_true(rule_with(c, "expert_weights_scale", RECIPE_F32, 2.5).scale ==
                (c->scale == 'K' ? 2.5F : 1.0F));
    assert_true(rule_with(c, "expert_weights_scale", RECIPE_F32, 0).scale == 1.0F);
    assert_int_equal(rule_with(c, "expert_gating_func", RECIPE_U32, 4).score,
                     c->gating == '-' ? c->score : SP);
    if (c->gating == '-')
        return;
    assert_int_equal(rule_with(c, "expert_gating_func", RECIPE_U32, 1).score, SM);
    assert_int_equal(rule_with(c, "expert_gating_func", RECIPE_U32, 3).weight_from,
                     MOED_WEIGHT_SOFTMAX_CHOSEN);
    make(&r, c);
    recipe_key(&r, "expert_gating_func", RECIPE_U32, 5);
    recipe_must_fail(&r, MOED_E_UNSUPPORTED,
                     (const char *const[4]){"expert_gating_func", "found 5", "0 to 4"});
    if (c->gating == 'R') {
        recipe_drop_key(&r, "expert_gating_func");
        recipe_must_fail(&r, MOED_E_BAD_FILE,
                         (const char *const[4]){c->arch, "expert_gating_func", "missing"});
    }
}

static void check_width_key(const struct claim *c)
{
    const char *heeded = c->width == 'F' ? "feed_forward_length" : "expert_feed_forward_length";
    const char *ignored = c->width == 'F' ? "expert_feed_forward_length" : "feed_forward_length";
    struct recipe r;

    make(&r, c);
    recipe_key(&r, ignored, RECIPE_U32, RECIPE_F + 1);
    recipe_key(&r, heeded, RECIPE_U32, RECIPE_F);
    moed_model_close(recipe_must_open(&r));
    recipe_key(&r, heeded, RECIPE_U32, RECIPE_F + 1);
    recipe_must_fail(&r, MOED_E_BAD_FILE, (const char *const[4]){heeded, "65", "64"});
}

static void check_select_bias(const struct claim *c)
{
    struct moed_model *m;
    struct recipe r;

    make(&r, c);
    if (c->bias == 'R') {
        recipe_drop(&r, BIAS);
        recipe_must_fail(&r, MOED_E_BAD_FILE, (const char *const[4]){BIAS, "missing"});
    }
    recipe_tensor(&r, BIAS, "F32", RECIPE_E, 0, 0);
    if (c->bias == '-') {
        recipe_must_fail(&r, MOED_E_UNSUPPORTED, (const char *const[4]){BIAS, c->arch});
        return;
    }
    m = recipe_must_open(&r);
    assert_int_equal(m->layers[0].select_bias.cols, RECIPE_E);
    moed_model_close(m);
    recipe_drop(&r, BIAS); /* hy_v3 has it without the suffix */
    recipe_tensor(&r, "blk.0.exp_probs_b", "F32", RECIPE_E, 0, 0);
    m = recipe_must_open(&r);
    assert_int_equal(m->layers[0].select_bias.cols, RECIPE_E);
    moed_model_close(m);
}

static void check_shared(const struct claim *c)
{
    const char *suffix = c->shared == 'd' ? "" : "_shexp";
    struct moed_model *m;
    struct recipe r;

    make(&r, c);
    recipe_bank(&r, 0, suffix, 16, 1);
    if (!is_gated(c))
        recipe_drop(&r, "blk.0.ffn_gate_shexp.weight");
    if (c->shared == '-') {
        recipe_must_fail(&r, MOED_E_UNSUPPORTED, (const char *const[4]){"shared", c->arch});
        return;
    }
    if (c->shared == 'u') {
        recipe_drop(&r, "blk.0.ffn_gate_shexp.weight");
        recipe_tensor(&r, "blk.0.ffn_up_shexp.weight", "F32", RECIPE_H, 32, 0);
    }
    if (c->shared == 'g') {
        recipe_must_fail(&r, MOED_E_BAD_FILE,
                         (const char *const[4]){"ffn_gate_inp_shexp", "missing"});
        recipe_tensor(&r, "blk.0.ffn_gate_inp_shexp.weight", "F32", RECIPE_H, 0, 0);
    }
    m = recipe_must_open(&r);
    assert_int_equal(m->layers[0].shared.width, 16);
    assert_int_equal(m->layers[0].shared.down.count, 1);
    assert_int_equal(m->layers[0].shared.up.rows, 16);
    assert_int_equal(m->layers[0].shared.up.first_row, c->shared == 'u' ? 16 : 0);
    assert_int_equal(m->layers[0].shared_gate.tensor != NULL, c->shared == 'g');
    moed_model_close(m);
    if (c->shared != 'g') {
        recipe_tensor(&r, "blk.0.ffn_gate_inp_shexp.weight", "F32", RECIPE_H, 0, 0);
        recipe_must_fail(&r, MOED_E_UNSUPPORTED, (const char *const[4]){"ffn_gate_inp_shexp"});
    }
}

static void every_claim(void **state)
{
    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(claims); i++) {
        check_defaults(&claims[i]);
        check_router_keys(&claims[i]);
        check_width_key(&claims[i]);
        check_select_bias(&claims[i]);
        check_shared(&claims[i]);
    }
}

static void every_row_has_a_claim(void **state)
{
    const struct model_arch *row;

    (void)state;
    for (size_t i = 0; (row = model_arch_at(i)); i++) {
        size_t j = 0;

        while (j < MOED_ARRAY_LEN(claims) && strcmp(claims[j].arch, row->name) != 0)
            j++;
        if (!row->refuses && j == MOED_ARRAY_LEN(claims))
            fail_msg("no claim for architecture %s", row->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_claim),
        cmocka_unit_test(every_row_has_a_claim),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
