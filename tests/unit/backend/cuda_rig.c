/* cuda_rig: opening, running and comparing. */
#include "cuda_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/golden.h"
#include "kernels/random.h"

static void side_open(const struct rig *rig, const struct moed_backend_options *options,
                      struct side *side)
{
    struct moed_error err;

    if (moed_backend_open(rig->model, options, &side->backend, &err) != 0 ||
        moed_workspace_create(side->backend, &side->workspace, &err) != 0)
        fail_msg("%s", err.message);
}

static void side_close(struct side *side)
{
    moed_workspace_destroy(side->workspace);
    moed_backend_close(side->backend);
}

void rig_open(struct rig *rig, const struct tiny_spec *spec,
              const struct moed_backend_options *options)
{
    const struct moed_backend_options reference = {.name = "reference", .max_rows = RIG_ROWS};
    struct moed_backend_options cuda = options ? *options : (struct moed_backend_options){0};
    struct moed_error err;

    rig->spec = *spec;
    tiny_write(spec, rig->path);
    if (moed_model_open(rig->path, NULL, &rig->model, &err) != 0)
        fail_msg("%s", err.message);
    cuda.name = "cuda";
    cuda.max_rows = RIG_ROWS;
    side_open(rig, &cuda, &rig->cuda);
    side_open(rig, &reference, &rig->reference);
}

void rig_close(struct rig *rig)
{
    side_close(&rig->cuda);
    side_close(&rig->reference);
    moed_model_close(rig->model);
    unlink(rig->path);
}

void batch_init(struct batch *b, const struct rig *rig, uint32_t slots)
{
    const size_t n = (size_t)RIG_ROWS * rig->spec.hidden;
    struct moed_random r;

    b->slots = slots;
    b->hidden = malloc(n * sizeof(float));
    b->output = malloc(n * sizeof(float));
    b->weights = calloc((size_t)RIG_ROWS * slots, sizeof(float));
    b->ids = calloc((size_t)RIG_ROWS * slots, sizeof(int32_t));
    b->flags = calloc(RIG_ROWS, 1);
    b->not_finite = calloc(RIG_ROWS, 1);
    moed_random_seed(&r, rig->spec.seed + 1);
    for (size_t i = 0; i < n; i++)
        b->hidden[i] = moed_random_gaussian(&r);
}

void batch_fini(struct batch *b)
{
    free(b->hidden);
    free(b->output);
    free(b->weights);
    free(b->ids);
    free(b->flags);
    free(b->not_finite);
}

void rig_run(const struct rig *rig, const struct side *side, struct batch *b, uint32_t first,
             uint32_t n)
{
    const size_t h = rig->spec.hidden;
    struct moed_batch_rows rows = {
        .rows = n,
        .slots = b->slots,
        .hidden = b->hidden + first * h,
        .output = b->output + first * h,
        .ids = b->ids + (size_t)first * b->slots,
        .weights = b->weights + (size_t)first * b->slots,
        .flags = b->flags + first,
        .not_finite = b->not_finite + first,
    };
    struct moed_error err;

    memset(rows.output, 0xff, n * h * sizeof(float)); /* NaN: every float must be written */
    if (moed_forward(side->workspace, 0, &rows, &err) != 0)
        fail_msg("%s", err.message);
}

double rig_error(const struct rig *rig, struct batch *b, uint32_t n, uint32_t sample)
{
    const size_t h = rig->spec.hidden, k = b->slots;
    float *found = malloc(n * h * sizeof(float));
    int32_t *ids = malloc(n * k * sizeof(int32_t));
    double worst = 0.0;

    rig_run(rig, &rig->cuda, b, 0, n);
    memcpy(found, b->output, n * h * sizeof(float));
    memcpy(ids, b->ids, n * k * sizeof(int32_t));
    for (uint32_t i = 0; i < sample && i < n; i++) {
        const uint32_t t = sample >= n ? i : (uint32_t)((uint64_t)i * (n - 1) / (sample - 1));

        rig_run(rig, &rig->reference, b, t, 1);
        worst = fmax(worst, golden_error(found + t * h, b->output + t * h, h));
        assert_memory_equal(ids + t * k, b->ids + t * k, k * sizeof(int32_t));
    }
    free(found);
    free(ids);
    return worst;
}
