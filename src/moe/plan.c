/* plan: a batch's slots grouped by expert, by counting sort: pairs of one expert are contiguous
 * and in row order, whatever the batch's make-up. */
#include "src/moe/moe.h"

#include <stdlib.h>
#include <string.h>

int moed_plan_init(struct moed_plan *plan, uint32_t experts, uint32_t max_pairs)
{
    const uint64_t most = 2 * (uint64_t)experts + 1; /* a chunk for each, and the shared one */

    *plan = (struct moed_plan){.capacity = max_pairs};
    plan->active = moed_calloc(most, sizeof *plan->active);
    plan->begin = moed_calloc(most + 1, sizeof *plan->begin);
    plan->row = moed_calloc(max_pairs, sizeof *plan->row);
    plan->weight = moed_calloc(max_pairs, sizeof *plan->weight);
    if (plan->active != NULL && plan->begin != NULL && plan->row != NULL && plan->weight != NULL)
        return 0;
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

/* The expert of a slot, -1 where there is none to compute here. */
static int32_t expert_at(const struct moed_plan_input *in, size_t slot)
{
    const int32_t e = in->ids[slot];

    return e < 0 || (in->place != NULL && in->place[e] < 0) ? -1 : e;
}

/* The weight of the chunk of a row's slot s: of all experts of the row that share it, told at the
 * first of them; false at the others. */
static bool chunk_weight(const struct moed_plan_input *in, size_t at, uint32_t s, float *weight)
{
    const uint32_t chunk = (uint32_t)in->ids[at + s] / in->chunk_size;

    *weight = 0.0F;
    for (uint32_t o = 0; o < in->slots; o++) {
        const int32_t e = expert_at(in, at + o);

        if (e < 0 || (uint32_t)e / in->chunk_size != chunk)
            continue;
        if (o < s)
            return false;
        *weight += in->weights[at + o];
    }
    return true;
}

typedef void take_pair(struct moed_plan *plan, uint32_t expert, uint32_t row, float weight);

/* Calls `pair` once for every (row, planned expert) of the input, rows ascending. */
static void for_each_pair(struct moed_plan *plan, const struct moed_plan_input *in, take_pair *pair)
{
    float chunk;

    for (uint32_t t = 0; t < in->rows; t++) {
        const size_t at = (size_t)t * in->slots;

        for (uint32_t s = 0; s < in->slots && !(in->skip != NULL && in->skip[t]); s++) {
            const int32_t e = expert_at(in, at + s);

            if (e < 0)
                continue;
            pair(plan, (uint32_t)e, t, in->weights[at + s]);
            if (in->chunk_size > 0 && chunk_weight(in, at, s, &chunk))
                pair(plan, in->experts + 1 + (uint32_t)e / in->chunk_size, t, chunk);
        }
        if (in->shared != NULL && in->shared[t])
            pair(plan, in->experts, t, 1.0F);
    }
}

static void count_pair(struct moed_plan *plan, uint32_t expert, uint32_t row, float weight)
{
    (void)row;
    (void)weight;
    plan->begin[expert + 1]++;
}

/* begin[expert] serves as the expert's write position; place_all() moves it back afterwards. */
static void place_pair(struct moed_plan *plan, uint32_t expert, uint32_t row, float weight)
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
    plan->planned = input->experts + 1;
    if (input->chunk_size > 0)
        plan->planned += input->experts / input->chunk_size;
    memset(plan->begin, 0, ((size_t)plan->planned + 1) * sizeof *plan->begin);
    for_each_pair(plan, input, count_pair);
    plan->n_active = 0;
    for (uint32_t e = 0; e < plan->planned; e++) {
        if (plan->begin[e + 1] > 0)
            plan->active[plan->n_active++] = e;
        plan->begin[e + 1] += plan->begin[e];
    }
    for_each_pair(plan, input, place_pair);
    memmove(plan->begin + 1, plan->begin, plan->planned * sizeof *plan->begin);
    plan->begin[0] = 0;
    sort_active(plan);
}
