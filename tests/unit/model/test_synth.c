/* Synthetic models: they load, are the same for the same seed, have the wanted deviation, and
 * each tensor has the type that llama.cpp's quantiser would give it. */
#include "recipe.h"

#include "src/model/architecture.h"
#include "src/model/mixes.h"
#include "src/model/presets.h"
#include "src/model/synth.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/moed-synth-XXXXXX";

static int name_file(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int drop_file(void **state)
{
    (void)state;
    return unlink(path);
}

static struct moed_model *make(const char *preset, const char *type, uint32_t layers, uint64_t seed)
{
    const struct moed_synth_options options = {preset, type, layers, seed, true};
    struct moed_model *m = NULL;
    struct moed_error err;

    if (moed_synth(path, &options, &err) != 0 || moed_model_open(path, NULL, &m, &err) != 0)
        fail_msg("%s %s: %s", preset, type ? type : "", err.message);
    return m;
}

static void must_deviate(const struct moed_model *m, const struct moed_weight *w, double mean,
                         double sigma)
{
    const uint64_t n = w->count * w->rows * w->cols;
    double sum = 0, squares = 0;
    float *values;

    assert_int_equal(moed_weight_read_f32(m, w, &values, NULL), 0);
    for (uint64_t i = 0; i < n; i++) {
        sum += (double)values[i];
        squares += ((double)values[i] - mean) * ((double)values[i] - mean);
    }
    free(values);
    assert_true(fabs(sum / (double)n - mean) < 0.25 * sigma);
    assert_true(fabs(sqrt(squares / (double)n) / sigma - 1.0) < 0.25);
}

static void tiny_has_the_wanted_deviation(void **state)
{
    static const char *const types[] = {"f32",  "f16",    "bf16",   "q8_0",   "q4_0",   "q5_1",
                                        "q2_k", "q4_k_m", "q5_k_m", "q4_k_s", "iq4_nl", "mxfp4"};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(types); i++) {
        struct moed_model *m = make("tiny", types[i], 1, 7);
        const struct moed_layer *l = &m->layers[0];

        assert_int_equal(m->n_layers, 1);
        must_deviate(m, &l->routed.gate, 0.0, 1.0 / 16);
        must_deviate(m, &l->routed.up, 0.0, 1.0 / 16);
        must_deviate(m, &l->routed.down, 0.0, 1.0 / 16);
        must_deviate(m, &l->router_weight, 0.0, 1.5 / 16);
        must_deviate(m, &l->norm, 1.0, 0.1);
        moed_model_close(m);
    }
}

static void seeds(void **state)
{
    char first[65], again[65], other[65];
    struct moed_model *m;

    (void)state;
    m = make("tiny", NULL, 2, 1);
    assert_int_equal(m->n_layers, 2);
    assert_string_equal(m->name, "tiny synthetic q4_k_m");
    moed_model_fingerprint(m, true, first, NULL);
    moed_model_close(m);
    m = make("tiny", NULL, 2, 1);
    moed_model_fingerprint(m, true, again, NULL);
    moed_model_close(m);
    m = make("tiny", NULL, 2, 2);
    moed_model_fingerprint(m, true, other, NULL);
    moed_model_close(m);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
}

static const char *type_of(const char *mix_name, bool down, bool shared, uint64_t cols,
                           uint32_t block, uint32_t depth)
{
    const struct model_place place = {down, shared, block, depth};
    struct model_mix mix;

    assert_int_equal(model_mix_find(mix_name, &mix, NULL), 0);
    return model_mix_format(&mix, &place, cols)->name;
}

static uint32_t count_down(const char *mix, const char *type, uint32_t depth)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < depth; i++)
        n += strcmp(type_of(mix, true, false, 256, i, depth), type) == 0;
    return n;
}

/* The counts of published files: 24 of 48 blocks, 46 of 94. */
static void mixes(void **state)
{
    (void)state;
    assert_int_equal(count_down("q4_k_m", "Q6_K", 48), 24);
    assert_int_equal(count_down("q4_k_m", "Q6_K", 94), 46);
    assert_int_equal(count_down("q4_k_m", "Q4_K", 94), 48);
    assert_int_equal(count_down("Q4_K_S", "Q5_K", 48), 6);
    assert_int_equal(count_down("q2_k", "Q3_K", 48), 48);
    assert_int_equal(count_down("mxfp4_moe", "MXFP4", 24), 24);
    assert_string_equal(type_of("q4_k_m", true, false, 768, 0, 48), "Q6_K");
    assert_string_equal(type_of("q4_k_m", false, false, 768, 0, 48), "Q4_K");
    assert_string_equal(type_of("q4_k_m", true, false, 1408, 0, 48), "Q8_0");
    assert_string_equal(type_of("q4_k_m", false, false, 1408, 0, 48), "Q5_0");
    assert_string_equal(type_of("q5_k_m", false, false, 2880, 0, 48), "Q5_1");
    assert_string_equal(type_of("q4_k", false, false, 40, 0, 48), "F16");
    assert_string_equal(type_of("q8_0", false, false, 40, 0, 48), "F16");
    assert_string_equal(type_of("mxfp4_moe", false, true, 2880, 0, 24), "Q8_0");
}

/* Presets small enough to write here; the others differ in numbers only. */
static void presets(void **state)
{
    struct moed_model *m;

    (void)state;
    m = make("granite-3-3b-a800m", NULL, 1, 1);
    assert_true(m->layers[0].block.residual_scale == 0.22F);
    moed_model_close(m);
    m = make("olmoe-1b-7b", "iq1_s", 1, 1);
    assert_string_equal(m->layers[0].routed.down.format->name, "IQ1_S");
    moed_model_close(m);
    m = make("deepseek-v2-lite", "q2_k", 1, 1);
    assert_int_equal(m->layers[0].shared.width, 2816);
    assert_string_equal(m->layers[0].routed.down.format->name, "Q4_0"); /* 1408 columns */
    moed_model_close(m);
}

static const struct model_arch *row_of(const char *name)
{
    const struct model_arch *row;
    size_t i = 0;

    while ((row = model_arch_at(i++)) && (strcmp(row->name, name) != 0 || row->when[0].key != NULL))
        ;
    return row;
}

/* Most are too large to be written here: they must fit their architecture's row. */
static void presets_fit_the_table(void **state)
{
    const struct model_preset *p;

    (void)state;
    for (size_t i = 0; (p = model_preset_at(i)); i++) {
        const struct model_arch *row = row_of(p->arch);
        struct model_mix mix;

        if (row == NULL)
            fail_msg("%s: no architecture %s", p->name, p->arch);
        else if ((row->select_bias == MODEL_REQUIRED && !(p->extras & PRESET_SELECT_BIAS)) ||
                 (row->select_bias == MODEL_NEVER && (p->extras & PRESET_SELECT_BIAS)) ||
                 (row->shared == MODEL_SHARED_GATED) != !!(p->extras & PRESET_SHARED_GATE) ||
                 (row->shared == MODEL_SHARED_NONE && p->shared_width != 0))
            fail_msg("%s: its tensors are not those of %s", p->name, p->arch);
        assert_in_range(p->used, 1, p->experts);
        assert_int_equal(model_mix_find(p->type, &mix, NULL), 0);
        assert_string_equal(moed_synth_preset_name(i), p->name);
    }
}

static void wrong_options(void **state)
{
    const struct moed_synth_options cases[] = {{"huge", NULL, 1, 0, true},
                                               {"tiny", "q9_9", 1, 0, true},
                                               {"tiny", "Q8_K", 1, 0, true},
                                               {"tiny", NULL, 0, 0, true},
                                               {"tiny", NULL, 513, 0, true}};
    const char *const words[] = {"qwen3-30b-a3b", "q4_k_m", "Q6_K", "1 to 512", "1 to 512"};
    struct moed_error err;

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        assert_int_equal(moed_synth(path, &cases[i], &err), MOED_E_USAGE);
        assert_non_null(strstr(err.message, words[i]));
    }
    assert_string_equal(moed_synth_preset_name(0), "tiny");
    assert_null(moed_synth_preset_name(1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_has_the_wanted_deviation),
        cmocka_unit_test(seeds),
        cmocka_unit_test(mixes),
        cmocka_unit_test(presets),
        cmocka_unit_test(presets_fit_the_table),
        cmocka_unit_test(wrong_options),
    };

    return cmocka_run_group_tests(tests, name_file, drop_file);
}
