/* plan: a batch's slots grouped by expert, by counting sort: entries of one expert are contiguous
 * and in row order, whatever the batch's make-up. */
#include <moed/moe.h>

#include <stdlib.h>
#include <string.h>

int moed_plan_init(struct moed_plan *plan, uint32_t experts, uint32_t max_entries)
{
    *plan = (struct moed_plan){.experts = experts + 1, .capacity = max_entries};
    plan->active = moed_calloc(plan->experts, sizeof *plan->active);
    plan->begin = moed_calloc((uint64_t)plan->experts + 1, sizeof *plan->begin);
    plan->row = moed_calloc(max_entries, sizeof *plan->row);
    plan->weight = moed_calloc(max_entries, sizeof *plan->weight);
    if (plan->active && plan->begin && plan->row && plan->weight)
        return MOED_OK;
    moed_plan_fini(plan);
    return MOED_E_NO_MEMORY;
}

void moed_plan_fini(struct moed_plan *plan)
{
    free(plan->active);
    free(plan->begin);
    free(plan->row);
    free(plan->weight);
    *plan = (struct moed_plan){0};
}

/* Calls `entry` once for every (row, expert) of the input, rows ascending. */
static void for_each_entry(struct moed_plan *plan, const struct moed_plan_input *in,
                           void (*entry)(struct moed_plan *, uint32_t expert, uint32_t row,
                                         float w))
{
    for (uint32_t t = 0; t < in->rows; t++) {
        const size_t at = (size_t)t * in->slots;

        for (uint32_t s = 0; s < in->slots && !(in->skip && in->skip[t]); s++)
            if (in->ids[at + s] >= 0)
                entry(plan, (uint32_t)in->ids[at + s], t, in->weights[at + s]);
        if (in->shared && in->shared[t])
            entry(plan, plan->experts - 1, t, 1.0F);
    }
}

static void count_entry(struct moed_plan *plan, uint32_t expert, uint32_t row, float weight)
{
    (void)row;
    (void)weight;
    plan->begin[expert + 1]++;
}

/* begin[expert] serves as the expert's write position; place_all() moves it back afterwards. */
static void place_entry(struct moed_plan *plan, uint32_t expert, uint32_t row, float weight)
{
    const uint32_t at = plan->begin[expert]++;

    plan->row[at] = row;
    plan->weight[at] = weight;
}

static uint32_t rows_of(const struct moed_plan *plan, uint32_t expert)
{
    return plan->begin[expert + 1] - plan->begin[expert];
}

/* Most rows first, so that the longest tasks start first; ties by index. A shell sort: in place,
 * and it allocates nothing, which qsort may. */
static void sort_active(struct moed_plan *plan)
{
    for (uint32_t gap = plan->n_active / 2; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < plan->n_active; i++) {
            const uint32_t e = plan->active[i];
            const uint32_t n = rows_of(plan, e);
            uint32_t j = i;

            for (; j >= gap; j -= gap) {
                const uint32_t o = plan->active[j - gap];

                if (rows_of(plan, o) > n || (rows_of(plan, o) == n && o < e))
                    break;
                plan->active[j] = o;
            }
            plan->active[j] = e;
        }
    }
}

void moed_plan_build(struct moed_plan *plan, const struct moed_plan_input *input)
{
    memset(plan->begin, 0, ((size_t)plan->experts + 1) * sizeof *plan->begin);
    for_each_entry(plan, input, count_entry);
    plan->n_active = 0;
    for (uint32_t e = 0; e < plan->experts; e++) {
        if (plan->begin[e + 1] > 0)
            plan->active[plan->n_active++] = e;
        plan->begin[e + 1] += plan->begin[e];
    }
    for_each_entry(plan, input, place_entry);
    memmove(plan->begin + 1, plan->begin, plan->experts * sizeof *plan->begin);
    plan->begin[0] = 0;
    sort_active(plan);
}
