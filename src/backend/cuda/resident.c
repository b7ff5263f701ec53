/* cuda_resident: the layers on their devices. All is laid out and compared with the memory that
 * there is before anything is uploaded. */
#include "cuda.h"

#include <stdlib.h>

#define UPLOAD_THREADS 8
/* What the runtime takes for itself, the code and the graphs, beside what we ask it for. */
#define RUNTIME_BYTES ((uint64_t)256 << 20)

static uint64_t file_bytes(const struct cuda_source *s)
{
    return (s->from[1] ? 2 : 1) * s->from[0]->rows * s->from[0]->row_bytes;
}

/* Neighbours share a device, and each device gets about as many bytes. */
static void spread(struct cuda_resident *r, uint32_t devices)
{
    uint64_t before = 0;

    for (uint32_t i = 0; i < r->n_layers; i++) {
        const uint64_t bytes = cuda_layer_bytes(&r->layers[i]);
        const double middle = ((double)before + (double)bytes / 2) / (double)r->bytes;
        const uint32_t device = (uint32_t)(middle * devices);

        r->layers[i].device = device < devices ? device : devices - 1;
        before += bytes;
    }
}

/* Refuses before uploading what will not fit. */
static int check_room(const struct cuda_resident *r, uint32_t device, uint64_t beside,
                      struct moed_error *err)
{
    uint64_t bytes = beside + RUNTIME_BYTES;
    size_t free_bytes = 0;
    size_t all_bytes = 0;
    const int status =
        cuda_check(cudaMemGetInfo(&free_bytes, &all_bytes), "asking for the free memory", err);

    if (status != 0)
        return status;
    for (uint32_t i = 0; i < r->n_layers; i++)
        if (r->layers[i].device == device)
            bytes += cuda_layer_bytes(&r->layers[i]);
    if (bytes <= free_bytes)
        return 0;
    return moed_fail(err, MOED_E_NO_MEMORY,
                     "the layers of device %u and the buffers to compute them with take %.2f GB; "
                     "the device has %.2f GB free",
                     device, (double)bytes * 1e-9, (double)free_bytes * 1e-9);
}

static int upload_vector(struct cuda_upload *upload, const struct cuda_vector *v,
                         struct moed_error *err)
{
    const uint64_t bytes = v->from->count * v->from->rows * v->from->cols * sizeof(float);
    float *decoded = NULL;
    int status;

    if (!v->from->tensor || v->from->count == 0)
        return 0;
    status = moed_weight_read_f32(upload->model, v->from, &decoded, err);
    if (status == 0)
        findings_note_f32(&upload->findings, v->from, decoded);
    if (status == 0)
        status = cuda_allocate((void **)v->to, bytes, err);
    if (status == 0)
        status = cuda_check(cudaMemcpy(*v->to, decoded, bytes, cudaMemcpyHostToDevice),
                            "copying a small tensor", err);
    free(decoded);
    return status;
}

static int upload_place(const int32_t *place, uint32_t n, int32_t **to, struct moed_error *err)
{
    int status;

    if (!place)
        return 0;
    status = cuda_allocate((void **)to, n * sizeof *place, err);
    return status == 0
               ? cuda_check(cudaMemcpy(*to, place, n * sizeof *place, cudaMemcpyHostToDevice),
                            "copying which experts are held", err)
               : status;
}

static int upload_places(struct cuda_layer *layer, struct moed_error *err)
{
    const struct moed_layer *s = layer->spec;
    const int status = upload_place(s->routed.place, s->experts, &layer->place, err);

    if (status != 0 || s->chunk_size == 0)
        return status;
    return upload_place(s->chunks.place, s->experts / s->chunk_size, &layer->chunk_place, err);
}

static int upload_layer(struct cuda_upload *upload, struct cuda_layer *layer,
                        struct moed_error *err)
{
    struct cuda_source sources[CUDA_MATRICES];
    struct cuda_vector vectors[CUDA_VECTORS];
    const uint32_t n_sources = cuda_sources(layer, sources);
    const uint32_t n_vectors = cuda_vectors(layer, vectors);
    int status = upload_places(layer, err);

    for (uint32_t i = 0; i < n_vectors && status == 0; i++)
        status = upload_vector(upload, &vectors[i], err);
    for (uint32_t i = 0; i < n_sources && status == 0; i++) {
        struct moed_cuda_matrix *m = sources[i].to;
        const uint64_t bytes = m->expert_bytes * m->count + MOED_CUDA_SLACK;

        status = cuda_allocate((void **)&m->tiles, bytes, err);
        if (status == 0)
            status = cuda_check(cudaMemset(m->tiles, 0, bytes), "clearing memory", err);
        if (status == 0)
            status = cuda_upload_matrix(upload, &sources[i], err);
        if (status == 0)
            layer->fast = layer->fast && m->unit > 0.0F;
    }
    return status;
}

static int upload_device(struct cuda_resident *r, struct cuda_upload *upload, uint32_t device,
                         struct moed_error *err)
{
    int status = cuda_upload_open(upload, err);

    for (uint32_t i = 0; i < r->n_layers && status == 0; i++)
        if (r->layers[i].device == device)
            status = upload_layer(upload, &r->layers[i], err);
    cuda_upload_close(upload);
    return status;
}

/* Lays out all layers; the largest expert and all bytes of the file are told. */
static int lay_out(const struct moed_model *model, struct cuda_resident *r,
                   struct cuda_upload *upload, struct moed_error *err)
{
    int status = MOED_OK;

    for (uint32_t i = 0; i < r->n_layers && status == 0; i++) {
        struct cuda_source sources[CUDA_MATRICES];

        status = cuda_lay_out(&model->layers[i], &r->layers[i], err);
        if (status != 0)
            break;
        r->bytes += cuda_layer_bytes(&r->layers[i]);
        for (uint32_t s = cuda_sources(&r->layers[i], sources); s > 0; s--) {
            const uint64_t bytes = file_bytes(&sources[s - 1]);

            upload->total += bytes * sources[s - 1].to->count;
            upload->slot_bytes = bytes > upload->slot_bytes ? bytes : upload->slot_bytes;
        }
    }
    return status;
}

int cuda_resident_open(const struct moed_model *model, const struct moed_backend_options *options,
                       const struct cuda_devices *devices, struct cuda_resident *out,
                       struct moed_error *err)
{
    const struct cuda_extent extent = cuda_extent_of(model, options->max_rows);
    atomic_ullong done = 0;
    struct cuda_upload upload = {.model = model, .options = options, .done = &done};
    int status;

    *out = (struct cuda_resident){.n_layers = model->n_layers};
    out->layers = moed_calloc(model->n_layers, sizeof *out->layers);
    if (!out->layers)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %u layers", model->n_layers);
    upload.threads = options->threads < UPLOAD_THREADS ? options->threads : UPLOAD_THREADS;
    status = lay_out(model, out, &upload, err);
    if (status == 0)
        spread(out, devices->n);
    for (uint32_t d = 0; d < devices->n && status == 0; d++) {
        status = cuda_check(cudaSetDevice(devices->at[d]), "choosing a device", err);
        if (status == 0)
            status = check_room(
                out, d, cuda_buffers_size(&extent) + upload.threads * upload.slot_bytes, err);
    }
    for (uint32_t d = 0; d < devices->n && status == 0; d++) {
        upload.device = devices->at[d];
        status = cuda_check(cudaSetDevice(upload.device), "choosing a device", err);
        if (status == 0)
            status = upload_device(out, &upload, d, err);
    }
    findings_end(&upload.findings);
    if (status != 0)
        cuda_resident_close(out, devices);
    return status;
}

void cuda_resident_close(struct cuda_resident *resident, const struct cuda_devices *devices)
{
    for (uint32_t i = 0; resident->layers && i < resident->n_layers; i++) {
        struct cuda_layer *layer = &resident->layers[i];
        struct cuda_source sources[CUDA_MATRICES];
        struct cuda_vector vectors[CUDA_VECTORS];

        if (!layer->spec) /* not laid out */
            break;
        (void)cudaSetDevice(devices->at[layer->device]);
        for (uint32_t s = cuda_sources(layer, sources); s > 0; s--)
            (void)cudaFree(sources[s - 1].to->tiles);
        for (uint32_t v = cuda_vectors(layer, vectors); v > 0; v--)
            (void)cudaFree(*vectors[v - 1].to);
        (void)cudaFree(layer->place);
        (void)cudaFree(layer->chunk_place);
    }
    free(resident->layers);
    *resident = (struct cuda_resident){0};
}
