/* Every golden architecture binds to exactly the rule that its case.json names. */
#include "recipe.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_text(const char *path)
{
    char *text = calloc(1, 4096);
    FILE *f = fopen(path, "re");

    if (f == NULL || text == NULL || fread(text, 1, 4095, f) == 0)
        fail_msg("cannot read %s", path);
    fclose(f);
    return text;
}

/* What follows `"name":` in a case's flat object. */
static const char *field(const char *json, const char *name)
{
    char quoted[64];
    const char *at;

    snprintf(quoted, sizeof(quoted), "\"%s\":", name);
    at = strstr(json, quoted);
    if (at == NULL)
        fail_msg("case.json has no %s", name);
    else
        at += strlen(quoted) + strspn(at + strlen(quoted), " [\n");
    return at;
}

static bool is(const char *json, const char *name, const char *value)
{
    return strncmp(field(json, name), value, strlen(value)) == 0;
}

static uint32_t number(const char *json, const char *name)
{
    return (uint32_t)strtoul(field(json, name), NULL, 10);
}

static void check_shapes(const char *json, const struct moed_layer *l)
{
    assert_int_equal(l->index, number(json, "layer"));
    assert_int_equal(l->hidden, number(json, "hidden"));
    assert_int_equal(l->routed.width, number(json, "ff"));
    assert_int_equal(l->experts, number(json, "experts"));
    assert_int_equal(l->used, number(json, "k"));
    assert_int_equal(l->shared.width, number(json, "shared_ff"));
    assert_int_equal(l->shared_gate.tensor != NULL, is(json, "shared", "\"gated"));
    assert_int_equal(l->select_bias.tensor != NULL, is(json, "bias", "true"));
    assert_int_equal(l->router_bias.tensor != NULL, is(json, "router_bias", "true"));
    assert_int_equal(l->routed.up_bias.tensor != NULL, is(json, "expert_bias", "true"));
    assert_int_equal(l->routed.gate.tensor != NULL, is(json, "gated", "true"));
    assert_int_equal(l->routed.gate.tensor == l->routed.up.tensor, is(json, "fused", "true"));
}

static void check_router(const char *json, const struct moed_router_rule *rule)
{
    const enum moed_score score = is(json, "score", "\"softmax")   ? MOED_SCORE_SOFTMAX
                                  : is(json, "score", "\"sigmoid") ? MOED_SCORE_SIGMOID
                                                                   : MOED_SCORE_IDENTITY;
    const char *groups = field(json, "groups");

    assert_int_equal(rule->score, score);
    assert_int_equal(rule->renorm, is(json, "norm", "true"));
    assert_true(rule->scale == strtof(field(json, "scale"), NULL));
    assert_int_equal(rule->weight_from == MOED_WEIGHT_SOFTMAX_CHOSEN,
                     is(json, "softmax_k", "true"));
    assert_int_equal(rule->weight_on_input, is(json, "weight_on", "\"input"));
    if (is(json, "groups", "null")) {
        assert_int_equal(rule->groups, 0);
        return;
    }
    assert_int_equal(rule->groups, strtoul(groups, NULL, 10));
    assert_int_equal(rule->groups_used, strtoul(strchr(groups, ',') + 1, NULL, 10));
    assert_int_equal(rule->group_score == MOED_GROUP_MAX, is(json, "group_score", "\"max"));
}

static enum moed_activation activation(const char *json)
{
    return is(json, "act", "\"silu")    ? MOED_ACT_SILU
           : is(json, "act", "\"relu2") ? MOED_ACT_RELU_SQ
                                        : MOED_ACT_SWIGLU_OAI;
}

static void check_case(const char *name)
{
    char path[512];
    struct moed_model *m;
    struct moed_error err;
    char *json;

    snprintf(path, sizeof(path), "%s/arch/%s/case.json", MOED_GOLDEN_DIR, name);
    json = read_text(path);
    snprintf(path, sizeof(path), "%s/arch/%s/model.gguf", MOED_GOLDEN_DIR, name);
    if (moed_model_open(path, NULL, &m, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(m->n_layers, 1);
    check_shapes(json, &m->layers[0]);
    check_router(json, &m->layers[0].router);
    assert_int_equal(m->layers[0].routed.rule.activation, activation(json));
    assert_int_equal(m->layers[0].routed.rule.clamp, MOED_CLAMP_NONE);
    assert_null(m->layers[0].post_norm.tensor);
    moed_model_close(m);
    free(json);
}

static void every_case(void **state)
{
    DIR *dir = opendir(MOED_GOLDEN_DIR "/arch");
    struct dirent *entry;
    int n = 0;

    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        check_case(entry->d_name);
        n++;
    }
    closedir(dir);
    assert_int_equal(n, 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
