/* Every golden case, on every backend, with rounded and with f32 rows, through the library's public
 * door. */
#include "../support/golden.h"
#include "device.h"

#include <moed/moed.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tally {
    const char *backend;
    int f32_rows;
    int passed, failed, unsupported;
};

static void fail(struct tally *t, const struct golden_case *c, const char *what)
{
    printf("FAILED %s%s %s layer %u: %s\n", t->backend, t->f32_rows ? ", f32 rows," : "", c->name,
           c->layer, what);
    t->failed++;
}

/* In descending order of selection score; among equals the reference answer has the lower index
 * first, as we do, but for rounding: then the same set of experts counts. */
static bool same_experts(const struct golden_case *c, const int32_t *ids)
{
    if (!c->ties)
        return memcmp(ids, c->ids, (size_t)c->rows * c->k * sizeof *ids) == 0;
    for (uint32_t t = 0; t < c->rows; t++)
        for (uint32_t s = 0; s < c->k; s++) {
            bool found = false;

            for (uint32_t o = 0; o < c->k; o++)
                found = found || ids[t * c->k + s] == c->ids[t * c->k + o];
            if (!found)
                return false;
        }
    return true;
}

static bool near_weights(const struct golden_case *c, const float *weights)
{
    for (size_t i = 0; i < (size_t)c->rows * c->k; i++)
        if (!(fabsf(weights[i] - c->weights[i]) <= 1e-6F * fmaxf(1.0F, fabsf(c->weights[i]))))
            return false;
    return true;
}

static void check_answer(struct tally *t, const struct golden_case *c, const float *output,
                         const struct moed_routing *routing)
{
    const double error = golden_error(output, c->output, (size_t)c->rows * c->hidden);
    const double limit = t->f32_rows ? 1e-6 : golden_tolerance(c, t->backend);
    const int failed = t->failed;
    char what[96];

    if (!same_experts(c, routing->ids))
        fail(t, c, "other experts");
    if (!near_weights(c, routing->weights))
        fail(t, c, "other weights");
    if (golden_error(routing->logits, c->logits, (size_t)c->rows * c->experts) > 1e-6)
        fail(t, c, "other logits");
    snprintf(what, sizeof what, "relative error %.3g, the limit is %.3g", error, limit);
    if (!(error <= limit))
        fail(t, c, what);
    t->passed += t->failed == failed;
}

static void check(const struct golden_case *c, void *context)
{
    struct tally *t = context;
    const struct moed_options options = {
        .size = sizeof options, .backend = t->backend, .f32_rows = t->f32_rows};
    float *output = malloc((size_t)c->rows * c->hidden * sizeof *output);
    struct moed_routing routing = {
        .size = sizeof routing,
        .slots = c->k,
        .ids = malloc((size_t)c->rows * c->k * sizeof(int32_t)),
        .weights = malloc((size_t)c->rows * c->k * sizeof(float)),
        .logits = malloc((size_t)c->rows * c->experts * sizeof(float)),
    };
    const struct moed_call call = {.size = sizeof call,
                                   .layer = c->layer,
                                   .rows = c->rows,
                                   .hidden = c->x,
                                   .output = output,
                                   .routing = &routing};
    struct moed_error err = {0};
    struct moed *m = NULL;

    memset(output, 0xff, (size_t)c->rows * c->hidden * sizeof *output); /* NaN: dirty on purpose */
    const int opened = moed_open(c->model, &options, &m, &err);

    if (opened == MOED_E_UNSUPPORTED && strcmp(t->backend, "cuda") == 0)
        t->unsupported++; /* the cuda backend's own tests say which types it has */
    else if (opened != 0 || moed_run(m, &call, &err) != 0)
        fail(t, c, err.message);
    else
        check_answer(t, c, output, &routing);
    moed_close(m);
    free(output);
    free(routing.ids);
    free(routing.weights);
    free(routing.logits);
}

int main(void)
{
    static const struct tally columns[] = {
        {.backend = "reference"},           {.backend = "cpu"},
        {.backend = "cpu", .f32_rows = 1},  {.backend = "cuda"},
        {.backend = "cuda", .f32_rows = 1},
    };
    struct tally total = {0};

    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        struct tally t = columns[i];

        if (strcmp(t.backend, "cuda") == 0 && !has_device()) {
            printf("skip  golden cases on cuda: there is no device\n");
            continue;
        }
        if (golden_for_each(MOED_GOLDEN_DIR, check, &t) == 0) {
            printf("FAILED: no golden case below " MOED_GOLDEN_DIR "\n");
            t.failed++;
        }
        if (t.unsupported > 12) { /* IQ1, IQ2, IQ3, TQ, Q1, Q2 and NVFP4 */
            printf("FAILED: %d cases are of types that %s does not have\n", t.unsupported,
                   t.backend);
            t.failed++;
        }
        total.passed += t.passed;
        total.failed += t.failed;
    }
    printf("%d passed, %d failed\n", total.passed, total.failed);
    return total.failed > 0;
}
