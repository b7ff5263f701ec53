/* The fake: the gate, the checks of what the batcher promises, the arithmetic, then the door. */
#include "fake_backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct moed_workspace {
    struct moed_backend *backend;
    pthread_t thread;
};

void fake_init(struct moed_backend *fake, const struct moed_model *model, uint32_t max_rows)
{
    *fake = (struct moed_backend){.model = model,
                                  .max_rows = max_rows,
                                  .fail_layer = UINT32_MAX,
                                  .nan_expert = -1,
                                  .permits = UINT32_MAX};
    pthread_mutex_init(&fake->mutex, NULL);
    pthread_cond_init(&fake->changed, NULL);
}

void fake_fini(struct moed_backend *fake)
{
    pthread_mutex_destroy(&fake->mutex);
    pthread_cond_destroy(&fake->changed);
}

static void set_permits(struct moed_backend *fake, uint32_t permits)
{
    pthread_mutex_lock(&fake->mutex);
    fake->permits = permits;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->mutex);
}

void fake_hold(struct moed_backend *fake)
{
    set_permits(fake, 0);
}

void fake_release(struct moed_backend *fake, uint32_t calls)
{
    set_permits(fake, calls);
}

void fake_open(struct moed_backend *fake)
{
    set_permits(fake, UINT32_MAX);
}

void fake_wait_at_gate(struct moed_backend *fake, uint32_t calls)
{
    pthread_mutex_lock(&fake->mutex);
    while (fake->at_gate < calls) {
        pthread_cond_wait(&fake->changed, &fake->mutex);
    }
    pthread_mutex_unlock(&fake->mutex);
}

float fake_output(float hidden, uint32_t layer, float routed)
{
    return 2 * hidden + (float)layer + routed;
}

int32_t fake_id(float tag, float row, uint32_t slot, uint32_t experts)
{
    return (int32_t)(((uint32_t)tag + (uint32_t)row + slot) % experts);
}

float fake_weight(uint32_t slot)
{
    return 1.0F / (float)(1U << slot);
}

static void complain(struct moed_backend *fake, const char *what, uint32_t row)
{
    if (fake->broken[0] == '\0') {
        snprintf(fake->broken, sizeof(fake->broken), "row %u: %s", row, what);
    }
}

/* A job's rows must stand together and in order, its skipped slots be padding. */
static void check_rows(struct moed_backend *fake, const struct moed_layer *layer,
                       const struct moed_batch_rows *b, struct fake_call *call)
{
    const uint64_t slots = (uint64_t)b->rows * b->slots;

    if (b->rows == 0 || b->rows > fake->max_rows || b->slots < layer->used ||
        (slots > (uint64_t)fake->max_rows * layer->used && slots > layer->experts)) {
        complain(fake, "the batch has a shape that backends do not take", b->rows);
    }
    for (uint32_t i = 0; i < b->rows; i++) {
        const float *now = b->hidden + (size_t)i * layer->hidden;
        const float *before = now - (i > 0 ? layer->hidden : 0);

        if (i > 0 && now[0] == before[0] && now[1] != before[1] + 1) {
            complain(fake, "the rows of a job are out of order", i);
        }
        call->jobs += i == 0 || now[0] != before[0];
        call->last = now[0];
        call->last_row = now[1];
        for (uint32_t s = 0; (b->flags[i] & MOED_ROW_SUPPLIED) != 0 && s < b->slots; s++) {
            const size_t at = (size_t)i * b->slots + s;

            if (b->ids[at] < -1 || b->ids[at] >= (int32_t)layer->experts) {
                complain(fake, "an expert id is out of range", i);
            }
        }
    }
}

static void enter(struct moed_backend *fake, const struct moed_layer *layer,
                  const struct moed_batch_rows *b)
{
    struct fake_call call = {.layer = layer->index,
                             .rows = b->rows,
                             .slots = b->slots,
                             .first = b->hidden[0],
                             .logits = b->logits != NULL,
                             .in = b->hidden,
                             .out = b->output};

    pthread_mutex_lock(&fake->mutex);
    check_rows(fake, layer, b, &call);
    if (fake->n_calls < FAKE_MAX_CALLS) {
        fake->calls[fake->n_calls] = call;
    }
    fake->n_calls++;
    fake->at_gate++;
    pthread_cond_broadcast(&fake->changed);
    while (fake->permits == 0) {
        pthread_cond_wait(&fake->changed, &fake->mutex);
    }
    if (fake->permits != UINT32_MAX) {
        fake->permits--;
    }
    fake->at_gate--;
    pthread_mutex_unlock(&fake->mutex);
}

static void compute_row(const struct moed_backend *fake, const struct moed_layer *layer,
                        struct moed_batch_rows *b, uint32_t i)
{
    const float *x = b->hidden + (size_t)i * layer->hidden;
    float *y = b->output + (size_t)i * layer->hidden;
    int32_t *ids = b->ids + (size_t)i * b->slots;
    float *weights = b->weights + (size_t)i * b->slots;
    const bool supplied = (b->flags[i] & MOED_ROW_SUPPLIED) != 0;
    float routed = 0;

    b->not_finite[i] = !supplied && (isnan(x[2]) || fake->nan_router);
    for (uint32_t s = 0; s < b->slots; s++) {
        if (!supplied) {
            const bool chosen = s < layer->used && b->not_finite[i] == 0;

            ids[s] = chosen ? fake_id(x[0], x[1], s, layer->experts) : -1;
            weights[s] = chosen ? fake_weight(s) : 0;
        } else if (ids[s] >= 0) {
            routed += weights[s] * (float)(ids[s] + 1);
        }
    }
    for (uint32_t s = 0; s < b->slots; s++) {
        if (ids[s] >= 0 && ids[s] == fake->nan_expert) {
            routed = NAN;
        }
    }
    for (uint32_t e = 0; b->logits != NULL && !supplied && e < layer->experts; e++) {
        b->logits[(size_t)i * layer->experts + e] = x[0] + (float)e;
    }
    for (uint32_t h = 0; h < layer->hidden; h++) {
        y[h] = b->not_finite[i] != 0 ? 0 : fake_output(x[h], layer->index, routed);
    }
}

/* ---- the door ---- */

uint32_t moed_backend_threads(const struct moed_backend *backend)
{
    return backend->threads;
}

uint32_t moed_backend_max_rows(const struct moed_backend *backend)
{
    return backend->max_rows;
}

int moed_workspace_create(struct moed_backend *backend, struct moed_workspace **out,
                          struct moed_error *err)
{
    struct moed_workspace *workspace;

    if (backend->create_status != 0) {
        return moed_fail(err, backend->create_status, "the fake has no workspace");
    }
    workspace = malloc(sizeof(*workspace));
    if (workspace == NULL) {
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory");
    }
    *workspace = (struct moed_workspace){.backend = backend, .thread = pthread_self()};
    pthread_mutex_lock(&backend->mutex);
    backend->workspaces++;
    pthread_mutex_unlock(&backend->mutex);
    *out = workspace;
    return 0;
}

void moed_workspace_destroy(struct moed_workspace *workspace)
{
    pthread_mutex_lock(&workspace->backend->mutex);
    workspace->backend->workspaces--;
    pthread_mutex_unlock(&workspace->backend->mutex);
    free(workspace);
}

int moed_forward(struct moed_workspace *workspace, uint32_t layer, struct moed_batch_rows *batch,
                 struct moed_error *err)
{
    struct moed_backend *fake = workspace->backend;
    const struct moed_layer *served = moed_model_layer(fake->model, layer);

    enter(fake, served, batch);
    if (!pthread_equal(workspace->thread, pthread_self())) {
        pthread_mutex_lock(&fake->mutex);
        complain(fake, "a workspace left its thread", 0);
        pthread_mutex_unlock(&fake->mutex);
    }
    if (layer == fake->fail_layer) {
        return moed_fail(err, MOED_E_INTERNAL, "the device has died");
    }
    for (uint32_t i = 0; i < batch->rows; i++) {
        compute_row(fake, served, batch, i);
    }
    batch->active_experts = 2;
    batch->weight_bytes = 1000;
    return 0;
}
