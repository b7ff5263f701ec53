/* cuda_forward: a batch to its device and back. Usual batches run as graphs, one a layer and power
 * of two of rows, since launching one by one may take longer than what is launched. */
#include "workspace.h"

#include <stdlib.h>
#include <string.h>

/* A batch takes the graph of the next power of two of rows. */
static uint32_t bucket_of(uint32_t rows)
{
    uint32_t bucket = 0;

    while (bucket < CUDA_BUCKETS && (1U << bucket) < rows)
        bucket++;
    return bucket;
}

static bool any_row(const struct moed_batch_rows *batch, uint8_t flag)
{
    for (uint32_t t = 0; t < batch->rows && batch->flags; t++)
        if (batch->flags[t] & flag)
            return true;
    return false;
}

static bool all_supplied(const struct moed_batch_rows *batch)
{
    for (uint32_t t = 0; t < batch->rows; t++)
        if (!batch->flags || !(batch->flags[t] & MOED_ROW_SUPPLIED))
            return false;
    return true;
}

/* Few pairs an expert are multiplied another way than many. Rows count as they are, not as their
 * graph has room for. */
static enum moed_cuda_way way_of(const struct cuda_backend *cuda, const struct cuda_layer *layer,
                                 uint64_t pairs)
{
    if (cuda->base.f32_rows || !layer->fast)
        return MOED_CUDA_EXACT;
    if (cuda->invariant)
        return MOED_CUDA_SMALL_M;
    return pairs <= (uint64_t)CUDA_SMALL_M_PAIRS * layer->spec->experts ? MOED_CUDA_SMALL_M
                                                                        : MOED_CUDA_LARGE_M;
}

/* ---- there ---- */

static int copy_in(struct cuda_workspace *ws, const struct cuda_pass *p,
                   const struct moed_batch_rows *batch, struct moed_error *err)
{
    const struct cuda_buffers *b = p->b;
    const uint32_t planned = (uint32_t)ws->planned;
    const struct cuda_meta meta = cuda_meta_of(p->grid_rows, p->slots, planned);
    const size_t hidden = (size_t)batch->rows * p->layer->spec->hidden * sizeof(float);
    const size_t header = (size_t)((const uint8_t *)b->hidden - (const uint8_t *)b->batch);
    const size_t routing = (size_t)batch->rows * batch->slots;
    const struct moed_cuda_batch head = {batch->rows, batch->slots, batch->flags != NULL};
    cudaError_t status;

    memcpy(ws->pinned_in, &head, sizeof head);
    memcpy(ws->pinned_in + header, batch->hidden, hidden);
    status = cudaMemcpyAsync(b->batch, ws->pinned_in, header + hidden, cudaMemcpyHostToDevice,
                             b->stream);
    if (status == cudaSuccess && batch->flags)
        status =
            cudaMemcpyAsync(b->flags, batch->flags, batch->rows, cudaMemcpyHostToDevice, b->stream);
    if (status == cudaSuccess && any_row(batch, MOED_ROW_SUPPLIED)) {
        status = cudaMemcpyAsync(b->meta + meta.ids, batch->ids, routing * sizeof *batch->ids,
                                 cudaMemcpyHostToDevice, b->stream);
        if (status == cudaSuccess)
            status = cudaMemcpyAsync(b->meta + meta.weights, batch->weights,
                                     routing * sizeof *batch->weights, cudaMemcpyHostToDevice,
                                     b->stream);
    }
    return cuda_check(status, "copying rows to the device", err);
}

/* ---- and back ---- */

static int wait(struct cuda_workspace *ws, const struct cuda_pass *p, struct moed_error *err)
{
    float ms = 0.0F;
    int status = cuda_check(cudaStreamSynchronize(p->b->stream), "computing a layer", err);

    if (status == 0)
        status = cuda_check(cudaEventElapsedTime(&ms, p->b->begin, p->b->end), "timing", err);
    ws->base.device_seconds += (double)ms * 1e-3;
    return status;
}

static int copy_output(struct cuda_workspace *ws, const struct cuda_pass *p,
                       const struct moed_batch_rows *batch, struct moed_error *err)
{
    const size_t bytes = (size_t)batch->rows * p->layer->spec->hidden * sizeof(float);

    return cuda_check(
        cudaMemcpyAsync(ws->pinned_out, p->b->output, bytes, cudaMemcpyDeviceToHost, p->b->stream),
        "copying rows from the device", err);
}

static int copy_out(struct cuda_workspace *ws, const struct cuda_pass *p,
                    const struct moed_batch_rows *batch, struct moed_error *err)
{
    const struct cuda_meta meta = cuda_meta_of(p->grid_rows, p->slots, (uint32_t)ws->planned);
    cudaError_t status = cudaMemcpyAsync(ws->pinned_meta, p->b->meta, meta.bytes,
                                         cudaMemcpyDeviceToHost, p->b->stream);

    if (status == cudaSuccess && batch->logits)
        status = cudaMemcpyAsync(batch->logits, p->b->logits,
                                 (size_t)batch->rows * p->layer->spec->experts * sizeof(float),
                                 cudaMemcpyDeviceToHost, p->b->stream);
    if (status != cudaSuccess)
        return cuda_check(status, "copying routing from the device", err);
    return copy_output(ws, p, batch, err);
}

static void tell(const struct cuda_workspace *ws, const struct cuda_pass *p,
                 struct moed_batch_rows *batch)
{
    const struct moed_layer *spec = p->layer->spec;
    const struct cuda_meta meta = cuda_meta_of(p->grid_rows, p->slots, (uint32_t)ws->planned);
    const uint32_t *count = (const uint32_t *)(const void *)(ws->pinned_meta + meta.count);
    const size_t routing = (size_t)batch->rows * batch->slots;

    memcpy(batch->output, ws->pinned_out, (size_t)batch->rows * spec->hidden * sizeof(float));
    memcpy(batch->not_finite, ws->pinned_meta + meta.not_finite, batch->rows);
    memcpy(batch->ids, ws->pinned_meta + meta.ids, routing * sizeof *batch->ids);
    memcpy(batch->weights, ws->pinned_meta + meta.weights, routing * sizeof *batch->weights);
    batch->weight_bytes = (uint64_t)spec->experts * spec->hidden * sizeof(float);
    for (uint32_t e = 0; e < ws->planned; e++) {
        batch->active_experts += count[e] > 0;
        if (count[e] > 0)
            batch->weight_bytes += cuda_planned_bytes(spec, e);
    }
}

/* ---- the pass ---- */

/* A layer's launches between the two events by which it is timed. */
static int enqueue(const struct cuda_pass *p, unsigned int event_flags, struct moed_error *err)
{
    int status =
        cuda_check(cudaEventRecordWithFlags(p->b->begin, p->b->stream, event_flags), "timing", err);

    if (status == 0)
        status = cuda_pass_enqueue(p, err);
    if (status == 0)
        status = cuda_check(cudaEventRecordWithFlags(p->b->end, p->b->stream, event_flags),
                            "timing", err);
    return status;
}

static int capture(const struct cuda_pass *p, cudaGraphExec_t *out, struct moed_error *err)
{
    cudaGraph_t graph = NULL;
    int status = cuda_check(cudaStreamBeginCapture(p->b->stream, cudaStreamCaptureModeThreadLocal),
                            "recording a graph", err);

    if (status != 0)
        return status;
    status = enqueue(p, cudaEventRecordExternal, err);

    const cudaError_t ended = cudaStreamEndCapture(p->b->stream, &graph);

    if (status == 0)
        status = cuda_check(ended, "recording a graph", err);
    if (status == 0)
        status = cuda_check(cudaGraphInstantiate(out, graph, 0), "making a graph", err);
    if (graph)
        (void)cudaGraphDestroy(graph);
    return status;
}

static int run(struct cuda_workspace *ws, uint32_t layer_at, const struct cuda_pass *p,
               struct moed_error *err)
{
    const uint32_t bucket = bucket_of(p->grid_rows);
    cudaGraphExec_t *graph;
    int status = MOED_OK;

    if (bucket >= CUDA_BUCKETS || p->grid_rows != 1U << bucket || p->normed || !p->routed ||
        p->again || p->slots != p->layer->spec->used)
        return enqueue(p, cudaEventRecordDefault, err);
    graph = &ws->graphs[((size_t)layer_at * CUDA_BUCKETS + bucket) * CUDA_WAYS + p->way];
    if (!*graph)
        status = capture(p, graph, err);
    return status == 0 ? cuda_check(cudaGraphLaunch(*graph, p->b->stream), "launching", err)
                       : status;
}

/* Rows that went out of f16's range are computed once more, in f32. */
static int run_again(struct cuda_workspace *ws, uint32_t layer_at, struct cuda_pass *p,
                     const struct moed_batch_rows *batch, struct moed_error *err)
{
    int status;

    p->again = true;
    p->way = MOED_CUDA_EXACT;
    status = run(ws, layer_at, p, err);
    if (status == 0)
        status = copy_output(ws, p, batch, err);
    return status == 0 ? wait(ws, p, err) : status;
}

static int forward(struct cuda_workspace *ws, uint32_t layer_at, struct moed_batch_rows *batch,
                   struct moed_error *err)
{
    struct cuda_backend *cuda = (struct cuda_backend *)ws->base.backend;
    const struct cuda_layer *layer = &cuda->resident.layers[layer_at];
    const uint32_t bucket = bucket_of(batch->rows);
    const bool fits = bucket < CUDA_BUCKETS && (1U << bucket) <= cuda->base.max_rows;
    struct cuda_pass p = {
        .layer = layer,
        .b = &ws->buffers[layer->device],
        .extent = &ws->extent,
        .grid_rows = fits ? 1U << bucket : batch->rows,
        .slots = batch->slots,
        .normed = any_row(batch, MOED_ROW_NORM),
        .routed = !all_supplied(batch),
        .invariant = cuda->invariant,
    };
    int status;

    if ((uint64_t)p.grid_rows * p.slots > ws->extent.slots) /* wide routing of few rows */
        p.grid_rows = batch->rows;
    p.way = way_of(cuda, layer, (uint64_t)batch->rows * p.slots);
    ws->planned = layer->spec->experts + 1 +
                  (layer->spec->chunk_size ? layer->spec->experts / layer->spec->chunk_size : 0);
    ws->base.device_seconds = 0.0;
    status = cuda_check(cudaSetDevice(cuda->devices.at[layer->device]), "choosing a device", err);
    if (status == 0)
        status = copy_in(ws, &p, batch, err);
    if (status == 0)
        status = run(ws, layer_at, &p, err);
    if (status == 0)
        status = copy_out(ws, &p, batch, err);
    if (status == 0)
        status = wait(ws, &p, err);
    if (status == 0 && *(const uint32_t *)(const void *)ws->pinned_meta != 0)
        status = run_again(ws, layer_at, &p, batch, err);
    if (status == 0)
        tell(ws, &p, batch);
    return status;
}

int cuda_forward(struct moed_workspace *workspace, uint32_t layer_at, struct moed_batch_rows *batch,
                 struct moed_error *err)
{
    struct cuda_backend *cuda = (struct cuda_backend *)workspace->backend;
    int status;

    if (atomic_load(&cuda->base.failed))
        return moed_fail(err, MOED_E_DEVICE, "the device failed before; it is not used any more");
    status = forward((struct cuda_workspace *)workspace, layer_at, batch, err);
    if (status == 0)
        return 0;
    atomic_store(&cuda->base.failed, true);
    if (err)
        err->code = MOED_E_INTERNAL;
    return MOED_E_INTERNAL;
}
