/* cuda_upload: weights from the file onto a device. Each thread reads an expert into pinned memory
 * of its own, and has it copied and packed on a stream of its own, so that reading, copying and
 * packing go on side by side. */
#include "cuda.h"
#include "src/backend/team.h"

#include <stdlib.h>

struct cuda_slot {
    uint8_t *pinned, *raw; /* of the host; of the device */
    cudaStream_t stream;
};

static int slot_open(const struct cuda_upload *u, struct cuda_slot *slot, struct moed_error *err)
{
    int status = cuda_check(cudaStreamCreateWithFlags(&slot->stream, cudaStreamNonBlocking),
                            "creating a stream", err);

    if (status == 0)
        status = cuda_check(cudaMallocHost((void **)&slot->pinned, u->slot_bytes),
                            "pinning memory to read into", err);
    return status == 0 ? cuda_allocate((void **)&slot->raw, u->slot_bytes, err) : status;
}

int cuda_upload_open(struct cuda_upload *u, struct moed_error *err)
{
    int status = MOED_OK;

    u->slots = moed_calloc(u->threads, sizeof *u->slots);
    if (!u->slots)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory to upload with");
    for (uint32_t i = 0; i < u->threads && status == 0; i++)
        status = slot_open(u, &u->slots[i], err);
    if (status == 0)
        status = team_create(u->threads, &u->team, err);
    if (status != 0)
        cuda_upload_close(u);
    return status;
}

void cuda_upload_close(struct cuda_upload *u)
{
    for (uint32_t i = 0; u->slots && i < u->threads; i++) {
        if (u->slots[i].stream)
            (void)cudaStreamDestroy(u->slots[i].stream);
        (void)cudaFreeHost(u->slots[i].pinned);
        (void)cudaFree(u->slots[i].raw);
    }
    team_destroy(u->team);
    free(u->slots);
    u->team = NULL;
    u->slots = NULL;
}

/* What the threads share. */
struct uploading {
    struct cuda_upload *upload;
    const struct cuda_source *source;
    struct moed_cuda_range *range; /* device memory */
    struct moed_error *err;
    atomic_int status;
};

static int upload_expert(struct uploading *u, uint32_t expert, struct moed_error *err)
{
    const struct cuda_slot *slot = &u->upload->slots[team_rank()];
    const struct cuda_source *s = u->source;
    const uint64_t bytes = s->from[0]->rows * s->from[0]->row_bytes;
    const struct moed_weight_span all = {.expert = expert, .n = s->from[0]->rows};
    const struct moed_cuda_source raw = {{slot->raw, slot->raw + bytes}, s->from[0]->row_bytes};
    const uint64_t both = s->from[1] ? 2 * bytes : bytes;
    int status = cuda_check(cudaSetDevice(u->upload->device), "choosing a device", err);

    if (status == 0) /* the slot's last expert has left it */
        status = cuda_check(cudaStreamSynchronize(slot->stream), "packing an expert", err);
    for (int i = 0; i < 2 && status == 0 && s->from[i]; i++) {
        uint8_t *to = slot->pinned + (i ? bytes : 0);

        status = moed_weight_read(u->upload->model, s->from[i], all, to, err);
        if (status == 0)
            findings_note(&u->upload->findings, s->from[i], expert,
                          s->from[i]->format->scan(to, all.n * s->from[i]->cols));
    }
    if (status == 0)
        status = cuda_check(
            cudaMemcpyAsync(slot->raw, slot->pinned, both, cudaMemcpyHostToDevice, slot->stream),
            "copying an expert", err);
    if (status == 0)
        status = cuda_check(s->to->format->pack(s->to, expert, &raw, u->range, slot->stream),
                            "packing an expert", err);
    if (status == 0 && u->upload->options->progress)
        u->upload->options->progress(u->upload->options->progress_context,
                                     atomic_fetch_add(u->upload->done, both) + both,
                                     u->upload->total);
    return status;
}

static void upload_one(void *context, uint32_t expert)
{
    struct uploading *u = context;
    struct moed_error err = {0};
    int expected = MOED_OK;
    int status;

    if (atomic_load(&u->status) != 0)
        return;
    status = upload_expert(u, expert, &err);
    /* The first failure is the one that is told. */
    if (status != 0 && atomic_compare_exchange_strong(&u->status, &expected, status) && u->err)
        *u->err = err;
}

static int wait_for_all(const struct cuda_upload *u, struct moed_error *err)
{
    int status = MOED_OK;

    for (uint32_t i = 0; i < u->threads && status == 0; i++)
        status = cuda_check(cudaStreamSynchronize(u->slots[i].stream), "packing experts", err);
    return status;
}

int cuda_upload_matrix(struct cuda_upload *upload, const struct cuda_source *source,
                       struct moed_error *err)
{
    struct uploading u = {.upload = upload, .source = source, .err = err};
    struct moed_cuda_range range;
    int status = cuda_allocate((void **)&u.range, sizeof range, err);

    if (status == 0)
        status = cuda_check(cudaMemset(u.range, 0, sizeof range), "clearing memory", err);
    if (status == 0)
        status = cuda_check(cudaDeviceSynchronize(), "clearing memory", err);
    atomic_store(&u.status, status);
    team_for(upload->team, source->to->count, 1, upload_one, &u);
    status = atomic_load(&u.status);
    if (status == 0)
        status = wait_for_all(upload, err);
    if (status == 0)
        status = cuda_check(cudaMemcpy(&range, u.range, sizeof range, cudaMemcpyDeviceToHost),
                            "reading the range of weights", err);
    if (status == 0)
        source->to->unit = moed_cuda_unit(source->to->format, &range);
    (void)cudaFree(u.range);
    return status;
}
