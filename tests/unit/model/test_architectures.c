/* The table's claims, read back through models that are made for each row: which keys it heeds,
 * which it ignores, its defaults, its tensors. claims.c has a line an architecture. */
#include "claims.h"

#include "src/model/architecture.h"

#include <stdio.h>
#include <string.h>

static void check_defaults(const struct claim *c)
{
    struct recipe r;
    struct moed_model *m;
    const struct moed_layer *l;

    claim_make(c, &r);
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
    assert_int_equal(l->routed.gate.tensor != NULL, claim_is_gated(c));
    moed_model_close(m);
}

/* Sets one key and returns the layer's router rule. */
static struct moed_router_rule rule_with(const struct claim *c, const char *key,
                                         enum recipe_kind kind, double value)
{
    struct moed_router_rule rule;
    struct moed_model *m;
    struct recipe r;

    claim_make(c, &r);
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
                     c->gating == '-' ? c->score : MOED_SCORE_SQRT_SOFTPLUS);
    if (c->gating == '-')
        return;
    assert_int_equal(rule_with(c, "expert_gating_func", RECIPE_U32, 1).score, MOED_SCORE_SOFTMAX);
    assert_int_equal(rule_with(c, "expert_gating_func", RECIPE_U32, 3).weight_from,
                     MOED_WEIGHT_SOFTMAX_CHOSEN);
    claim_make(c, &r);
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

    claim_make(c, &r);
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

    claim_make(c, &r);
    if (c->bias == 'R') {
        recipe_drop(&r, CLAIM_BIAS);
        recipe_must_fail(&r, MOED_E_BAD_FILE, (const char *const[4]){CLAIM_BIAS, "missing"});
    }
    recipe_tensor(&r, CLAIM_BIAS, "F32", RECIPE_E, 0, 0);
    if (c->bias == '-') {
        recipe_must_fail(&r, MOED_E_UNSUPPORTED, (const char *const[4]){CLAIM_BIAS, c->arch});
        return;
    }
    m = recipe_must_open(&r);
    assert_int_equal(m->layers[0].select_bias.cols, RECIPE_E);
    moed_model_close(m);
    recipe_drop(&r, CLAIM_BIAS); /* hy_v3 has it without the suffix */
    recipe_tensor(&r, "blk.0.exp_probs_b", "F32", RECIPE_E, 0, 0);
    m = recipe_must_open(&r);
    assert_int_equal(m->layers[0].select_bias.cols, RECIPE_E);
    moed_model_close(m);
}

static void check_shared(const struct claim *c)
{
    struct moed_model *m;
    struct recipe r;

    claim_make(c, &r);
    if (c->shared == '-') {
        recipe_bank(&r, 0, "_shexp", 16, 1);
        recipe_must_fail(&r, MOED_E_UNSUPPORTED, (const char *const[4]){"shared", c->arch});
        return;
    }
    claim_add_shared(c, &r);
    if (c->shared == 'g') {
        recipe_drop(&r, "blk.0.ffn_gate_inp_shexp.weight");
        recipe_must_fail(&r, MOED_E_BAD_FILE,
                         (const char *const[4]){"ffn_gate_inp_shexp", "missing"});
        claim_add_shared(c, &r);
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
    for (size_t i = 0; claim_at(i); i++) {
        check_defaults(claim_at(i));
        check_router_keys(claim_at(i));
        check_width_key(claim_at(i));
        check_select_bias(claim_at(i));
        check_shared(claim_at(i));
    }
}

static void every_row_has_a_claim(void **state)
{
    const struct model_arch *row;

    (void)state;
    for (size_t i = 0; (row = model_arch_at(i)); i++) {
        size_t j = 0;

        while (claim_at(j) != NULL && strcmp(claim_at(j)->arch, row->name) != 0)
            j++;
        if (claim_at(j) == NULL)
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
