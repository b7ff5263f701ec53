/* fleet_info: reads /v1/moe/info, trusting no field of it to be there. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

/* Copies a string field; false where there is none that fits. */
static bool get_text(const cJSON *object, const char *name, char *out, size_t size)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    if (text == NULL || strlen(text) >= size)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

/* A whole number from 0 to `most`. */
static bool as_u32(const cJSON *item, uint32_t most, uint32_t *out)
{
    const double value = cJSON_IsNumber(item) ? item->valuedouble : -1;

    if (!(value >= 0 && value <= most) || value != (double)(uint32_t)value)
        return false;
    *out = (uint32_t)value;
    return true;
}

static bool get_u32(const cJSON *object, const char *name, uint32_t most, uint32_t *out)
{
    return as_u32(cJSON_GetObjectItemCaseSensitive(object, name), most, out);
}

/* [[0, 63], [80, 80]] */
static bool get_held(const cJSON *object, struct fleet_layer *layer)
{
    const cJSON *runs = cJSON_GetObjectItemCaseSensitive(object, "experts_held");
    const cJSON *run;

    if (!cJSON_IsArray(runs) || layer->experts == 0)
        return false;
    cJSON_ArrayForEach(run, runs)
    {
        uint32_t first, last;

        if (!as_u32(cJSON_GetArrayItem(run, 0), layer->experts - 1, &first) ||
            !as_u32(cJSON_GetArrayItem(run, 1), layer->experts - 1, &last))
            return false;
        for (uint32_t e = first; e <= last; e++)
            layer->held[e / 64] |= UINT64_C(1) << e % 64;
    }
    return true;
}

static int read_layers(const cJSON *list, struct fleet_server *out, struct moed_error *err)
{
    const cJSON *item;

    out->layers = moed_calloc((uint64_t)cJSON_GetArraySize(list) + 1, sizeof *out->layers);
    if (out->layers == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "%s: no memory for its layers", out->url);
    cJSON_ArrayForEach(item, list)
    {
        struct fleet_layer *layer = &out->layers[out->n_layers++];

        if (!get_u32(item, "layer", UINT32_MAX, &layer->layer) ||
            !get_u32(item, "experts", MOED_MAX_EXPERTS, &layer->experts) ||
            !get_held(item, layer) ||
            !get_text(item, "fingerprint", layer->fingerprint, sizeof layer->fingerprint))
            return moed_fail(err, MOED_E_MALFORMED,
                             "%s: /v1/moe/info: layers[%u] needs layer, experts, experts_held and "
                             "fingerprint",
                             out->url, out->n_layers - 1);
    }
    return 0;
}

static int read_moe_layers(const cJSON *list, struct fleet_server *out, struct moed_error *err)
{
    const cJSON *item;

    out->moe_layers = moed_calloc((uint64_t)cJSON_GetArraySize(list) + 1, sizeof *out->moe_layers);
    if (out->moe_layers == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "%s: no memory for its layers", out->url);
    cJSON_ArrayForEach(item, list)
    {
        if (!as_u32(item, UINT32_MAX, &out->moe_layers[out->n_moe_layers]))
            return moed_fail(err, MOED_E_MALFORMED,
                             "%s: /v1/moe/info: moe_layers[%u] is no block number", out->url,
                             out->n_moe_layers);
        out->n_moe_layers++;
    }
    return 0;
}

static int read_root(const cJSON *root, struct fleet_server *out, struct moed_error *err)
{
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(root, "layers");
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(root, "moe_layers");
    const cJSON *backend = cJSON_GetObjectItemCaseSensitive(root, "backend");
    char name[16], isa[24], activations[16];
    int rc;

    if (!get_text(root, "name", out->name, sizeof out->name) ||
        !get_text(root, "architecture", out->arch, sizeof out->arch) || !cJSON_IsArray(layers) ||
        !cJSON_IsArray(all) || !get_text(backend, "name", name, sizeof name) ||
        !get_text(backend, "isa", isa, sizeof isa) ||
        !get_text(backend, "activations", activations, sizeof activations))
        return moed_fail(err, MOED_E_MALFORMED,
                         "%s: /v1/moe/info needs name, architecture, moe_layers, layers and "
                         "backend.name, .isa and .activations",
                         out->url);
    snprintf(out->computes, sizeof out->computes, "%s %s %s", name, isa, activations);
    out->bytes = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(backend, "resident_bytes"));
    rc = read_moe_layers(all, out, err);
    return rc != 0 ? rc : read_layers(layers, out, err);
}

int fleet_read(const char *json, struct fleet_server *out, struct moed_error *err)
{
    cJSON *root = cJSON_Parse(json);
    int rc = cJSON_IsObject(root) ? read_root(root, out, err)
                                  : moed_fail(err, MOED_E_MALFORMED,
                                              "%s: /v1/moe/info: expected a JSON object", out->url);

    cJSON_Delete(root);
    return rc;
}

void fleet_server_fini(struct fleet_server *server)
{
    free(server->moe_layers);
    free(server->layers);
    server->moe_layers = NULL;
    server->layers = NULL;
    server->n_moe_layers = server->n_layers = 0;
}
