/* The plan against a brute-force count of (row, expert) pairs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "src/moe/moe.h"
#include <cmocka.h>
#include <string.h>

#include "kernels/random.h"

#define ROWS    40
#define SLOTS   5
#define EXPERTS 17

struct batch {
    int32_t ids[ROWS * SLOTS];
    float weights[ROWS * SLOTS];
    uint8_t skip[ROWS], shared[ROWS];
};

static void random_batch(struct moed_random *r, struct batch *b)
{
    for (int t = 0; t < ROWS; t++) {
        const uint32_t first = moed_random_below(r, EXPERTS);

        b->skip[t] = moed_random_below(r, 5) == 0;
        b->shared[t] = moed_random_below(r, 2) == 0;
        for (uint32_t s = 0; s < SLOTS; s++) { /* distinct experts, some slots empty */
            b->ids[t * SLOTS + (int)s] =
                moed_random_below(r, 4) == 0 ? -1 : (int32_t)((first + 3 * s) % EXPERTS);
            b->weights[t * SLOTS + (int)s] = moed_random_unit(r);
        }
    }
}

/* Whether row t takes expert e, and with which weight. */
static bool takes(const struct batch *b, int t, uint32_t e, float *weight)
{
    *weight = 1.0F;
    if (e == EXPERTS)
        return b->shared[t];
    for (int s = 0; s < SLOTS && !b->skip[t]; s++)
        if (b->ids[t * SLOTS + s] == (int32_t)e) {
            *weight = b->weights[t * SLOTS + s];
            return true;
        }
    return false;
}

static void check_pairs(const struct moed_plan *plan, const struct batch *b)
{
    for (uint32_t e = 0; e <= EXPERTS; e++) {
        uint32_t at = plan->begin[e];

        for (int t = 0; t < ROWS; t++) {
            float weight;

            if (!takes(b, t, e, &weight))
                continue;
            assert_true(at < plan->begin[e + 1]);
            assert_int_equal(plan->row[at], t);
            assert_true(plan->weight[at] == weight);
            at++;
        }
        assert_int_equal(at, plan->begin[e + 1]);
    }
}

static void check_active(const struct moed_plan *plan)
{
    uint32_t with_rows = 0;

    for (uint32_t e = 0; e <= EXPERTS; e++)
        with_rows += plan->begin[e + 1] > plan->begin[e];
    assert_int_equal(plan->n_active, with_rows);
    for (uint32_t a = 0; a < plan->n_active; a++) {
        const uint32_t e = plan->active[a];
        const uint32_t n = plan->begin[e + 1] - plan->begin[e];

        assert_true(n > 0);
        if (a > 0) {
            const uint32_t o = plan->active[a - 1];
            const uint32_t before = plan->begin[o + 1] - plan->begin[o];

            assert_true(before > n || (before == n && o < e));
        }
    }
}

static void random_plans(void **state)
{
    struct moed_random r;
    struct moed_plan plan;

    (void)state;
    moed_random_seed(&r, 2);
    assert_int_equal(moed_plan_init(&plan, EXPERTS, ROWS * (SLOTS + 1)), 0);
    for (int i = 0; i < 2000; i++) { /* one plan, rebuilt: nothing of the last batch stays */
        struct batch b;

        random_batch(&r, &b);
        moed_plan_build(&plan, &(struct moed_plan_input){.experts = EXPERTS,
                                                         .rows = ROWS,
                                                         .slots = SLOTS,
                                                         .ids = b.ids,
                                                         .weights = b.weights,
                                                         .skip = b.skip,
                                                         .shared = b.shared});
        check_pairs(&plan, &b);
        check_active(&plan);
    }
    moed_plan_fini(&plan);
}

static void no_rows_no_pairs(void **state)
{
    struct moed_plan plan;

    (void)state;
    assert_int_equal(moed_plan_init(&plan, 4, 8), 0);
    moed_plan_build(&plan, &(struct moed_plan_input){.experts = 4, .slots = 2});
    assert_int_equal(plan.n_active, 0);
    assert_int_equal(plan.begin[5], 0);
    moed_plan_fini(&plan);
}

/* Experts 0 to 2 and 3 to 5 share a chunk: 7 and 8 of the plan, behind the shared expert. */
static void chunks_take_the_sum_of_their_experts(void **state)
{
    const int32_t ids[] = {0, 2, 5, 1, -1, -1, 4, 3, -1};
    const float weights[] = {0.5F, 0.25F, 1.0F, 2.0F, 9.0F, 9.0F, 3.0F, 4.0F, 9.0F};
    const uint8_t skip[] = {0, 0, 1}, shared[] = {0, 1, 0};
    struct moed_plan plan;

    (void)state;
    assert_int_equal(moed_plan_init(&plan, 6, 3 * 7), 0);
    moed_plan_build(&plan, &(struct moed_plan_input){.experts = 6,
                                                     .chunk_size = 3,
                                                     .rows = 3,
                                                     .slots = 3,
                                                     .ids = ids,
                                                     .weights = weights,
                                                     .skip = skip,
                                                     .shared = shared});
    assert_int_equal(plan.planned, 9);
    assert_int_equal(plan.begin[9], 8);
    assert_int_equal(plan.begin[7] - plan.begin[6], 1);
    assert_int_equal(plan.begin[8] - plan.begin[7], 2);
    assert_int_equal(plan.row[plan.begin[7]], 0);
    assert_true(plan.weight[plan.begin[7]] == 0.75F);
    assert_int_equal(plan.row[plan.begin[7] + 1], 1);
    assert_true(plan.weight[plan.begin[7] + 1] == 2.0F);
    assert_int_equal(plan.row[plan.begin[8]], 0);
    assert_true(plan.weight[plan.begin[8]] == 1.0F);
    assert_int_equal(plan.active[0], 7); /* two rows */
    moed_plan_fini(&plan);
}

/* A shard that holds experts 1 and 4 of six: the others get nothing, nor do they weigh in chunks.
 */
static void experts_elsewhere_get_no_pairs(void **state)
{
    const int32_t ids[] = {0, 1, 5, 4, 3, -1}, place[] = {-1, 0, -1, -1, 1, -1};
    const float weights[] = {0.5F, 0.25F, 1.0F, 2.0F, 4.0F, 9.0F};
    struct moed_plan plan;

    (void)state;
    assert_int_equal(moed_plan_init(&plan, 6, 2 * 6), 0);
    moed_plan_build(&plan, &(struct moed_plan_input){.experts = 6,
                                                     .chunk_size = 3,
                                                     .rows = 2,
                                                     .slots = 3,
                                                     .ids = ids,
                                                     .weights = weights,
                                                     .place = place});
    assert_int_equal(plan.begin[plan.planned], 4);
    assert_int_equal(plan.n_active, 4);
    assert_true(plan.weight[plan.begin[1]] == 0.25F);
    assert_true(plan.weight[plan.begin[4]] == 2.0F);
    assert_true(plan.weight[plan.begin[7]] == 0.25F);
    assert_true(plan.weight[plan.begin[8]] == 2.0F);
    moed_plan_fini(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_plans),
        cmocka_unit_test(no_rows_no_pairs),
        cmocka_unit_test(chunks_take_the_sum_of_their_experts),
        cmocka_unit_test(experts_elsewhere_get_no_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
