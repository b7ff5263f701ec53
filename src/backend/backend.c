/* backend: chooses an implementation by name and stands before it: checks what every backend may
 * rely on. */
#include "vtable.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct moed_backend_ops *const backends[] = {
    &moed_backend_cpu, /* what "auto" means */
    &moed_backend_reference,
};

static const struct moed_backend_ops *find(const char *name)
{
    if (!name || strcmp(name, "auto") == 0)
        return backends[0];
    for (size_t i = 0; i < MOED_ARRAY_LEN(backends); i++)
        if (strcmp(backends[i]->name, name) == 0)
            return backends[i];
    return NULL;
}

static uint32_t share_of_cores(uint32_t teams)
{
    const uint32_t cores = moed_physical_cores();

    return teams <= 1 ? cores : teams >= cores ? 1 : cores / teams;
}

int moed_backend_open(const struct moed_model *model, const struct moed_backend_options *options,
                      struct moed_backend **out, struct moed_error *err)
{
    struct moed_backend_options complete = *options;
    const struct moed_backend_ops *ops = find(options->name);
    int status;

    if (!ops)
        return moed_fail(err, MOED_E_USAGE,
                         "backend \"%s\" is unknown; known are auto, cpu, reference",
                         options->name);
    if (options->map && (options->mlock || options->hugepages))
        return moed_fail(
            err, MOED_E_USAGE, "weights in the file's mapping cannot be %s: leave out mmap or %s",
            options->mlock ? "locked" : "in huge pages", options->mlock ? "mlock" : "hugepages");
    if (complete.threads == 0)
        complete.threads = share_of_cores(complete.teams);
    if (complete.max_rows == 0)
        complete.max_rows = 4096;
    status = ops->open(model, &complete, out, err);
    if (status != MOED_OK)
        return status;
    (*out)->ops = ops;
    (*out)->model = model;
    (*out)->max_rows = complete.max_rows;
    return MOED_OK;
}

void moed_backend_close(struct moed_backend *backend)
{
    if (backend)
        backend->ops->close(backend);
}

const char *moed_backend_name(const struct moed_backend *backend)
{
    return backend->ops->name;
}

const char *moed_backend_isa(const struct moed_backend *backend)
{
    return backend->isa;
}

const char *moed_backend_activations(const struct moed_backend *backend)
{
    return backend->f32_rows ? "f32" : "int8";
}

uint32_t moed_backend_threads(const struct moed_backend *backend)
{
    return backend->threads;
}

uint32_t moed_backend_max_rows(const struct moed_backend *backend)
{
    return backend->max_rows;
}

uint64_t moed_backend_bytes(const struct moed_backend *backend)
{
    return backend->bytes;
}

int moed_workspace_create(struct moed_backend *backend, struct moed_workspace **out,
                          struct moed_error *err)
{
    const int status = backend->ops->workspace_create(backend, out, err);

    if (status == MOED_OK)
        (*out)->backend = backend;
    return status;
}

void moed_workspace_destroy(struct moed_workspace *workspace)
{
    if (workspace)
        workspace->backend->ops->workspace_destroy(workspace);
}

/* Whether the batch has the form that backend.h promises to backends. */
static int check(const struct moed_backend *backend, const struct moed_layer *layer,
                 const struct moed_batch_rows *batch, struct moed_error *err)
{
    const uint64_t entries = (uint64_t)batch->rows * batch->slots;
    const uint64_t limit = (uint64_t)backend->max_rows * layer->used;

    if (batch->rows > backend->max_rows)
        return moed_fail(err, MOED_E_INTERNAL, "a batch of %u rows, the backend was opened for %u",
                         batch->rows, backend->max_rows);
    if (batch->slots < layer->used || (entries > limit && entries > layer->experts))
        return moed_fail(err, MOED_E_INTERNAL,
                         "a batch of %u rows with %u expert slots; a row needs %u slots and the "
                         "batch has room for %llu",
                         batch->rows, batch->slots, layer->used, (unsigned long long)limit);
    return MOED_OK;
}

int moed_forward(struct moed_workspace *workspace, uint32_t layer, struct moed_batch_rows *batch,
                 struct moed_error *err)
{
    struct moed_backend *backend = workspace->backend;
    const struct moed_layer *found = moed_model_layer(backend->model, layer);
    int status;

    if (!found)
        return moed_fail(err, MOED_E_NOT_SERVED, "layer %u is not loaded", layer);
    status = check(backend, found, batch, err);
    if (status != MOED_OK)
        return status;
    batch->active_experts = 0;
    batch->weight_bytes = 0;
    if (batch->rows == 0)
        return MOED_OK;
    return backend->ops->forward(workspace, (uint32_t)(found - backend->model->layers), batch, err);
}
