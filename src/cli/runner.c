/* runner: a model on a backend with the buffers of one batch. */
#include "runner.h"

#include <stdlib.h>
#include <string.h>

uint32_t runner_hidden(const struct moed_model *model)
{
    uint32_t hidden = 0;

    for (uint32_t i = 0; i < model->n_layers; i++)
        if (model->layers[i].hidden > hidden)
            hidden = model->layers[i].hidden;
    return hidden;
}

static uint32_t most_used(const struct moed_model *model)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < model->n_layers; i++)
        if (model->layers[i].used > used)
            used = model->layers[i].used;
    return used;
}

int runner_open(struct runner *runner, const struct moed_model *model,
                const struct moed_backend_options *options, struct moed_error *err)
{
    const uint64_t rows = options->max_rows;
    uint64_t slots, floats;
    int status;

    *runner = (struct runner){.model = model, .max_rows = options->max_rows};
    moed_random_seed(&runner->random, 0);
    status = moed_backend_open(model, options, &runner->backend, err);
    if (status == 0)
        status = moed_workspace_create(runner->backend, &runner->workspace, err);
    if (status != 0)
        goto fail;
    if (moed_mul(rows, most_used(model), &slots) && moed_mul(rows, runner_hidden(model), &floats)) {
        runner->output = moed_aligned_alloc(floats, sizeof(float));
        runner->ids = moed_calloc(slots, sizeof *runner->ids);
        runner->weights = moed_calloc(slots, sizeof *runner->weights);
        runner->not_finite = moed_calloc(rows, 1);
        runner->flags = moed_calloc(rows, 1);
    }
    if (runner->output != NULL && runner->ids != NULL && runner->weights != NULL &&
        runner->not_finite != NULL && runner->flags != NULL)
        return 0;
    status =
        moed_fail(err, MOED_E_NO_MEMORY, "out of memory for a batch of %u rows", options->max_rows);
fail:
    runner_close(runner);
    return status;
}

void runner_close(struct runner *runner)
{
    if (runner->workspace != NULL)
        moed_workspace_destroy(runner->workspace);
    if (runner->backend != NULL)
        moed_backend_close(runner->backend);
    free(runner->output);
    free(runner->ids);
    free(runner->weights);
    free(runner->not_finite);
    free(runner->flags);
    *runner = (struct runner){0};
}

/* K different experts a row: a random walk of a random stride over them; weights that sum to
 * about 1. */
static void choose_at_random(struct runner *runner, const struct moed_layer *layer, uint32_t rows)
{
    for (uint32_t t = 0; t < rows; t++) {
        const uint32_t first = moed_random_below(&runner->random, layer->experts);
        const uint32_t stride =
            1 + moed_random_below(&runner->random, layer->experts / layer->used);

        for (uint32_t s = 0; s < layer->used; s++) {
            const size_t at = (size_t)t * layer->used + s;

            runner->ids[at] = (int32_t)((first + (uint64_t)s * stride) % layer->experts);
            runner->weights[at] = (0.5F + moed_random_unit(&runner->random)) / (float)layer->used;
        }
    }
}

int runner_forward(struct runner *runner, const struct moed_layer *layer, const float *hidden,
                   uint32_t rows, struct moed_error *err)
{
    struct moed_batch_rows batch = {
        .rows = rows,
        .slots = layer->used,
        .hidden = hidden,
        .output = runner->output,
        .ids = runner->ids,
        .weights = runner->weights,
        .not_finite = runner->not_finite,
        .flags = runner->flags,
    };
    const bool supply = layer->router.refuses_routing != NULL;
    int status;

    if (supply)
        choose_at_random(runner, layer, rows);
    memset(runner->flags, supply ? MOED_ROW_SUPPLIED : 0, rows);
    status = moed_forward(runner->workspace, layer->index, &batch, err);

    for (uint32_t i = 0; status == 0 && i < rows; i++)
        if (runner->not_finite[i])
            status = moed_fail(err, MOED_E_NOT_FINITE,
                               "layer %u: router logits of row %u are not "
                               "finite",
                               layer->index, i);
    runner->active_experts = batch.active_experts;
    runner->weight_bytes = batch.weight_bytes;
    return status;
}
