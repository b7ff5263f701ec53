/* engine.c: model, backend and batcher in the order in which they stand on each other. */
#include "engine.h"

#include "inferences.h"
#include "info.h"
#include "kserve.h"

#include <stdlib.h>
#include <string.h>

static uint32_t worker_count(const struct moed_server_options *options)
{
    if (options->workers > 0)
        return options->workers;
    return options->numa ? moed_numa_nodes() : 1;
}

/* Workers on several nodes read the same weights: spread over the nodes, none is far from all. */
static int open_backend(const struct moed_server_options *options,
                        const struct moed_backend_options *backend, struct engine *out,
                        struct moed_error *err)
{
    const bool several = options->numa && moed_numa_nodes() > 1;
    int rc;

    if (several && !moed_spread_memory(true))
        moed_log(MOED_LOG_WARN, "the kernel does not let us spread the weights over NUMA nodes");
    rc = moed_backend_open(out->model, backend, &out->backend, err);
    if (several)
        moed_spread_memory(false);
    return rc;
}

static int open_model(const struct moed_server_options *options, struct moed_model **out,
                      struct moed_error *err)
{
    const struct moed_model_options model = {
        .layers = options->layers, .experts = options->experts, .arch_file = options->arch_file};

    return moed_model_open(options->model_path, &model, out, err);
}

int engine_check(const struct moed_server_options *options, struct moed_error *err)
{
    struct moed_model *model;
    const int rc = open_model(options, &model, err);

    if (rc == 0)
        moed_model_close(model);
    return rc;
}

int engine_load(const struct moed_server_options *options, const struct engine_progress *progress,
                struct engine *out, struct moed_error *err)
{
    const struct moed_backend_options backend = {
        .name = options->backend,
        .isa = options->isa,
        .devices = options->devices,
        .invariant = options->invariant,
        .threads = options->threads,
        .teams = worker_count(options),
        .f32_rows = options->f32_rows,
        .map = options->map,
        .mlock = options->mlock,
        .hugepages = options->hugepages,
        .max_rows = options->max_batch_rows,
        .solo_work = MOED_SOLO_WORK,
        .progress = progress->report,
        .progress_context = progress->context,
    };
    int rc;

    if (options->map)
        moed_gguf_survive_cuts();
    rc = open_model(options, &out->model, err);

    if (rc == 0)
        rc = open_backend(options, &backend, out, err);
    if (rc == 0)
        rc = moed_model_fingerprint(out->model, false, out->fingerprint, err);
    if (rc == 0)
        rc = info_print(out, options, err);
    if (rc == 0)
        rc = inferences_init(out, err);
    if (rc == 0)
        kserve_alias(engine_name(out, options), out->alias, sizeof out->alias);
    else
        engine_close(out);
    return rc;
}

int engine_start(struct engine *engine, const struct moed_server_options *options,
                 struct moed_metrics *metrics, struct moed_error *err)
{
    const struct moed_batcher_options batcher = {
        .workers = worker_count(options),
        .pin = options->numa,
        .max_batch_rows = options->max_batch_rows,
        .max_batch_delay_us = options->max_batch_delay_us,
        .max_batch_ms = options->max_batch_ms,
        .spin_us = options->spin_us,
        .max_queue_rows = options->max_queue_rows,
        .max_queue_requests = options->max_queue_requests,
        .per_expert_metrics = options->metrics_per_expert,
    };

    int rc = moed_batcher_create(engine->model, engine->backend, metrics, &batcher,
                                 &engine->batcher, err);

    /* Nobody is told that we are ready with weights that are gone already. */
    for (uint32_t i = 0; rc == 0 && i < engine->model->n_layers; i++)
        rc = moed_backend_check_weights(engine->backend, &engine->model->layers[i], err);
    return rc;
}

void engine_close(struct engine *engine)
{
    if (engine->batcher != NULL)
        moed_batcher_destroy(engine->batcher);
    if (engine->backend != NULL)
        moed_backend_close(engine->backend);
    moed_model_close(engine->model);
    free(engine->info);
    free(engine->inferences);
    memset(engine, 0, sizeof *engine);
}

int engine_layer(const struct engine *engine, uint32_t layer, const struct moed_layer **out,
                 struct moed_error *err)
{
    const struct moed_set layers = moed_model_served(engine->model);
    char served[256];

    *out = moed_model_layer(engine->model, layer);
    if (*out != NULL)
        return 0;
    moed_set_print(&layers, served, sizeof served);
    if (moed_model_has_moe_layer(engine->model, layer))
        return moed_fail(err, MOED_E_NOT_SERVED, "layer %u is not served here; served: %s", layer,
                         served);
    return moed_fail(err, MOED_E_NOT_FOUND, "layer %u is no MoE layer of this model; served: %s",
                     layer, served);
}

const char *engine_name(const struct engine *engine, const struct moed_server_options *options)
{
    return options->name != NULL ? options->name : engine->model->name;
}
