/* backend: chooses an implementation by name and stands before it: checks what every backend may
 * rely on. */
#include "team.h"
#include "vtable.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef MOED_WITH_CUDA
#define CUDA_BACKEND &moed_backend_cuda
#else
#define CUDA_BACKEND NULL
#endif

static const struct moed_backend_ops *const backends[] = {
    &moed_backend_cpu, &moed_backend_reference, CUDA_BACKEND, /* last, where it is built */
};

static bool is_auto(const char *name)
{
    return name == NULL || strcmp(name, "auto") == 0;
}

static const struct moed_backend_ops *find(const char *name)
{
    for (size_t i = 0; i < MOED_ARRAY_LEN(backends) && backends[i] != NULL; i++)
        if (strcmp(backends[i]->name, name) == 0)
            return backends[i];
    return NULL;
}

static uint32_t share_of_cores(uint32_t teams)
{
    const uint32_t cores = moed_physical_cores();

    return teams <= 1 ? cores : teams >= cores ? 1 : cores / teams;
}

static int unknown(const char *name, struct moed_error *err)
{
    if (strcmp(name, "cuda") == 0)
        return moed_fail(err, MOED_E_UNSUPPORTED, "this build is without the cuda backend");
    return moed_fail(err, MOED_E_USAGE,
                     "backend \"%s\" is unknown; known are auto, cpu, cuda, "
                     "reference",
                     name);
}

/* What only a CPU does. */
static bool wants_cpu(const struct moed_backend_options *options)
{
    return options->isa != NULL || options->map || options->mlock || options->hugepages;
}

/* "auto": a device if there is one that takes the model, otherwise the CPU, saying why. */
static int open_auto(const struct moed_model *model, const struct moed_backend_options *options,
                     const struct moed_backend_ops **ops, struct moed_backend **out,
                     struct moed_error *err)
{
    const struct moed_backend_ops *cuda = find("cuda");
    struct moed_error why;

    *ops = cuda;
    if (options->devices != NULL) /* who names a device wants one */
        return cuda != NULL ? cuda->open(model, options, out, err) : unknown("cuda", err);
    if (cuda != NULL && !wants_cpu(options)) {
        if (cuda->open(model, options, out, &why) == 0)
            return 0;
        moed_log(MOED_LOG_INFO, "computing on the CPU: %s", why.message);
    }
    *ops = &moed_backend_cpu;
    return moed_backend_cpu.open(model, options, out, err);
}

int moed_backend_open(const struct moed_model *model, const struct moed_backend_options *options,
                      struct moed_backend **out, struct moed_error *err)
{
    struct moed_backend_options complete = *options;
    const struct moed_backend_ops *ops = NULL;
    int status;

    if (options->map && (options->mlock || options->hugepages))
        return moed_fail(
            err, MOED_E_USAGE, "weights in the file's mapping cannot be %s: leave out mmap or %s",
            options->mlock ? "locked" : "in huge pages", options->mlock ? "mlock" : "hugepages");
    if (complete.threads == 0)
        complete.threads = share_of_cores(complete.teams);
    if (complete.threads > TEAM_MOST) /* said before what so many would need */
        return moed_fail(err, MOED_E_USAGE, "%u threads; a worker has 1 to %d", complete.threads,
                         TEAM_MOST);
    if (complete.max_rows == 0)
        complete.max_rows = 4096;
    if (is_auto(options->name))
        status = open_auto(model, &complete, &ops, out, err);
    else if ((ops = find(options->name)))
        status = ops->open(model, &complete, out, err);
    else
        status = unknown(options->name, err);
    if (status != 0)
        return status;
    (*out)->ops = ops;
    (*out)->model = model;
    (*out)->max_rows = complete.max_rows;
    (*out)->mapped = complete.map;
    return 0;
}

void moed_backend_close(struct moed_backend *backend)
{
    if (backend != NULL)
        backend->ops->close(backend);
}

const char *moed_backend_known(size_t i)
{
    return i < MOED_ARRAY_LEN(backends) && backends[i] != NULL ? backends[i]->name : NULL;
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
    return backend->activations;
}

bool moed_backend_failed(const struct moed_backend *backend)
{
    return atomic_load(&backend->failed);
}

int moed_backend_read_gbps(struct moed_backend *backend, double *gbps, struct moed_error *err)
{
    *gbps = 0;
    return backend->ops->read_gbps != NULL ? backend->ops->read_gbps(backend, gbps, err) : 0;
}

double moed_workspace_device_seconds(const struct moed_workspace *workspace)
{
    return workspace->device_seconds;
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

    if (status == 0)
        (*out)->backend = backend;
    return status;
}

void moed_workspace_destroy(struct moed_workspace *workspace)
{
    if (workspace != NULL)
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
    return 0;
}

/* The matrices that are left in the file's mapping. */
static const struct moed_gguf_tensor *mapped_tensor(const struct moed_layer *layer, size_t i)
{
    const struct moed_weight *const all[] = {
        &layer->routed.gate, &layer->routed.up,   &layer->routed.down, &layer->shared.gate,
        &layer->shared.up,   &layer->shared.down, &layer->chunks.gate, &layer->chunks.up,
        &layer->chunks.down, &layer->latent_down, &layer->latent_up,
    };

    while (i < MOED_ARRAY_LEN(all) && all[i]->tensor == NULL)
        i++;
    return i < MOED_ARRAY_LEN(all) ? all[i]->tensor : NULL;
}

int moed_backend_check_weights(struct moed_backend *backend, const struct moed_layer *layer,
                               struct moed_error *err)
{
    enum { MATRICES = 11 };
    uint32_t last = UINT32_MAX;
    struct moed_error why;

    if (!backend->mapped)
        return 0;
    for (size_t i = 0; i < MATRICES; i++) {
        const struct moed_gguf_tensor *tensor = mapped_tensor(layer, i);

        if (tensor == NULL || tensor->part == last)
            continue;
        last = tensor->part;
        if (moed_gguf_check_mapping(backend->model->gguf, tensor, &why) == 0)
            continue;
        if (!atomic_exchange(&backend->failed, true))
            moed_log(MOED_LOG_ERROR, "layer %u: %s", layer->index, why.message);
        return moed_fail(err, MOED_E_DEVICE, "%s", why.message);
    }
    return 0;
}

int moed_forward(struct moed_workspace *workspace, uint32_t layer, struct moed_batch_rows *batch,
                 struct moed_error *err)
{
    struct moed_backend *backend = workspace->backend;
    const struct moed_layer *found = moed_model_layer(backend->model, layer);
    int status;

    if (found == NULL)
        return moed_fail(err, MOED_E_NOT_SERVED, "layer %u is not loaded", layer);
    status = check(backend, found, batch, err);
    if (status != 0)
        return status;
    batch->active_experts = 0;
    batch->weight_bytes = 0;
    if (batch->rows == 0)
        return 0;
    status = moed_backend_check_weights(backend, found, err);
    if (status == 0)
        status = backend->ops->forward(workspace, (uint32_t)(found - backend->model->layers), batch,
                                       err);
    return status == 0 ? moed_backend_check_weights(backend, found, err) : status;
}
