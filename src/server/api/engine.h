/* engine.h: the loaded model with all that computes it. */
#ifndef MOED_SERVER_ENGINE_H
#define MOED_SERVER_ENGINE_H

#include "src/batch/batch.h"
#include "src/server/server.h"

struct engine {
    struct moed_model *model;
    struct moed_backend *backend;
    struct moed_batcher *batcher;
    char fingerprint[65]; /* sha256 of the served tensors' descriptors */
    char *info;           /* body of GET /v1/moe/info: it never changes */
    size_t info_size;
    char alias[96];                /* the model's name, plain enough for paths and JSON */
    struct inferences *inferences; /* [n_layers], the loop's */
};

struct engine_progress {
    void (*report)(void *context, uint64_t done, uint64_t total); /* bytes; any thread */
    void *context;
};

/* Whether the model's headers are such that it may be loaded. */
int engine_check(const struct moed_server_options *options, struct moed_error *err);
/* Opens the file and reads the weights: slow. Any thread; the batcher is not started. */
int engine_load(const struct moed_server_options *options, const struct engine_progress *progress,
                struct engine *out, struct moed_error *err);
/* Starts the workers, whose memory is cleared: too long for the loop. Any thread. */
int engine_start(struct engine *engine, const struct moed_server_options *options,
                 struct moed_metrics *metrics, struct moed_error *err);
void engine_close(struct engine *engine);

/* MOED_E_NOT_FOUND where `layer` is no MoE layer of the model, MOED_E_NOT_SERVED listing what is
 * where another server has it. */
int engine_layer(const struct engine *engine, uint32_t layer, const struct moed_layer **out,
                 struct moed_error *err);
const char *engine_name(const struct engine *engine, const struct moed_server_options *options);

#endif
