/* experts.c: which experts were busy, layer by layer. Large models have tens of thousands of
 * numbers here, so they are printed on the pool. */
#include "experts.h"

#include "service.h"

#include "src/wire/wire.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static bool add_counts(cJSON *object, const struct moed_layer *layer, const uint64_t *rows,
                       const double *mass)
{
    cJSON *tokens = cJSON_AddArrayToObject(object, "tokens");
    cJSON *masses = cJSON_AddArrayToObject(object, "weight_mass");

    for (uint32_t e = 0; e < layer->experts; e++)
        if (!cJSON_AddItemToArray(tokens, cJSON_CreateNumber((double)rows[e])) ||
            !cJSON_AddItemToArray(masses, cJSON_CreateNumber(mass[e])))
            return false;
    return true;
}

static bool add_layer(cJSON *layers, struct moed_batcher *batcher, const struct moed_layer *layer)
{
    uint64_t *rows = moed_calloc(layer->experts, sizeof *rows);
    double *mass = moed_calloc(layer->experts, sizeof *mass);
    cJSON *object = cJSON_CreateObject();
    struct moed_expert_load load;
    bool good = false;

    cJSON_AddItemToArray(layers, object);
    if (rows != NULL && mass != NULL && object != NULL &&
        moed_batcher_expert_load(batcher, layer->index, &load, rows, mass) == 0)
        good = cJSON_AddNumberToObject(object, "layer", layer->index) != NULL &&
               cJSON_AddNumberToObject(object, "rows", (double)load.rows) != NULL &&
               cJSON_AddNumberToObject(object, "jain", load.jain) != NULL &&
               cJSON_AddNumberToObject(object, "max_over_mean", load.max_over_mean) != NULL &&
               add_counts(object, layer, rows, mass);
    free(rows);
    free(mass);
    return good;
}

/* On the pool: the batcher's counts may be read on any thread. */
static void print(struct request *request)
{
    const struct engine *engine = &service_of(request)->engine;
    cJSON *root = cJSON_CreateObject();
    cJSON *layers = cJSON_AddArrayToObject(root, "layers");
    bool good = layers != NULL;
    char *body = NULL;

    for (uint32_t i = 0; good && i < engine->model->n_layers; i++)
        good = add_layer(layers, engine->batcher, &engine->model->layers[i]);
    if (good)
        body = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    (void)moed_wire_ran_out(); /* `good` says it */
    if (body != NULL)
        reply_take(request, "application/json", body, moed_wire_end_line(body));
    else
        reply_problem(request, MOED_E_NO_MEMORY, "no memory for the load statistics");
}

void experts_get(struct request *request)
{
    request_offload(request, print, request_answer);
}

void experts_delete(struct request *request)
{
    moed_batcher_reset_load(service_of(request)->engine.batcher);
    reply_empty(request, MHD_HTTP_NO_CONTENT);
    request_answer(request);
}
