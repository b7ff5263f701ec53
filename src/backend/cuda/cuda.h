/* cuda: furniture of the CUDA backend. A layer lives on one device, whose arithmetic is
 * kernels/cuda; a workspace has buffers and a stream on every device. */
#ifndef MOED_BACKEND_CUDA_H
#define MOED_BACKEND_CUDA_H

#include "kernels/cuda/cuda.h"
#include "src/backend/findings.h"
#include "src/backend/vtable.h"

#include <stdatomic.h>

#define CUDA_MAX_DEVICES 16

struct cuda_devices {
    int at[CUDA_MAX_DEVICES]; /* as the runtime numbers them */
    uint32_t n;
};

/* Two matrices of one form are interleaved: `up` is both and `gate` is absent. */
struct cuda_bank {
    const struct moed_experts *spec;
    struct moed_cuda_matrix gate, up, down;
    float *gate_bias, *up_bias, *down_bias;    /* device memory, or NULL */
    float *gate_scale, *up_scale, *down_scale; /* likewise */
};

struct cuda_layer {
    const struct moed_layer *spec;
    uint32_t device;           /* of cuda_devices */
    bool fast;                 /* every matrix has products on the matrix units */
    struct cuda_bank banks[3]; /* routed, shared, chunks */
    struct moed_cuda_matrix latent_down, latent_up;
    float *router_weight, *router_bias, *select_bias, *shared_gate; /* device memory, or NULL */
    float *latent_norm, *norm, *norm_bias, *post_norm;
    int32_t *place, *chunk_place; /* of the experts that are held; NULL: all are */
};

struct cuda_resident {
    struct cuda_layer *layers; /* in the model's order */
    uint32_t n_layers;
    uint64_t bytes;
};

struct cuda_backend {
    struct moed_backend base;
    struct cuda_devices devices;
    struct cuda_resident resident;
    char isa[64];
    bool invariant;
};

/* The most that any layer needs: what buffers are sized by. */
struct cuda_extent {
    uint64_t rows, hidden, latent, experts, used, width, planned, slots, pairs;
    bool separate_gate; /* a layer has gate and up in different types */
};

/* ---- cuda_device.c ---- */
/* "0,1" or NULL for the first. MOED_E_UNSUPPORTED where there is no device, or no driver. */
int cuda_devices_open(const char *list, struct cuda_devices *out, struct moed_error *err);
/* MOED_OK, or MOED_E_INTERNAL with what the runtime said while it did `what`. */
int cuda_check(cudaError_t status, const char *what, struct moed_error *err);
/* Device memory; *out is NULL after a failure. */
int cuda_allocate(void **out, uint64_t bytes, struct moed_error *err);

/* ---- cuda_probe.c ---- */
int cuda_read_gbps(struct moed_backend *backend, double *gbps, struct moed_error *err);

/* ---- cuda_resident.c ---- */
int cuda_resident_open(const struct moed_model *model, const struct moed_backend_options *options,
                       const struct cuda_devices *devices, struct cuda_resident *out,
                       struct moed_error *err);
void cuda_resident_close(struct cuda_resident *resident, const struct cuda_devices *devices);

/* ---- cuda_layout.c ---- */
/* Shapes of everything in a layer, nothing allocated. MOED_E_UNSUPPORTED names a tensor whose type
 * has no tiles. */
int cuda_lay_out(const struct moed_layer *spec, struct cuda_layer *to, struct moed_error *err);
uint64_t cuda_layer_bytes(const struct cuda_layer *layer);
struct cuda_extent cuda_extent_of(const struct moed_model *model, uint32_t max_rows);
uint64_t cuda_planned_bytes(const struct moed_layer *spec, uint32_t planned); /* in the file */

/* A matrix of a layer and where it comes from: one tensor, or gate and up. */
struct cuda_source {
    struct moed_cuda_matrix *to;
    const struct moed_weight *from[2];
};
#define CUDA_MATRICES 11
uint32_t cuda_sources(struct cuda_layer *layer, struct cuda_source out[CUDA_MATRICES]);
struct cuda_vector { /* a small tensor as f32 */
    float **to;
    const struct moed_weight *from;
};
#define CUDA_VECTORS 26
uint32_t cuda_vectors(struct cuda_layer *layer, struct cuda_vector out[CUDA_VECTORS]);

/* ---- cuda_upload.c ---- */
struct cuda_upload { /* onto the current device */
    const struct moed_model *model;
    const struct moed_backend_options *options;
    int device;
    uint32_t threads;
    uint64_t slot_bytes, total; /* of the file */
    struct cuda_slot *slots;    /* one a thread */
    struct team *team;
    atomic_ullong *done;
    struct findings findings; /* about all that was read */
};
int cuda_upload_open(struct cuda_upload *upload, struct moed_error *err);
void cuda_upload_close(struct cuda_upload *upload);
/* Reads, copies and packs every expert of a matrix whose memory is there and zero. */
int cuda_upload_matrix(struct cuda_upload *upload, const struct cuda_source *source,
                       struct moed_error *err);

/* ---- cuda_buffers.c ---- */
struct cuda_meta { /* results but for the output, and routing that rows bring */
    size_t any_retry, count, not_finite, ids, weights, bytes; /* offsets, and the end */
};
struct cuda_meta cuda_meta_of(uint32_t rows, uint32_t slots, uint32_t planned);
/* What rows × slots of any shape fit in. */
uint64_t cuda_meta_room(const struct cuda_extent *extent);

struct cuda_buffers { /* of one device and workspace */
    cudaStream_t stream;
    cudaEvent_t begin, end;
    struct moed_cuda_batch *batch; /* and the rows behind it: one copy brings both */
    float *hidden;
    uint8_t *flags, *meta;
    float *x, *logit_parts, *logits, *shared_weight, *x_factor, *x_size;
    uint16_t *x_half;
    uint8_t *retry;
    float *latent_in, *latent_sum, *latent_out, *latent_factor, *latent_size;
    float *sum_factor, *sum_size;
    uint16_t *latent_half;
    struct moed_cuda_tile *tiles;
    uint32_t *tile_end, *pair_row, *arrived, *meeting;
    float *pair_weight, *pair_factor;
    uint8_t *guard;
    int32_t *wanted, *pair_of;
    void *activations;
    float *gates, *partial, *output;
    void *memory; /* all of the above */
};

uint64_t cuda_buffers_size(const struct cuda_extent *extent);
int cuda_buffers_open(struct cuda_buffers *b, const struct cuda_extent *extent,
                      struct moed_error *err);
void cuda_buffers_close(struct cuda_buffers *b);

/* ---- cuda_pass.c ---- */
struct cuda_pass {
    const struct cuda_layer *layer;
    struct cuda_buffers *b;
    const struct cuda_extent *extent;
    uint32_t grid_rows, slots;
    enum moed_cuda_way way;
    bool normed; /* some row wants the norm */
    bool routed; /* some row is to be routed */
    bool again;  /* rows with retry only */
    bool invariant;
};

/* Enqueues a layer's pass over the batch whose rows are on the device. */
int cuda_pass_enqueue(const struct cuda_pass *pass, struct moed_error *err);

#endif
