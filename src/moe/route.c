/* route: from one row's logits to its K experts and their weights, by the layer's rule. Values are
 * f32; sums over experts are held in double, so that E = 512 costs no digits. */
#include "src/moe/moe.h"

#include <math.h>

static float sigmoid(float x)
{
    return 1.0F / (1.0F + expf(-x));
}

static void softmax(const float *x, uint32_t n, float *out)
{
    float max = x[0];
    double sum = 0.0;

    for (uint32_t i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (uint32_t i = 0; i < n; i++) {
        out[i] = expf(x[i] - max);
        sum += out[i];
    }
    for (uint32_t i = 0; i < n; i++)
        out[i] = (float)(out[i] / sum);
}

static float softplus_root(float x)
{
    return sqrtf(x > 20.0F ? x : log1pf(expf(x)));
}

static void score_all(enum moed_score kind, const float *logits, uint32_t n, float *score)
{
    if (kind == MOED_SCORE_SOFTMAX) {
        softmax(logits, n, score);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (kind == MOED_SCORE_SIGMOID)
            score[i] = sigmoid(logits[i]);
        else if (kind == MOED_SCORE_SQRT_SOFTPLUS)
            score[i] = softplus_root(logits[i]);
        else
            score[i] = logits[i];
    }
}

/* What the choice is made by. */
static void select_all(const struct moed_router *router, const float *logits, const float *score,
                       float *select)
{
    for (uint32_t i = 0; i < router->experts; i++) {
        float s = score[i];

        if (router->rule->select == MOED_SELECT_LOGITS)
            s = logits[i];
        else if (router->rule->select == MOED_SELECT_SIGMOID)
            s = sigmoid(logits[i]);
        select[i] = router->bias != NULL ? s + router->bias[i] : s;
    }
}

static float group_score(enum moed_group_score kind, const float *select, uint32_t n)
{
    float best = -INFINITY;
    float second = -INFINITY;

    for (uint32_t i = 0; i < n; i++) {
        if (select[i] > best) {
            second = best;
            best = select[i];
        } else if (select[i] > second) {
            second = select[i];
        }
    }
    return kind == MOED_GROUP_TOP2_SUM && n > 1 ? best + second : best;
}

/* Takes the experts of all but the best groups out of the choice. A group survives when fewer
 * than groups_used others beat it (a tie goes to the lower index). */
static void limit_groups(const struct moed_router_rule *rule, uint32_t experts, float *select)
{
    const uint32_t size = experts / rule->groups;
    float scores[MOED_MAX_GROUPS];

    for (uint32_t g = 0; g < rule->groups; g++)
        scores[g] = group_score(rule->group_score, select + (size_t)g * size, size);
    for (uint32_t g = 0; g < rule->groups; g++) {
        uint32_t better = 0;

        for (uint32_t o = 0; o < rule->groups; o++)
            better += scores[o] > scores[g] || (scores[o] == scores[g] && o < g);
        if (better < rule->groups_used)
            continue;
        for (uint32_t i = g * size; i < (g + 1) * size; i++)
            select[i] = -INFINITY;
    }
}

/* The k best, descending; scanning upwards and moving only for a greater value keeps the lower
 * index first among equals. */
static void top_k(const float *select, uint32_t n, uint32_t k, int32_t *ids)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = found;

        while (at > 0 && select[i] > select[ids[at - 1]])
            at--;
        if (at == k)
            continue;
        if (found < k)
            found++;
        for (uint32_t j = found - 1; j > at; j--)
            ids[j] = ids[j - 1];
        ids[at] = (int32_t)i;
    }
}

static void weigh(const struct moed_router_rule *rule, const float *score, uint32_t k,
                  const int32_t *ids, float *weights)
{
    for (uint32_t j = 0; j < k; j++)
        weights[j] = score[ids[j]];
    if (rule->weight_from == MOED_WEIGHT_SOFTMAX_CHOSEN)
        softmax(weights, k, weights);
    if (rule->renorm) {
        double sum = 0.0;

        for (uint32_t j = 0; j < k; j++)
            sum += weights[j];
        sum = fmax(sum, rule->renorm_floor);
        for (uint32_t j = 0; j < k; j++)
            weights[j] = (float)(weights[j] / sum);
    }
    for (uint32_t j = 0; j < k; j++)
        weights[j] *= rule->scale;
}

int moed_route(const struct moed_router *router, const float *logits, float *scratch, int32_t *ids,
               float *weights)
{
    const struct moed_router_rule *rule = router->rule;
    float *score = scratch;
    float *select = scratch + router->experts;

    for (uint32_t i = 0; i < router->experts; i++)
        if (!isfinite(logits[i]))
            return MOED_E_NOT_FINITE;
    score_all(rule->score, logits, router->experts, score);
    select_all(router, logits, score, select);
    if (rule->groups > 1)
        limit_groups(rule, router->experts, select);
    top_k(select, router->experts, router->used, ids);
    weigh(rule, score, router->used, ids, weights);
    return 0;
}
