/* backend: one layer's MoE block over a batch of rows, behind one vtable. `reference` (float64,
 * the oracle), `cpu` (OpenMP, an ISA chosen at run time), `cuda` (NVIDIA GPUs). Owns the resident
 * weights and the workspaces; knows nothing of requests, queues or sockets. */
#ifndef MOED_BACKEND_H
#define MOED_BACKEND_H

#include "src/model/model.h"

/* Multiply-adds that one thread does in a few tenths of a millisecond or less: what a team would
 * save of it, its barriers and its spinning at them take from the rest of the process. */
#define MOED_SOLO_WORK (UINT64_C(8) << 20)

struct moed_backend_options {
    const char *name;    /* "auto", "cpu", "cuda", "reference"; NULL: auto, which is cuda where a
                            device takes the model, and otherwise cpu, saying why */
    const char *isa;     /* NULL: the best that this CPU has */
    const char *devices; /* of cuda: "0,1", which share the layers; NULL: the first */
    bool invariant;      /* of cuda: a row's bits do not depend on its batch, as on the CPU */
    uint32_t threads;    /* a workspace's team; 0: its share of the physical cores, */
    uint32_t teams;      /* where so many workspaces compute at the same time; 0: one */
    bool f32_rows;       /* --activations f32: rows are never rounded, whatever that costs */
    bool map;            /* leave weights in the file's mapping instead of private memory */
    bool mlock;          /* refuse to start rather than be paged out */
    bool hugepages;      /* reserved huge pages; transparent ones are asked for anyway */
    uint32_t max_rows;   /* rows a forward call at most; 0: 4096 */
    uint64_t solo_work;  /* multiply-adds of a call under which one thread computes it alone */
    void (*progress)(void *context, uint64_t done, uint64_t total); /* bytes; any thread */
    void *progress_context;
};

/* What to do with one row of a batch; rows of any mix may share one. */
enum moed_row_flags {
    MOED_ROW_SUPPLIED = 1,    /* ids and weights are given, not routed; the only rows that a layer
                                 whose router refuses_routing computes rightly */
    MOED_ROW_NO_SHARED = 2,   /* leave the shared expert out */
    MOED_ROW_ONLY_SHARED = 4, /* the shared expert alone */
    MOED_ROW_NORM = 8,        /* apply the layer's norm first */
    MOED_ROW_RESIDUAL = 16,   /* with NORM: add the residual by the layer's rule */
    MOED_ROW_ROUTE_ONLY = 32, /* choose experts, compute none; output unspecified */
    MOED_ROW_PART = 64 /* with RESIDUAL: scale by the rule, but add nothing: the shard to whose
                          part this one is added does */
};

struct moed_batch_rows {
    uint32_t rows;       /* T, 0..max_rows */
    uint32_t slots;      /* columns of ids and weights, >= K; rows x slots <= max_rows x K or E */
    const float *hidden; /* [T, H] */
    float *output;       /* [T, H]; every float of a computed row is overwritten */
    int32_t *ids;   /* [T, slots]: read for SUPPLIED rows (-1 skips), else written (-1 past K) */
    float *weights; /* [T, slots]: likewise (0 past K) */
    float *logits;  /* [T, E] written for rows that are not SUPPLIED; NULL: not wanted */
    const uint8_t *flags;    /* [T] of moed_row_flags; NULL: all 0 */
    uint8_t *not_finite;     /* [T]: 1 where a router logit was not finite, whose output is zeros */
    uint32_t active_experts; /* out: experts that had a row */
    uint64_t weight_bytes;   /* out: GGUF bytes of their weights, the router's too */
};

struct moed_backend;   /* resident weights: shared by threads, read-only */
struct moed_workspace; /* scratch and thread team of one worker: one call at a time */

/* Loads the model's layers. `model` must outlive the backend. Errors name what was found and
 * expected: MOED_E_USAGE (unknown backend or ISA, listing the known), MOED_E_UNSUPPORTED,
 * MOED_E_NO_MEMORY, MOED_E_IO. */
int moed_backend_open(const struct moed_model *model, const struct moed_backend_options *options,
                      struct moed_backend **out, struct moed_error *err);
void moed_backend_close(struct moed_backend *backend);

/* Names of those that this build has; NULL past the end. */
const char *moed_backend_known(size_t i);
const char *moed_backend_name(const struct moed_backend *backend); /* "cpu" */
const char *moed_backend_isa(const struct moed_backend *backend);  /* "avx512", … */
/* "int8" or "f16": what quantised weights are multiplied with; "f32": nothing is rounded. */
const char *moed_backend_activations(const struct moed_backend *backend);
uint32_t moed_backend_threads(const struct moed_backend *backend); /* of one workspace */
uint32_t moed_backend_max_rows(const struct moed_backend *backend);
uint64_t moed_backend_bytes(const struct moed_backend *backend); /* resident weights */

/* Whether its device failed, or the file of weights that are mapped was changed or cut short, so
 * that later calls fail too. Any thread. */
bool moed_backend_failed(const struct moed_backend *backend);
/* Where weights are in the file's mapping: whether the layer's are what they were when the model
 * was opened. If not: MOED_E_DEVICE, naming file and tensor, and the backend has failed. */
int moed_backend_check_weights(struct moed_backend *backend, const struct moed_layer *layer,
                               struct moed_error *err);

/* What its device reads from memory at most, measured now, in 10^9 bytes a second; 0 where there is
 * no device but this CPU. */
int moed_backend_read_gbps(struct moed_backend *backend, double *gbps, struct moed_error *err);

/* Gives the calling thread all processors of OpenMP's places, where the environment had OpenMP bind
 * it to one of them: for the first moment of a process, since later threads inherit its processors.
 */
void moed_backend_unbind(void);

/* To be created and used on the worker's own thread: its team keeps to that thread's processors. */
int moed_workspace_create(struct moed_backend *backend, struct moed_workspace **out,
                          struct moed_error *err);
void moed_workspace_destroy(struct moed_workspace *workspace);

/* One layer over one batch; `layer` is a served block number. A row's bits depend on that row
 * alone, but for cuda without `invariant`, where they depend on the batch's size too. Experts that
 * are not held here add nothing to it, nor does a shared one: what that means is the caller's to
 * say. Allocates nothing. MOED_E_INTERNAL with the reason if the device failed, which this batch
 * may be to blame for, MOED_E_DEVICE if it had failed before: no output of that batch may be used.
 */
int moed_forward(struct moed_workspace *workspace, uint32_t layer, struct moed_batch_rows *batch,
                 struct moed_error *err);

/* What the device took for the last call, by its own clock; 0 where there is none. */
double moed_workspace_device_seconds(const struct moed_workspace *workspace);

#endif
