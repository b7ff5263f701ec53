/* info.c: model, layers, limits and backend as one JSON document, printed once after loading. */
#include "info.h"

#include "service.h"

#include "src/wire/wire.h"

#include <cjson/cJSON.h>
#include <moed/version.h>
#include <stdio.h>
#include <string.h>

/* Allocation failures inside cJSON leave items out; the root's printing then fails or the
 * document is merely shorter, so single additions are not checked. */
static void add_format(cJSON *types, const char *name, const struct moed_weight *weight)
{
    if (weight->tensor != NULL)
        cJSON_AddStringToObject(types, name, weight->format->name);
}

static void add_types(cJSON *object, const struct moed_layer *layer)
{
    cJSON *types = cJSON_AddObjectToObject(object, "types");

    add_format(types, "router", &layer->router_weight);
    add_format(types, "gate", &layer->routed.gate);
    add_format(types, "up", &layer->routed.up);
    add_format(types, "down", &layer->routed.down);
    add_format(types, "shared_gate", &layer->shared.gate);
    add_format(types, "shared_up", &layer->shared.up);
    add_format(types, "shared_down", &layer->shared.down);
    add_format(types, "chunk_gate", &layer->chunks.gate);
    add_format(types, "chunk_up", &layer->chunks.up);
    add_format(types, "chunk_down", &layer->chunks.down);
}

static void add_blocks(cJSON *object, const struct moed_layer *layer)
{
    cJSON *blocks = cJSON_AddArrayToObject(object, "blocks");

    cJSON_AddItemToArray(blocks, cJSON_CreateString("ffn"));
    if (layer->block.refuses_norm != NULL)
        return;
    cJSON_AddItemToArray(blocks, cJSON_CreateString("norm_ffn"));
    if (layer->block.refuses_residual == NULL)
        cJSON_AddItemToArray(blocks, cJSON_CreateString("norm_ffn_residual"));
}

/* [[0, 63], [80, 80]] */
static void add_held(cJSON *object, const struct moed_layer *layer)
{
    const struct moed_set held = moed_layer_held(layer);
    cJSON *runs = cJSON_AddArrayToObject(object, "experts_held");
    uint32_t first = 0, last;

    for (; moed_set_run(&held, &first, &last); first = last + 1) {
        const double run[2] = {first, last};

        cJSON_AddItemToArray(runs, cJSON_CreateDoubleArray(run, 2));
    }
    cJSON_AddBoolToObject(object, "primary", layer->primary);
}

static int add_fingerprint(cJSON *object, const struct moed_model *model,
                           const struct moed_layer *layer, struct moed_error *err)
{
    char hex[65], text[96];
    int rc = moed_layer_fingerprint(model, layer, hex, err);

    if (rc != 0)
        return rc;
    snprintf(text, sizeof text, "sha256-sampled:%s", hex);
    cJSON_AddStringToObject(object, "fingerprint", text);
    return 0;
}

static void add_layer(cJSON *object, const struct moed_layer *layer)
{
    char router[1024];

    moed_router_describe(layer, router, sizeof router);
    cJSON_AddNumberToObject(object, "layer", layer->index);
    cJSON_AddNumberToObject(object, "hidden", layer->hidden);
    cJSON_AddNumberToObject(object, "experts", layer->experts);
    cJSON_AddNumberToObject(object, "experts_used", layer->used);
    add_held(object, layer);
    cJSON_AddNumberToObject(object, "expert_width", layer->routed.width);
    cJSON_AddNumberToObject(object, "shared_width", layer->shared.width);
    cJSON_AddNumberToObject(object, "chunk_width", layer->chunks.width);
    cJSON_AddNumberToObject(object, "bytes", (double)layer->bytes);
    cJSON_AddStringToObject(object, "router", router);
    if (layer->router.refuses_routing != NULL)
        cJSON_AddStringToObject(object, "refuses_routing", layer->router.refuses_routing);
    add_types(object, layer);
    add_blocks(object, layer);
}

static void add_limits(cJSON *root, const struct moed_server_options *options)
{
    cJSON *limits = cJSON_AddObjectToObject(root, "limits");

    cJSON_AddNumberToObject(limits, "max_request_rows", options->max_request_rows);
    cJSON_AddNumberToObject(limits, "max_body_bytes", (double)options->max_body_bytes);
    cJSON_AddNumberToObject(limits, "max_inflight_bytes", (double)options->max_inflight_bytes);
    cJSON_AddNumberToObject(limits, "max_batch_rows", options->max_batch_rows);
    cJSON_AddNumberToObject(limits, "max_queue_rows", options->max_queue_rows);
    cJSON_AddNumberToObject(limits, "max_queue_requests", options->max_queue_requests);
    cJSON_AddNumberToObject(limits, "max_connections", options->max_connections);
    cJSON_AddNumberToObject(limits, "body_timeout_ms", options->body_timeout_ms);
    if (options->default_deadline_ms > 0)
        cJSON_AddNumberToObject(limits, "default_deadline_ms", options->default_deadline_ms);
}

static void add_backend(cJSON *root, const struct moed_backend *backend)
{
    cJSON *object = cJSON_AddObjectToObject(root, "backend");

    cJSON_AddStringToObject(object, "name", moed_backend_name(backend));
    cJSON_AddStringToObject(object, "isa", moed_backend_isa(backend));
    cJSON_AddStringToObject(object, "activations", moed_backend_activations(backend));
    cJSON_AddNumberToObject(object, "threads", moed_backend_threads(backend));
    cJSON_AddNumberToObject(object, "resident_bytes", (double)moed_backend_bytes(backend));
}

static int add_model(cJSON *root, const struct engine *engine, struct moed_error *err)
{
    const struct moed_model *model = engine->model;
    cJSON *all = cJSON_AddArrayToObject(root, "moe_layers");
    cJSON *layers = cJSON_AddArrayToObject(root, "layers");
    int rc = 0;

    for (uint32_t i = 0; i < model->n_moe_layers; i++)
        cJSON_AddItemToArray(all, cJSON_CreateNumber(model->moe_layers[i]));
    for (uint32_t i = 0; rc == 0 && i < model->n_layers; i++) {
        cJSON *object = cJSON_CreateObject();

        cJSON_AddItemToArray(layers, object);
        add_layer(object, &model->layers[i]);
        rc = add_fingerprint(object, model, &model->layers[i], err);
    }
    return rc;
}

int info_print(struct engine *engine, const struct moed_server_options *options,
               struct moed_error *err)
{
    cJSON *root = cJSON_CreateObject();
    char fingerprint[96];
    cJSON *dtypes;
    int rc;

    snprintf(fingerprint, sizeof fingerprint, "sha256-descriptors:%s", engine->fingerprint);
    cJSON_AddStringToObject(root, "name", engine_name(engine, options));
    cJSON_AddStringToObject(root, "architecture", engine->model->arch);
    cJSON_AddStringToObject(root, "version", MOED_VERSION);
    cJSON_AddStringToObject(root, "fingerprint", fingerprint);
    cJSON_AddNumberToObject(root, "block_count", engine->model->block_count);
    rc = add_model(root, engine, err);
    dtypes = cJSON_AddArrayToObject(root, "dtypes");
    for (int i = 0; i < MOED_DTYPE_COUNT; i++)
        cJSON_AddItemToArray(dtypes, cJSON_CreateString(moed_dtype_name((enum moed_dtype)i)));
    add_limits(root, options);
    add_backend(root, engine->backend);
    engine->info = rc == 0 ? cJSON_PrintUnformatted(root) : NULL;
    cJSON_Delete(root);
    if (rc != 0)
        return rc;
    if (moed_wire_ran_out() || engine->info == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the model's description");
    engine->info_size = moed_wire_end_line(engine->info);
    return 0;
}

void info_get(struct request *request)
{
    const struct engine *engine = &service_of(request)->engine;

    reply_borrow(request, "application/json", engine->info, engine->info_size);
    request_answer(request);
}
