/* Which blocks are served: selections, dense blocks, blocks that differ. */
#include "recipe.h"

#include "src/model/select.h"

#include <stdio.h>
#include <string.h>

static const struct model_choice ten_blocks = {"layers", "block", "the model", 10};

static void good_selections(void **state)
{
    static const struct {
        const char *text, *chosen;
    } cases[] = {
        {"0", "1000000000"},     {"9", "0000000001"},       {"0-9", "1111111111"},
        {"2-2", "0010000000"},   {"0-2,5", "1110010000"},   {"5,0-2", "1110010000"},
        {"1,1-2", "0110000000"}, {"0,3,6,9", "1001001001"}, {"007", "0000000100"},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        bool chosen[10] = {false};

        assert_int_equal(model_select(cases[i].text, &ten_blocks, chosen, NULL), 0);
        for (int b = 0; b < 10; b++)
            assert_int_equal(chosen[b], cases[i].chosen[b] == '1');
    }
}

static void bad_selections(void **state)
{
    static const char *const texts[] = {"",      ",",   "0,",         "a",           "1-",   "-1",
                                        "2-1",   "1 2", " 1",         "1,,2",        "1--2", "0x1",
                                        "1-2-3", "10",  "4294967296", "99999999999", "0-10"};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(texts); i++) {
        bool chosen[10] = {false};
        struct moed_error err;

        assert_int_equal(model_select(texts[i], &ten_blocks, chosen, &err), MOED_E_USAGE);
        assert_non_null(strstr(err.message, "layers \""));
    }
}

/* Blocks 0 and 2 dense, 1 and 3 MoE. */
static void interleaved(struct recipe *r, const char *arch)
{
    recipe_init(r, arch);
    recipe_key(r, "block_count", RECIPE_U32, 4);
    recipe_drop(r, "blk.0.ffn_gate_inp.weight");
    recipe_drop(r, "blk.0.ffn_gate_exps.weight");
    recipe_drop(r, "blk.0.ffn_up_exps.weight");
    recipe_drop(r, "blk.0.ffn_down_exps.weight");
    recipe_bank(r, 0, "", 96, 1);
    recipe_bank(r, 2, "", 96, 1);
    for (unsigned b = 1; b < 4; b += 2) {
        char name[64];

        snprintf(name, sizeof(name), "blk.%u.ffn_gate_inp.weight", b);
        recipe_tensor(r, name, "F32", RECIPE_H, RECIPE_E, 0);
        recipe_bank(r, b, "_exps", b == 1 ? RECIPE_F : RECIPE_F / 2, RECIPE_E);
    }
}

static void dense_blocks_are_stepped_over(void **state)
{
    struct moed_model *m;
    struct recipe r;

    (void)state;
    interleaved(&r, "jamba");
    m = recipe_must_open(&r);
    assert_int_equal(m->block_count, 4);
    assert_int_equal(m->n_moe_layers, 2);
    assert_int_equal(m->moe_layers[1], 3);
    assert_int_equal(m->n_layers, 2);
    assert_int_equal(m->layers[0].index, 1);
    assert_int_equal(m->layers[0].routed.width, RECIPE_F);
    assert_int_equal(m->layers[1].routed.width, RECIPE_F / 2);
    assert_true(moed_model_has_moe_layer(m, 3));
    assert_false(moed_model_has_moe_layer(m, 2));
    moed_model_close(m);
}

static void one_of_them(void **state)
{
    struct moed_model *m;
    struct moed_error err;
    struct recipe r;

    (void)state;
    interleaved(&r, "jamba");
    assert_int_equal(recipe_open(&r, "3", &m, &err), 0);
    assert_int_equal(m->n_moe_layers, 2);
    assert_int_equal(m->n_layers, 1);
    assert_null(moed_model_layer(m, 1));
    assert_int_equal(moed_model_layer(m, 3)->index, 3);
    moed_model_close(m);

    assert_int_equal(recipe_open(&r, "2-3", &m, &err), MOED_E_USAGE);
    assert_non_null(strstr(err.message, "block 2 is no MoE layer"));
    assert_int_equal(recipe_open(&r, "4", &m, &err), MOED_E_USAGE);
    assert_non_null(strstr(err.message, "4 blocks"));
}

/* deepseek4's first blocks choose by token id: their routing is the caller's. */
static void blocks_whose_routing_is_refused(void **state)
{
    struct moed_model *m;
    struct recipe r;

    (void)state;
    interleaved(&r, "deepseek4");
    recipe_tensor(&r, "blk.1.ffn_gate_tid2eid.weight", "I32", 2, 100, 0);
    m = recipe_must_open(&r);
    assert_int_equal(m->n_layers, 2);
    assert_non_null(strstr(m->layers[0].router.refuses_routing, "token id"));
    assert_null(m->layers[1].router.refuses_routing);
    moed_model_close(m);
}

/* Another number of experts, of another width, in each block: the tensors say so. */
static void shapes_that_change(void **state)
{
    struct moed_model *m;
    struct recipe r;

    (void)state;
    interleaved(&r, "qwen3moe");
    recipe_drop_key(&r, "expert_count");
    recipe_tensor(&r, "blk.3.ffn_gate_inp.weight", "F32", RECIPE_H, 2 * RECIPE_E, 0);
    recipe_bank(&r, 3, "_exps", RECIPE_F / 2, 2 * RECIPE_E);
    m = recipe_must_open(&r);
    assert_int_equal(m->layers[0].experts, RECIPE_E);
    assert_int_equal(m->layers[1].experts, 2 * RECIPE_E);
    assert_int_equal(m->layers[1].routed.width, RECIPE_F / 2);
    assert_int_equal(m->layers[1].routed.up.count, 2 * RECIPE_E);
    moed_model_close(m);
}

/* Leading blocks are dense, and the file may say how many. */
static void leading_dense_blocks(void **state)
{
    struct moed_model *m;
    struct recipe r;

    (void)state;
    interleaved(&r, "deepseek2");
    recipe_key(&r, "leading_dense_block_count", RECIPE_U32, 1);
    m = recipe_must_open(&r);
    assert_int_equal(m->layers[0].index, 1);
    moed_model_close(m);
    recipe_key(&r, "leading_dense_block_count", RECIPE_U32, 2);
    recipe_must_fail(
        &r, MOED_E_BAD_FILE,
        (const char *const[4]){"leading_dense_block_count is 2", "blk.1.ffn_down_exps.weight"});
}

/* block_count includes prediction blocks behind the model, which have experts too, or not. */
static void trailing_prediction_blocks(void **state)
{
    struct moed_model *m;
    struct recipe r;

    (void)state;
    interleaved(&r, "glm-dsa");
    recipe_key(&r, "nextn_predict_layers", RECIPE_U32, 1);
    recipe_tensor(&r, "blk.3.nextn.eh_proj.weight", "F32", 2 * RECIPE_H, RECIPE_H, 0);
    m = recipe_must_open(&r);
    assert_int_equal(m->block_count, 4);
    assert_int_equal(m->layers[m->n_layers - 1].index, 3);
    moed_model_close(m);
    recipe_key(&r, "block_count", RECIPE_U32, 5);
    recipe_tensor(&r, "blk.4.nextn.eh_proj.weight", "F32", 2 * RECIPE_H, RECIPE_H, 0);
    recipe_bank(&r, 4, "", 96, 1);
    m = recipe_must_open(&r);
    assert_int_equal(m->block_count, 5);
    assert_int_equal(m->n_moe_layers, 2);
    moed_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_selections),
        cmocka_unit_test(bad_selections),
        cmocka_unit_test(dense_blocks_are_stepped_over),
        cmocka_unit_test(one_of_them),
        cmocka_unit_test(blocks_whose_routing_is_refused),
        cmocka_unit_test(shapes_that_change),
        cmocka_unit_test(leading_dense_blocks),
        cmocka_unit_test(trailing_prediction_blocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
