/* vtable: what a backend implements. A backend's struct begins with struct moed_backend, its
 * workspace with struct moed_workspace. */
#ifndef MOED_BACKEND_VTABLE_H
#define MOED_BACKEND_VTABLE_H

#include "src/backend/backend.h"

#include <stdatomic.h>

struct moed_backend_ops {
    const char *name;
    /* `options` are complete: threads and max_rows are set. */
    int (*open)(const struct moed_model *model, const struct moed_backend_options *options,
                struct moed_backend **out, struct moed_error *err);
    void (*close)(struct moed_backend *backend);
    int (*workspace_create)(struct moed_backend *backend, struct moed_workspace **out,
                            struct moed_error *err);
    void (*workspace_destroy)(struct moed_workspace *workspace);
    int (*forward)(struct moed_workspace *workspace, uint32_t layer_at,
                   struct moed_batch_rows *batch, struct moed_error *err);
    /* NULL where there is no device. */
    int (*read_gbps)(struct moed_backend *backend, double *gbps, struct moed_error *err);
};

struct moed_backend {
    const struct moed_backend_ops *ops;
    const struct moed_model *model;
    const char *isa, *activations;
    atomic_bool failed; /* its device, or its weights, are not to be trusted any more */
    bool mapped;        /* weights are in the file's mapping */
    bool f32_rows;
    uint32_t threads, max_rows;
    uint64_t bytes;
};

struct moed_workspace {
    struct moed_backend *backend;
    double device_seconds; /* of the last call, where the device keeps its own time */
};

extern const struct moed_backend_ops moed_backend_reference;
extern const struct moed_backend_ops moed_backend_cpu;
extern const struct moed_backend_ops moed_backend_cuda; /* where MOED_WITH_CUDA */

#endif
