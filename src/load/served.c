/* served.c: what a server says of itself: the layers to ask for and how wide their rows are. */
#include "plan.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_number(const cJSON *object, const char *name, uint32_t *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    const double value = cJSON_IsNumber(item) ? item->valuedouble : -1;

    if (!(value >= 0 && value <= UINT32_MAX && floor(value) == value))
        return false;
    *out = (uint32_t)value;
    return true;
}

/* Whether the options ask for a layer. */
static bool wanted(const struct moed_load_options *options, uint32_t layer)
{
    if (options->n_layers == 0)
        return true;
    for (uint32_t i = 0; i < options->n_layers; i++)
        if (options->layers[i] == layer)
            return true;
    return false;
}

static int keep_layers(struct plan *plan, const cJSON *info, struct moed_error *err)
{
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(info, "layers");
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(info, "name");
    const cJSON *item;
    uint32_t layer, hidden;

    snprintf(plan->model, sizeof plan->model, "%s", cJSON_IsString(name) ? name->valuestring : "");
    plan->layers = moed_calloc((uint64_t)cJSON_GetArraySize(layers) + 1, sizeof *plan->layers);
    plan->hidden = moed_calloc((uint64_t)cJSON_GetArraySize(layers) + 1, sizeof *plan->hidden);
    if (plan->layers == NULL || plan->hidden == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a list of layers");
    cJSON_ArrayForEach(item, layers)
    {
        if (!read_number(item, "layer", &layer) || !read_number(item, "hidden", &hidden) ||
            hidden == 0)
            return moed_fail(err, MOED_E_MALFORMED,
                             "GET /v1/moe/info: expected layers with \"layer\" and \"hidden\"");
        if (!wanted(plan->options, layer))
            continue;
        plan->layers[plan->n_layers] = layer;
        plan->hidden[plan->n_layers++] = hidden;
    }
    if (plan->n_layers == 0 || plan->n_layers < plan->options->n_layers)
        return moed_fail(err, MOED_E_NOT_SERVED,
                         "%u of the %u layers that were asked for are served by this server",
                         plan->n_layers, plan->options->n_layers);
    return 0;
}

/* Owned by the caller; NULL without memory. */
static char *info_request(const struct plan *plan, size_t *size)
{
    char *request = NULL;
    FILE *out = open_memstream(&request, size);

    if (out == NULL)
        return NULL;
    fprintf(out, "GET %s/v1/moe/info HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", plan->url.path,
            moed_url_host(&plan->url));
    for (uint32_t i = 0; i < plan->options->n_headers; i++)
        fprintf(out, "%s\r\n", plan->options->headers[i]);
    fputs("\r\n", out);
    return fclose(out) == 0 ? request : NULL;
}

static int ask_server(struct plan *plan, struct moed_error *err)
{
    struct moed_asker asker;
    struct moed_asked answer;
    size_t size;
    char *request = info_request(plan, &size);
    cJSON *info;
    int rc;

    if (request == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a request");
    moed_asker_init(&asker, &plan->url, plan->trust, plan->options->timeout_ms);
    rc = moed_asker_ask(&asker, request, size, &answer, err);
    moed_asker_fini(&asker);
    free(request);
    if (rc != 0)
        return rc;
    info = answer.status == 200 ? cJSON_ParseWithLength(answer.body, answer.size) : NULL;
    if (info != NULL)
        rc = keep_layers(plan, info, err);
    else
        rc = moed_fail(err, MOED_E_UNSUPPORTED,
                       "GET /v1/moe/info: expected 200 and a JSON object, found %u: %.200s",
                       answer.status, answer.body);
    cJSON_Delete(info);
    free(answer.body);
    return rc;
}

/* A server that need not say what it serves, since the options do. */
static int take_options(struct plan *plan, struct moed_error *err)
{
    const struct moed_load_options *options = plan->options;

    plan->layers = moed_calloc(options->n_layers, sizeof *plan->layers);
    plan->hidden = moed_calloc(options->n_layers, sizeof *plan->hidden);
    if (plan->layers == NULL || plan->hidden == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a list of layers");
    plan->n_layers = options->n_layers;
    for (uint32_t i = 0; i < options->n_layers; i++) {
        plan->layers[i] = options->layers[i];
        plan->hidden[i] = options->hidden;
    }
    return 0;
}

int plan_find_layers(struct plan *plan, struct moed_error *err)
{
    return plan->options->hidden > 0 ? take_options(plan, err) : ask_server(plan, err);
}
