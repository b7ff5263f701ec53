/* runner: a model on a backend with the buffers of one batch. */
#include "runner.h"

#include <stdlib.h>

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
    status = moed_backend_open(model, options, &runner->backend, err);
    if (status == 0)
        status = moed_workspace_create(runner->backend, &runner->workspace, err);
    if (status != 0)
        goto fail;
    if (moed_mul(rows, most_used(model), &slots) && moed_mul(rows, runner_hidden(model), &floats)) {
        runner->output = moed_aligned_alloc(floats, sizeof(float));
        runner->ids = moed_calloc(slots, sizeof(*runner->ids));
        runner->weights = moed_calloc(slots, sizeof(*runner->weights));
        runner->not_finite = moed_calloc(rows, 1);
    }
    if (runner->output && runner->ids && runner->weights && runner->not_finite)
        return 0;
    status =
        moed_fail(err, MOED_E_NO_MEMORY, "out of memory for a batch of %u rows", options->max_rows);
fail:
    runner_close(runner);
    return status;
}

void runner_close(struct runner *runner)
{
    if (runner->workspace)
        moed_workspace_destroy(runner->workspace);
    if (runner->backend)
        moed_backend_close(runner->backend);
    free(runner->output);
    free(runner->ids);
    free(runner->weights);
    free(runner->not_finite);
    *runner = (struct runner){0};
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
    };
    int status = moed_forward(runner->workspace, layer->index, &batch, err);

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
