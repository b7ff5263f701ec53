/* Views: fused tensors, biases, scales, latent projections, reading them, and fingerprints. */
#include "recipe.h"

#include <stdlib.h>
#include <string.h>

static void fused_gate_and_up(void **state)
{
    const uint64_t elements = 2 * RECIPE_F * RECIPE_H; /* of one expert */
    struct moed_model *m;
    struct recipe r;
    float row[RECIPE_H];
    const struct moed_experts *bank;

    (void)state;
    recipe_init(&r, "qwen35moe");
    recipe_drop(&r, "blk.0.ffn_gate_exps.weight");
    recipe_drop(&r, "blk.0.ffn_up_exps.weight");
    recipe_tensor(&r, "blk.0.ffn_gate_up_exps.weight", "F32", RECIPE_H, 2 * RECIPE_F, RECIPE_E);
    recipe_tensor(&r, "blk.0.ffn_gate_up_exps.bias", "F32", 2 * RECIPE_F, RECIPE_E, 0);
    recipe_tensor(&r, "blk.0.ffn_gate_up_exps.scale", "F32", RECIPE_E, 0, 0);
    m = recipe_must_open(&r);
    bank = &m->layers[0].routed;
    assert_ptr_equal(bank->gate.tensor, bank->up.tensor);
    assert_int_equal(bank->gate.rows, RECIPE_F);
    assert_int_equal(bank->up.first_row, RECIPE_F);
    assert_int_equal(bank->up.stride, 2 * RECIPE_F);

    assert_int_equal(moed_weight_read(m, &bank->up, (struct moed_weight_span){3, 5, 1}, row, NULL),
                     0);
    assert_true(row[1] == (float)((3 * elements + (RECIPE_F + 5) * RECIPE_H + 1) % 1000));
    assert_int_equal(
        moed_weight_read(m, &bank->up, (struct moed_weight_span){3, RECIPE_F, 1}, row, NULL),
        MOED_E_INTERNAL);
    assert_int_equal(
        moed_weight_read(m, &bank->up, (struct moed_weight_span){RECIPE_E, 0, 1}, row, NULL),
        MOED_E_INTERNAL);

    assert_int_equal(m->layers[0].bytes,
                     4 * (RECIPE_E * elements * 3 / 2 + RECIPE_H * RECIPE_E + /* router */
                          2 * RECIPE_F * RECIPE_E + RECIPE_E));               /* bias, scale */
    moed_model_close(m);

    recipe_tensor(&r, "blk.0.ffn_gate_up_exps.weight", "F32", RECIPE_H, RECIPE_F, RECIPE_E);
    recipe_must_fail(&r, MOED_E_BAD_FILE,
                     (const char *const[4]){"ffn_gate_up_exps", "{32, 64, 8}", "{32, 128, 8}"});
}

static void fused_bias_halves(void **state)
{
    struct moed_model *m;
    struct recipe r;
    float *gate, *up;

    (void)state;
    recipe_init(&r, "gpt-oss");
    recipe_drop(&r, "blk.0.ffn_gate_exps.weight");
    recipe_drop(&r, "blk.0.ffn_up_exps.weight");
    recipe_tensor(&r, "blk.0.ffn_gate_up_exps.weight", "F32", RECIPE_H, 2 * RECIPE_F, RECIPE_E);
    recipe_tensor(&r, "blk.0.ffn_gate_up_exps.bias", "F16", 2 * RECIPE_F, RECIPE_E, 0);
    m = recipe_must_open(&r);
    assert_int_equal(moed_weight_read_f32(m, &m->layers[0].routed.gate_bias, &gate, NULL), 0);
    assert_int_equal(moed_weight_read_f32(m, &m->layers[0].routed.up_bias, &up, NULL), 0);
    for (uint64_t e = 0; e < RECIPE_E; e++) {
        for (uint64_t i = 0; i < RECIPE_F; i++) {
            assert_true(gate[e * RECIPE_F + i] == (float)((e * 2 * RECIPE_F + i) % 1000));
            assert_true(up[e * RECIPE_F + i] == (float)(((e * 2 + 1) * RECIPE_F + i) % 1000));
        }
    }
    free(gate);
    free(up);
    moed_model_close(m);
}

static void biases_and_scales(void **state)
{
    struct moed_model *m;
    struct recipe r;
    const struct moed_layer *l;
    float *values;

    (void)state;
    recipe_init(&r, "gpt-oss");
    recipe_tensor(&r, "blk.0.ffn_gate_inp.bias", "F32", RECIPE_E, 0, 0);
    recipe_tensor(&r, "blk.0.ffn_down_exps.bias", "F32", RECIPE_H, RECIPE_E, 0);
    recipe_tensor(&r, "blk.0.ffn_up_exps.bias", "F32", RECIPE_F, RECIPE_E, 0);
    recipe_tensor(&r, "blk.0.ffn_up_exps.scale", "F32", RECIPE_E, 0, 0);
    recipe_tensor(&r, "blk.0.ffn_up_exps.input_scale", "F32", RECIPE_E, 0, 0); /* not used */
    m = recipe_must_open(&r);
    l = &m->layers[0];
    assert_int_equal(l->router_bias.cols, RECIPE_E);
    assert_int_equal(l->router_bias.rows, 1);
    assert_int_equal(l->routed.down_bias.cols, RECIPE_H);
    assert_int_equal(l->routed.down_bias.rows, 1);
    assert_int_equal(l->routed.down_bias.count, RECIPE_E);
    assert_int_equal(l->routed.up_scale.cols, RECIPE_E);
    assert_null(l->routed.gate_bias.tensor);
    assert_null(l->routed.gate_scale.tensor);

    assert_int_equal(moed_weight_read_f32(m, &l->routed.down_bias, &values, NULL), 0);
    assert_true(values[3 * RECIPE_H + 7] == (float)(3 * RECIPE_H + 7));
    assert_int_equal((uintptr_t)values % 64, 0);
    free(values);
    assert_int_equal(moed_weight_read_f32(m, &l->routed.gate_bias, &values, NULL), 0);
    assert_null(values);
    moed_model_close(m);
}

static void latent_projections(void **state)
{
    enum { LATENT = 16 };
    struct moed_model *m;
    struct recipe r;

    (void)state;
    recipe_init(&r, "nemotron_h_moe");
    recipe_drop(&r, "blk.0.ffn_gate_exps.weight");
    recipe_tensor(&r, "blk.0.exp_probs_b.bias", "F32", RECIPE_E, 0, 0);
    recipe_tensor(&r, "blk.0.ffn_latent_down.weight", "F32", RECIPE_H, LATENT, 0);
    recipe_tensor(&r, "blk.0.ffn_latent_up.weight", "F32", LATENT, RECIPE_H, 0);
    recipe_tensor(&r, "blk.0.ffn_up_exps.weight", "F32", LATENT, RECIPE_F, RECIPE_E);
    recipe_tensor(&r, "blk.0.ffn_down_exps.weight", "F32", RECIPE_F, LATENT, RECIPE_E);
    m = recipe_must_open(&r);
    assert_int_equal(m->layers[0].hidden, RECIPE_H);
    assert_int_equal(m->layers[0].latent, LATENT);
    assert_int_equal(m->layers[0].routed.up.cols, LATENT);
    assert_int_equal(m->layers[0].routed.down.rows, LATENT);
    assert_null(m->layers[0].routed.gate.tensor);
    moed_model_close(m);

    recipe_tensor(&r, "blk.0.ffn_up_exps.weight", "F32", RECIPE_H, RECIPE_F, RECIPE_E);
    recipe_must_fail(&r, MOED_E_BAD_FILE,
                     (const char *const[4]){"ffn_up_exps", "{32, 64, 8}", "{16, 64, 8}"});
}

static void ungated_experts_have_no_gate(void **state)
{
    struct recipe r;

    (void)state;
    recipe_init(&r, "nemotron_h_moe");
    recipe_tensor(&r, "blk.0.exp_probs_b.bias", "F32", RECIPE_E, 0, 0);
    recipe_must_fail(&r, MOED_E_BAD_FILE, (const char *const[4]){"ffn_gate_exps", "no gate"});
}

static void fingerprint(const struct recipe *r, bool bytes_too, char hex[65])
{
    struct moed_model *m = recipe_must_open(r);

    assert_int_equal(moed_model_fingerprint(m, bytes_too, hex, NULL), 0);
    assert_int_equal(strlen(hex), 64);
    moed_model_close(m);
}

static void fingerprints(void **state)
{
    struct recipe r;
    char plain[65], again[65], bytes[65], other[65];

    (void)state;
    recipe_init(&r, "qwen3moe");
    fingerprint(&r, false, plain);
    fingerprint(&r, false, again);
    fingerprint(&r, true, bytes);
    assert_string_equal(plain, again);
    assert_string_not_equal(plain, bytes);

    recipe_tensor(&r, "blk.0.attn_q.weight", "F32", 32, 32, 0); /* not the block's */
    fingerprint(&r, true, other);
    assert_string_equal(bytes, other);
    recipe_key(&r, "expert_weights_norm", RECIPE_BOOL, 0); /* the rule */
    fingerprint(&r, false, other);
    assert_string_not_equal(plain, other);
    recipe_drop_key(&r, "expert_weights_norm");
    recipe_tensor(&r, "blk.0.ffn_up_exps.weight", "F16", RECIPE_H, RECIPE_F, RECIPE_E);
    fingerprint(&r, false, other);
    assert_string_not_equal(plain, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_gate_and_up), cmocka_unit_test(fused_bias_halves),
        cmocka_unit_test(biases_and_scales), cmocka_unit_test(latent_projections),
        cmocka_unit_test(fingerprints),      cmocka_unit_test(ungated_experts_have_no_gate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
