/* The router against a plain transcription of the rule: everything sorted, nothing incremental. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "src/moe/moe.h"
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/random.h"

#define MAX_E 256

struct choice {
    float select;
    uint32_t index;
};

static int best_first(const void *a, const void *b)
{
    const struct choice *x = a;
    const struct choice *y = b;

    if (x->select != y->select)
        return x->select > y->select ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static int greatest_first(const void *a, const void *b)
{
    const float x = *(const float *)a;
    const float y = *(const float *)b;

    return x > y ? -1 : x < y;
}

static float plain_sigmoid(float x)
{
    return 1.0F / (1.0F + expf(-x));
}

static void plain_scores(const struct moed_router_rule *r, const float *logits, uint32_t n,
                         float *score)
{
    float max = -INFINITY;
    double sum = 0.0;

    for (uint32_t i = 0; i < n; i++)
        max = fmaxf(max, logits[i]);
    for (uint32_t i = 0; i < n; i++)
        sum += expf(logits[i] - max);
    for (uint32_t i = 0; i < n; i++) {
        switch (r->score) {
        case MOED_SCORE_SOFTMAX:
            score[i] = (float)(expf(logits[i] - max) / sum);
            break;
        case MOED_SCORE_SIGMOID:
            score[i] = plain_sigmoid(logits[i]);
            break;
        case MOED_SCORE_SQRT_SOFTPLUS:
            score[i] = sqrtf(logits[i] > 20.0F ? logits[i] : log1pf(expf(logits[i])));
            break;
        default:
            score[i] = logits[i];
        }
    }
}

/* Marks the experts of the groups that are not among the best. */
static void plain_groups(const struct moed_router_rule *r, uint32_t n, struct choice *all)
{
    const uint32_t size = n / r->groups;
    struct choice groups[MAX_E];

    for (uint32_t g = 0; g < r->groups; g++) {
        float members[MAX_E];

        for (uint32_t i = 0; i < size; i++)
            members[i] = all[g * size + i].select;
        qsort(members, size, sizeof *members, greatest_first);
        groups[g] = (struct choice){members[0], g};
        if (r->group_score == MOED_GROUP_TOP2_SUM && size > 1)
            groups[g].select += members[1];
    }
    qsort(groups, r->groups, sizeof *groups, best_first);
    for (uint32_t g = r->groups_used; g < r->groups; g++)
        for (uint32_t i = 0; i < size; i++)
            all[groups[g].index * size + i].select = -INFINITY;
}

static void plain_route(const struct moed_router_rule *r, const float *logits, const float *bias,
                        uint32_t n, uint32_t k, int32_t *ids, double *weights)
{
    float score[MAX_E];
    struct choice all[MAX_E];
    double sum = 0.0;

    plain_scores(r, logits, n, score);
    for (uint32_t i = 0; i < n; i++) {
        float s = score[i];

        if (r->select == MOED_SELECT_LOGITS)
            s = logits[i];
        if (r->select == MOED_SELECT_SIGMOID)
            s = plain_sigmoid(logits[i]);
        all[i] = (struct choice){bias != NULL ? s + bias[i] : s, i};
    }
    if (r->groups > 1)
        plain_groups(r, n, all);
    qsort(all, n, sizeof *all, best_first);
    for (uint32_t j = 0; j < k; j++) {
        ids[j] = (int32_t)all[j].index;
        weights[j] = score[ids[j]];
    }
    if (r->weight_from == MOED_WEIGHT_SOFTMAX_CHOSEN) {
        double max = -INFINITY;
        double total = 0.0;

        for (uint32_t j = 0; j < k; j++)
            max = fmax(max, weights[j]);
        for (uint32_t j = 0; j < k; j++)
            total += exp(weights[j] - max);
        for (uint32_t j = 0; j < k; j++)
            weights[j] = exp(weights[j] - max) / total;
    }
    for (uint32_t j = 0; j < k; j++)
        sum += weights[j];
    for (uint32_t j = 0; j < k; j++)
        weights[j] *= (r->renorm ? 1.0 / fmax(sum, r->renorm_floor) : 1.0) * r->scale;
}

static const struct moed_router_rule qwen3 = {
    .renorm = true, .renorm_floor = 6.103515625e-5F, .scale = 1.0F};

static void check(const struct moed_router_rule *rule, const float *logits, const float *bias,
                  uint32_t n, uint32_t k)
{
    float scratch[2 * MAX_E];
    float weights[MAX_E];
    int32_t ids[MAX_E];
    double want_weights[MAX_E];
    int32_t want_ids[MAX_E];

    assert_int_equal(
        moed_route(&(struct moed_router){rule, bias, n, k}, logits, scratch, ids, weights),
        MOED_OK);
    plain_route(rule, logits, bias, n, k, want_ids, want_weights);
    for (uint32_t j = 0; j < k; j++) {
        assert_int_equal(ids[j], want_ids[j]);
        assert_true(fabs(weights[j] - want_weights[j]) <= 1e-6 * fmax(1.0, fabs(want_weights[j])));
    }
}

/* A rule with every choice drawn at random, over a number of experts that its groups divide. */
static struct moed_router_rule random_rule(struct moed_random *r, uint32_t *n)
{
    static const uint32_t sizes[] = {1, 2, 8, 60, 64, 128, 160, 256};
    struct moed_router_rule rule = {
        .score = (enum moed_score)moed_random_below(r, MOED_SCORE_COUNT),
        .select = (enum moed_select)moed_random_below(r, 3),
        .weight_from = (enum moed_weight_from)moed_random_below(r, 2),
        .group_score = (enum moed_group_score)moed_random_below(r, 2),
        .renorm = moed_random_below(r, 2) == 1,
        .renorm_floor = 6.103515625e-5F,
        .scale = moed_random_below(r, 2) ? 1.0F : 2.5F,
    };

    if (rule.score == MOED_SCORE_IDENTITY) /* raw logits may sum to nothing: no architecture does */
        rule.renorm = rule.weight_from == MOED_WEIGHT_SOFTMAX_CHOSEN;
    *n = sizes[moed_random_below(r, 8)];
    if (*n >= 8 && *n % 4 == 0 && moed_random_below(r, 3) == 0) {
        rule.groups = 4;
        rule.groups_used = 1 + moed_random_below(r, 3);
    }
    return rule;
}

static void random_rows(void **state)
{
    struct moed_random r;

    (void)state;
    moed_random_seed(&r, 1);
    for (int row = 0; row < 100000; row++) {
        static const float spreads[] = {0.01F, 1.0F, 8.0F, 300.0F};
        float logits[MAX_E];
        float bias[MAX_E];
        uint32_t n;
        const struct moed_router_rule rule = random_rule(&r, &n);
        const uint32_t room = rule.groups ? n / rule.groups * rule.groups_used : n;
        const uint32_t k = row % 7 == 0    ? 1
                           : row % 11 == 0 ? room
                                           : 1 + moed_random_below(&r, room);
        const float spread = spreads[moed_random_below(&r, 4)];
        const bool ties = moed_random_below(&r, 4) == 0;
        const bool biased = moed_random_below(&r, 3) == 0;

        for (uint32_t i = 0; i < n; i++) {
            logits[i] = spread * moed_random_gaussian(&r);
            if (ties)
                logits[i] = rintf(logits[i]);
            bias[i] = moed_random_gaussian(&r);
        }
        check(&rule, logits, biased ? bias : NULL, n, k);
    }
}

static void ties_go_to_the_lower_index(void **state)
{
    const float logits[6] = {1, 2, 2, 0, 2, 1};
    float scratch[12];
    float weights[5];
    int32_t ids[5];

    (void)state;
    assert_int_equal(
        moed_route(&(struct moed_router){&qwen3, NULL, 6, 5}, logits, scratch, ids, weights),
        MOED_OK);
    assert_memory_equal(ids, ((int32_t[]){1, 2, 4, 0, 5}), sizeof ids);
    assert_true(weights[0] == weights[2] && weights[3] == weights[4]);
}

static void the_floor_acts_on_vanishing_sums(void **state)
{
    const struct moed_router_rule rule = {.score = MOED_SCORE_SIGMOID,
                                          .renorm = true,
                                          .renorm_floor = 6.103515625e-5F,
                                          .scale = 1.0F};
    const float logits[2] = {-30, -40};
    float scratch[4];
    float weight;
    int32_t id;

    (void)state;
    assert_int_equal(
        moed_route(&(struct moed_router){&rule, NULL, 2, 1}, logits, scratch, &id, &weight),
        MOED_OK);
    assert_true(fabs(weight - 9.357623e-14 / 6.103515625e-5) < 1e-14);
}

static void what_is_not_finite_is_an_error(void **state)
{
    const float bad[3] = {NAN, INFINITY, -INFINITY};

    (void)state;
    for (int i = 0; i < 3; i++) {
        for (int at = 0; at < 4; at++) {
            float logits[4] = {1, 2, 3, 4};
            float scratch[8];
            float weights[2] = {9, 9};
            int32_t ids[2] = {9, 9};

            logits[at] = bad[i];
            assert_int_equal(moed_route(&(struct moed_router){&qwen3, NULL, 4, 2}, logits, scratch,
                                        ids, weights),
                             MOED_E_NOT_FINITE);
            assert_int_equal(ids[0], 9);
            assert_true(weights[1] == 9.0F);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_rows),
        cmocka_unit_test(ties_go_to_the_lower_index),
        cmocka_unit_test(the_floor_acts_on_vanishing_sums),
        cmocka_unit_test(what_is_not_finite_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
