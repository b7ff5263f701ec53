/* Architectures from outside: every column, and the message for each way in which a line is bad. */
#include "recipe.h"

#include "src/model/side.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct recipe r;
static char side_path[64];

static void write_side(const char *text)
{
    FILE *file;
    int fd;

    snprintf(side_path, sizeof(side_path), "/tmp/moed-side-XXXXXX");
    fd = mkstemp(side_path);
    assert_true(fd >= 0);
    file = fdopen(fd, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int open_with(const char *text, struct moed_model **out, struct moed_error *err)
{
    const struct moed_model_options options = {.arch_file = side_path};
    char path[64];
    int rc;

    write_side(text);
    recipe_write(&r, path);
    rc = moed_model_open(path, &options, out, err);
    unlink(path);
    unlink(side_path);
    return rc;
}

static struct moed_layer bind_with(const char *text)
{
    struct moed_model *m;
    struct moed_error err;
    struct moed_layer layer;

    if (open_with(text, &m, &err) != 0)
        fail_msg("%s", err.message);
    layer = m->layers[0];
    moed_model_close(m); /* only numbers are looked at below */
    return layer;
}

static void must_fail(const char *text, int code, const char *words)
{
    struct moed_model *m;
    struct moed_error err = {0};

    assert_int_equal(open_with(text, &m, &err), code);
    if (strstr(err.message, words) == NULL || strstr(err.message, side_path) == NULL)
        fail_msg("no \"%s\" of %s in: %s", words, side_path, err.message);
}

static int start(void **state)
{
    (void)state;
    recipe_init(&r, "brandnew");
    return 0;
}

static void like_a_known_one(void **state)
{
    struct moed_layer l;

    (void)state;
    recipe_tensor(&r, "blk.0.exp_probs_b.bias", "F32", RECIPE_E, 0, 0);
    l = bind_with("name = brandnew\nlike = glm4moe\nnorm = ffn_norm\n");
    assert_int_equal(l.router.score, MOED_SCORE_SIGMOID);
    assert_int_equal(l.norm.cols, RECIPE_H);
    assert_int_equal(l.select_bias.cols, RECIPE_E);
}

/* deepseek2 has a variant for GLM-4.7-Flash, told by the file's own keys. */
static void like_the_variant_that_fits(void **state)
{
    (void)state;
    recipe_key(&r, "block_count", RECIPE_U32, 47);
    recipe_key(&r, "vocab_size", RECIPE_U32, 154880);
    assert_int_equal(bind_with("name = brandnew\nlike = deepseek2").router.score,
                     MOED_SCORE_SIGMOID);
}

static void every_column(void **state)
{
    struct moed_layer l;

    (void)state;
    recipe_tensor(&r, "blk.0.my_post.weight", "F32", RECIPE_H, 0, 0);
    recipe_tensor(&r, "blk.0.exp_probs_b.bias", "F32", RECIPE_E, 0, 0);
    recipe_bank(&r, 0, "", 16, 1);
    recipe_drop(&r, "blk.0.ffn_gate.weight");
    recipe_tensor(&r, "blk.0.ffn_up.weight", "F32", RECIPE_H, 32, 0);
    recipe_bank(&r, 0, "_chexps", 16, RECIPE_E / 2);
    recipe_key(&r, "attention.layer_norm_epsilon", RECIPE_F32, 0.5);
    recipe_key(&r, "my_width", RECIPE_U32, RECIPE_F);
    recipe_key(&r, "my_scale", RECIPE_F32, 3);
    l = bind_with(
        "# all of them\n"
        "name = brandnew   # as in the GGUF\n\n"
        "score = sqrt_softplus\nselect = logits\nweight_from = softmax_chosen\n"
        "group_score=max\nrenorm = true\nscale = 2\nweight_on_input = true\r\n"
        "refuses_routing = for a reason\nactivation = situ\nalpha = 1\nlimit = 2\n"
        "beta = 3\nlambda = 4\nclamp = pre\nclamp_limit = 5\nnorm_kind = layer\n"
        "norm = ffn_norm\npost_norm = my_post\nresidual = normed\n"
        "residual_scale = 0.5\nffn_scale = 0.25\nrefuses_norm = never mind\n"
        "refuses_norm = none\nrefuses_residual = no = no\nwidth_key = my_width\n"
        "select_bias = required\nshared = sum\nshared_suffix =\n"
        "shared_up_fused = true\nshared_ffn_scale = 0.75\n"
        "softmax_groups_by_max = true\nchunks = true\n"
        "key.scale = my_scale  required\nkey.chunk_scale = my_scale\n");
    assert_int_equal(l.router.score, MOED_SCORE_SQRT_SOFTPLUS);
    assert_int_equal(l.router.select, MOED_SELECT_LOGITS);
    assert_int_equal(l.router.weight_from, MOED_WEIGHT_SOFTMAX_CHOSEN);
    assert_int_equal(l.router.group_score, MOED_GROUP_MAX);
    assert_true(l.router.renorm && l.router.weight_on_input);
    assert_true(l.router.scale == 3.0F && l.chunk_scale == 3.0F);
    assert_non_null(l.router.refuses_routing);
    assert_int_equal(l.routed.rule.activation, MOED_ACT_SITU);
    assert_true(l.routed.rule.alpha == 1.0F && l.routed.rule.limit == 2.0F);
    assert_true(l.routed.rule.beta == 3.0F && l.routed.rule.lambda == 4.0F);
    assert_int_equal(l.routed.rule.clamp, MOED_CLAMP_PRE);
    assert_true(l.shared.rule.clamp_limit == 5.0F);
    assert_int_equal(l.block.norm, MOED_NORM_LAYER);
    assert_int_equal(l.post_norm.cols, RECIPE_H);
    assert_int_equal(l.block.residual, MOED_RESIDUAL_NORMED);
    assert_true(l.block.residual_scale == 0.5F && l.block.ffn_scale == 0.75F);
    assert_null(l.block.refuses_norm);
    assert_non_null(l.block.refuses_residual);
    assert_int_equal(l.select_bias.cols, RECIPE_E);
    assert_int_equal(l.shared.up.first_row, 16);
    assert_int_equal(l.chunk_size, 2);
}

/* The words of a column are those of its enum, in order. */
static void last_words(void **state)
{
    struct moed_layer l;

    (void)state;
    recipe_drop(&r, "blk.0.ffn_gate_exps.weight");
    l = bind_with(
        "name = brandnew\nselect = sigmoid\nactivation = gelu_ungated\n"
        "norm_kind = none\nresidual = caller\nclamp = none");
    assert_int_equal(l.router.select, MOED_SELECT_SIGMOID);
    assert_int_equal(l.routed.rule.activation, MOED_ACT_GELU_UNGATED);
    assert_int_equal(l.block.norm, MOED_NORM_NONE);
    assert_int_equal(l.block.residual, MOED_RESIDUAL_CALLER);
    assert_int_equal(l.routed.rule.clamp, MOED_CLAMP_NONE);
}

static void bad_lines(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "expected \"name"},
        {"\n# nothing\n", "expected \"name"},
        {"score = sigmoid\n", "line 1: the first line: found \"score\""},
        {"name = a\nname = b\n", "line 2: the first line"},
        {"name = brandnew\nsigmoid\n", "line 2: the line: found \"sigmoid\""},
        {"name = brandnew\nscore =\n", "line 2: score: found \"\", expected a value"},
        {"name = brandnew\n\nscore = loud\n", "line 3: score: found \"loud\", expected softmax|"},
        {"name = brandnew\nrenorm = 1\n", "found \"1\", expected true or false"},
        {"name = brandnew\nscale = 2x\n", "found \"2x\", expected a finite number"},
        {"name = brandnew\nscale = nan\n", "found \"nan\""},
        {"name = brandnew\nvolume = 11\n", "column: found \"volume\""},
        {"name = brandnew\nlike = nothing\n", "like: found \"nothing\""},
        {"name = brandnew\nrenorm = true\nlike = olmoe\n", "line 3: like"},
        {"name = brandnew\nkey.volume = x\n", "key: found \"volume\", expected score|renorm"},
        {"name = brandnew\nkey. = x\n", "key: found \"\""},
        {"name = brandnew\nkey.scale = x maybe\n", "key.scale: found \"maybe\""},
        {"name = brandnew\nkey.scale=a\nkey.scale=a\nkey.scale=a\nkey.scale=a\nkey.scale=a\n"
         "key.scale=a\nkey.scale=a\nkey.scale=a\nkey.scale=a\n",
         "line 10: the row has 8 keys"},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++)
        must_fail(cases[i].text, MOED_E_USAGE, cases[i].words);
}

static void another_name(void **state)
{
    struct moed_model *m;
    struct moed_error err;

    (void)state;
    must_fail("name = newer\n", MOED_E_UNSUPPORTED, "describes architecture \"newer\"");
    recipe_init(&r, "qwen3moe"); /* one of the table: the side file has no say */
    assert_int_equal(open_with("name = newer\nrenorm = false\n", &m, &err), 0);
    assert_true(m->layers[0].router.renorm);
    moed_model_close(m);
    assert_false(bind_with("name = qwen3moe\nrenorm = false\n").router.renorm);
}

static void no_file(void **state)
{
    const struct moed_model_options options = {.arch_file = "/nowhere/x.arch"};
    struct moed_model *m;
    struct moed_error err;
    char path[64];

    (void)state;
    recipe_write(&r, path);
    assert_int_equal(moed_model_open(path, &options, &m, &err), MOED_E_IO);
    assert_non_null(strstr(err.message, "/nowhere/x.arch: No such file"));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(like_a_known_one, start),
        cmocka_unit_test_setup(like_the_variant_that_fits, start),
        cmocka_unit_test_setup(every_column, start),
        cmocka_unit_test_setup(last_words, start),
        cmocka_unit_test_setup(bad_lines, start),
        cmocka_unit_test_setup(another_name, start),
        cmocka_unit_test_setup(no_file, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
