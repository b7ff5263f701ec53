/* cuda_buffers: a workspace's memory on one device, in one piece, sized when it is opened. */
#include "cuda.h"

#include <string.h>

#define ALIGNMENT 256

/* Hands out parts of `memory`, or only counts them. */
struct cutter {
    uint8_t *memory;
    uint64_t used;
};

static void *cut(struct cutter *c, uint64_t count, uint64_t size)
{
    void *part = c->memory ? c->memory + c->used : NULL;

    c->used = (c->used + count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return part;
}

static uint64_t padded(uint64_t cols)
{
    return (cols + MOED_CUDA_BLOCK_K - 1) / MOED_CUDA_BLOCK_K * MOED_CUDA_BLOCK_K;
}

struct cuda_meta cuda_meta_of(uint32_t rows, uint32_t slots, uint32_t planned)
{
    struct cutter c = {0};
    struct cuda_meta m;

    m.any_retry = c.used;
    cut(&c, 1, sizeof(uint32_t));
    m.count = c.used;
    cut(&c, planned, sizeof(uint32_t));
    m.not_finite = c.used;
    cut(&c, rows, 1);
    m.ids = c.used;
    cut(&c, (uint64_t)rows * slots, sizeof(int32_t));
    m.weights = c.used;
    cut(&c, (uint64_t)rows * slots, sizeof(float));
    m.bytes = c.used;
    return m;
}

uint64_t cuda_meta_room(const struct cuda_extent *x)
{
    return x->planned * 4 + x->rows + x->slots * 8 + 8 * ALIGNMENT; /* between the parts too */
}

static void cut_rows(struct cutter *c, const struct cuda_extent *x, struct cuda_buffers *b)
{
    b->batch = cut(c, 1, ALIGNMENT);
    b->hidden = cut(c, x->rows * x->hidden, sizeof(float)); /* right behind the batch */
    b->flags = cut(c, x->rows, 1);
    b->meta = cut(c, 1, cuda_meta_room(x));
    b->x = cut(c, x->rows * x->hidden, sizeof(float));
    b->x_half = cut(c, x->rows * padded(x->hidden), sizeof(uint16_t));
    b->x_factor = cut(c, x->rows, sizeof(float));
    b->x_size = cut(c, x->rows, sizeof(float));
    b->logit_parts = cut(c, LOGIT_PARTS * x->rows * x->experts, sizeof(float));
    b->logits = cut(c, x->rows * x->experts, sizeof(float));
    b->retry = cut(c, x->rows, 1);
    b->shared_weight = cut(c, x->rows, sizeof(float));
    b->latent_in = cut(c, x->rows * x->latent, sizeof(float));
    b->latent_sum = cut(c, x->rows * x->latent, sizeof(float));
    b->latent_half = cut(c, x->rows * padded(x->latent), sizeof(uint16_t));
    b->latent_factor = cut(c, x->rows, sizeof(float));
    b->latent_size = cut(c, x->rows, sizeof(float));
    b->sum_factor = cut(c, x->rows, sizeof(float));
    b->sum_size = cut(c, x->rows, sizeof(float));
    b->latent_out = cut(c, x->latent ? x->rows * x->hidden : 0, sizeof(float));
    b->output = cut(c, x->rows * x->hidden, sizeof(float));
}

static void cut_pairs(struct cutter *c, const struct cuda_extent *x, struct cuda_buffers *b)
{
    const uint64_t widest = x->hidden > x->latent ? x->hidden : x->latent;

    b->tiles = cut(c, x->pairs + x->planned, sizeof *b->tiles);
    b->tile_end = cut(c, 3, sizeof(uint32_t));
    b->arrived = cut(c, 1, sizeof(uint32_t));
    b->meeting = cut(c, 1, sizeof(uint32_t));
    b->pair_row = cut(c, x->pairs, sizeof(uint32_t));
    b->pair_weight = cut(c, x->pairs, sizeof(float));
    b->pair_factor = cut(c, x->pairs, sizeof(float));
    b->guard = cut(c, x->pairs, 4);
    b->wanted = cut(c, x->pairs, sizeof(int32_t));
    b->pair_of = cut(c, x->pairs, sizeof(int32_t));
    b->activations = cut(c, x->pairs * padded(x->width), sizeof(float));
    b->gates = cut(c, x->separate_gate ? x->pairs * x->width : 0, sizeof(float));
    b->partial = cut(c, x->pairs * widest, sizeof(float));
}

uint64_t cuda_buffers_size(const struct cuda_extent *extent)
{
    struct cuda_buffers b;
    struct cutter c = {0};

    cut_rows(&c, extent, &b);
    cut_pairs(&c, extent, &b);
    return c.used;
}

int cuda_buffers_open(struct cuda_buffers *b, const struct cuda_extent *extent,
                      struct moed_error *err)
{
    struct cutter c = {0};
    int status;

    *b = (struct cuda_buffers){0};
    status = cuda_allocate(&b->memory, cuda_buffers_size(extent), err);
    if (status != 0)
        return moed_error_prefix(err, "buffers for %llu rows", (unsigned long long)extent->rows);
    c.memory = b->memory;
    cut_rows(&c, extent, b);
    cut_pairs(&c, extent, b);
    status = cuda_check(cudaStreamCreateWithFlags(&b->stream, cudaStreamNonBlocking),
                        "creating a stream", err);
    if (status == 0)
        status = cuda_check(cudaEventCreate(&b->begin), "creating an event", err);
    if (status == 0)
        status = cuda_check(cudaEventCreate(&b->end), "creating an event", err);
    if (status == 0)
        status = cuda_check(cudaMemset(b->memory, 0, c.used), "clearing memory", err);
    if (status == 0)
        status = cuda_check(cudaDeviceSynchronize(), "clearing memory", err);
    if (status != 0)
        cuda_buffers_close(b);
    return status;
}

void cuda_buffers_close(struct cuda_buffers *b)
{
    if (b->begin)
        (void)cudaEventDestroy(b->begin);
    if (b->end)
        (void)cudaEventDestroy(b->end);
    if (b->stream)
        (void)cudaStreamDestroy(b->stream);
    (void)cudaFree(b->memory);
    *b = (struct cuda_buffers){0};
}
