/* fit: adds up what a backend on the CPU will take. */
#include "fit.h"

enum { PASS_ROWS = 1024, FORMS = 3, TASK_COLUMNS = 256 };

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* About what the workspaces and batches of all teams take: rows and their forms, logits, the widest
 * layer's activations, and each thread's sums. */
static uint64_t workspace_bytes(const struct moed_model *model,
                                const struct moed_backend_options *options)
{
    const uint64_t most = options->max_rows > 0 ? options->max_rows : 1;
    const uint64_t pass = most < PASS_ROWS ? most : PASS_ROWS;
    const uint64_t teams = options->teams > 0 ? options->teams : 1;
    uint64_t hidden = 0, experts = 0, act = 0;

    for (uint32_t i = 0; i < model->n_layers; i++) {
        const struct moed_layer *l = &model->layers[i];

        hidden = larger(hidden, l->hidden);
        experts = larger(experts, l->experts);
        act = larger(act, (uint64_t)l->used * l->routed.width + l->shared.width);
    }
    return teams * sizeof(float) *
           (2 * most * hidden +
            pass * (FORMS * hidden + experts + act + (uint64_t)options->threads * TASK_COLUMNS));
}

int fit_check(const struct moed_model *model, const struct moed_backend_options *options,
              uint64_t weights, struct moed_error *err)
{
    const uint64_t workspaces = workspace_bytes(model, options);
    struct moed_memory_free left;

    moed_memory_free(&left);
    if (weights + workspaces > left.bytes)
        return moed_fail(
            err, MOED_E_NO_MEMORY,
            "weights take %.3f GB and workspaces about %.3f GB, found %.3f GB of memory "
            "free (%s): serve fewer layers or experts, give it more, or leave the "
            "weights in the file's mapping",
            (double)weights * 1e-9, (double)workspaces * 1e-9, (double)left.bytes * 1e-9, left.by);
    if (options->progress != NULL)
        moed_log(MOED_LOG_INFO,
                 "memory: %.3f GB of weights, about %.3f GB of workspaces, %.3f GB free "
                 "(%s)",
                 (double)weights * 1e-9, (double)workspaces * 1e-9, (double)left.bytes * 1e-9,
                 left.by);
    return 0;
}
