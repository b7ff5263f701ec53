/* kserve.c: what KServe's and Triton's clients ask before they send rows. The documents are small
 * and printed when asked for. */
#include "kserve.h"

#include "service.h"

#include "src/wire/wire.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <moed/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char version[] = "1", platform[] = "moed_gguf";

/* Shapes have a dimension -1 where requests differ: rows, and experts a row. */
enum { ANY = -1 };

static const struct tensor {
    const char *name, *datatype;
    bool input, output, routing; /* routing: an input of NAME.routed only */
} tensors[] = {
    {"hidden_states", "FP32", .input = true},
    {"output", "FP32", .output = true},
    {"expert_ids", "INT32", .input = true, .output = true, .routing = true},
    {"expert_weights", "FP32", .input = true, .output = true, .routing = true},
};

/* Of a model's name. Programs that fill every input that they find, with anything, are shown rows
 * alone by the plain name; both take the caller's routing. */
static const char routed[] = ".routed";

/* ---- names ---- */
void kserve_alias(const char *name, char *out, size_t size)
{
    size_t n = 0;

    for (; name[n] != '\0' && n + 1 < size; n++)
        out[n] = (char)(isalnum((unsigned char)name[n]) || strchr("._-", name[n]) ? name[n] : '-');
    out[n] = '\0';
    if (n == 0)
        snprintf(out, size, "model");
}

static bool ends_in_routed(struct route_text text)
{
    const size_t size = sizeof routed - 1;

    return text.size > size && memcmp(text.at + text.size - size, routed, size) == 0;
}

/* Whether `text` is "NAME" or "NAME.layerL", either perhaps with ".routed" behind. */
static bool read_name(const char *name, struct route_text text, struct request *request)
{
    static const char infix[] = ".layer";
    const size_t size = strlen(name), before = size + sizeof infix - 1;
    const char *at = text.at + before;

    request->path_variant = text.size > size && ends_in_routed(text);
    if (request->path_variant)
        text.size -= sizeof routed - 1;
    if (text.size < size || memcmp(text.at, name, size) != 0)
        return false;
    if (text.size == size)
        return true;
    if (text.size <= before || memcmp(text.at + size, infix, sizeof infix - 1) != 0)
        return false;
    request->has_path_layer = moed_read_u32(&at, &request->path_layer) && at == text.at + text.size;
    return request->has_path_layer;
}

int kserve_find(struct request *request, const struct route_match *match, struct moed_error *err)
{
    const struct engine *engine = &service_of(request)->engine;
    const struct route_text asked = match->version;
    const struct moed_layer *layer;

    if (!read_name(engine->alias, match->model, request) &&
        !read_name(engine_name(engine, service_of(request)->options), match->model, request))
        return moed_fail(err, MOED_E_NOT_FOUND,
                         "no such model: %.*s; POST /v2/repository/index lists them",
                         (int)(match->model.size < 200 ? match->model.size : 200), match->model.at);
    if (asked.size > 0 &&
        (asked.size != strlen(version) || memcmp(asked.at, version, asked.size) != 0))
        return moed_fail(err, MOED_E_NOT_FOUND, "no such version: %.*s, the only one is %s",
                         (int)(asked.size < 200 ? asked.size : 200), asked.at, version);
    if (request->has_path_layer)
        return engine_layer(engine, request->path_layer, &layer, err);
    return 0;
}

void kserve_layer_name(const struct engine *engine, uint32_t layer, char out[KSERVE_NAME_MAX])
{
    snprintf(out, KSERVE_NAME_MAX, "%s.layer%u", engine->alias, layer);
}

void kserve_name(const struct request *request, char out[KSERVE_NAME_MAX])
{
    const struct engine *engine = &service_of(request)->engine;
    size_t size;

    if (request->has_path_layer)
        kserve_layer_name(engine, request->path_layer, out);
    else
        snprintf(out, KSERVE_NAME_MAX, "%s", engine->alias);
    size = strlen(out);
    if (request->path_variant)
        snprintf(out + size, KSERVE_NAME_MAX - size, "%s", routed);
}

/* ---- documents ---- */
/* Takes the document. */
static void answer(struct request *request, cJSON *root)
{
    char *body = cJSON_PrintUnformatted(root);

    cJSON_Delete(root);
    if (moed_wire_ran_out()) { /* fields may be missing */
        free(body);
        body = NULL;
    }
    if (body != NULL)
        reply_take(request, "application/json", body, moed_wire_end_line(body));
    else
        reply_problem(request, MOED_E_NO_MEMORY, "no memory for the document");
    request_answer(request);
}

/* H of the layer that the path names, or of all if they agree. */
static int hidden_size(const struct request *request)
{
    const struct moed_model *model = service_of(request)->engine.model;
    uint32_t hidden = model->layers[0].hidden;

    if (request->has_path_layer)
        return (int)moed_model_layer(model, request->path_layer)->hidden;
    for (uint32_t i = 1; i < model->n_layers; i++)
        if (model->layers[i].hidden != hidden)
            return ANY;
    return (int)hidden;
}

static bool is_input(const struct request *request, const struct tensor *tensor)
{
    return tensor->input && (!tensor->routing || request->path_variant);
}

/* The last `n` of rows and columns. */
static void add_shape(cJSON *object, const char *name, const struct tensor *tensor, int hidden,
                      int n)
{
    const int shape[] = {ANY, tensor->routing ? ANY : hidden};

    cJSON_AddItemToObject(object, name, cJSON_CreateIntArray(shape + 2 - n, n));
}

static void add_metadata(cJSON *array, const struct tensor *tensor, int hidden)
{
    cJSON *object = cJSON_CreateObject();

    cJSON_AddItemToArray(array, object);
    cJSON_AddStringToObject(object, "name", tensor->name);
    cJSON_AddStringToObject(object, "datatype", tensor->datatype);
    add_shape(object, "shape", tensor, hidden, 2);
}

void kserve_model(struct request *request)
{
    cJSON *root = cJSON_CreateObject();
    const char *const versions[] = {version};
    char name[KSERVE_NAME_MAX];
    cJSON *inputs, *outputs;

    kserve_name(request, name);
    cJSON_AddStringToObject(root, "name", name);
    cJSON_AddItemToObject(root, "versions", cJSON_CreateStringArray(versions, 1));
    cJSON_AddStringToObject(root, "platform", platform);
    inputs = cJSON_AddArrayToObject(root, "inputs");
    outputs = cJSON_AddArrayToObject(root, "outputs");
    for (size_t i = 0; i < MOED_ARRAY_LEN(tensors); i++) {
        if (is_input(request, &tensors[i]))
            add_metadata(inputs, &tensors[i], hidden_size(request));
        if (tensors[i].output)
            add_metadata(outputs, &tensors[i], hidden_size(request));
    }
    answer(request, root);
}

static void add_config(cJSON *array, const struct tensor *tensor, int hidden)
{
    cJSON *object = cJSON_CreateObject();
    char type[16];

    snprintf(type, sizeof type, "TYPE_%s", tensor->datatype);
    cJSON_AddItemToArray(array, object);
    cJSON_AddStringToObject(object, "name", tensor->name);
    cJSON_AddStringToObject(object, "data_type", type);
    add_shape(object, "dims", tensor, hidden, 1);
}

/* Rows are what Triton batches: its clients put their number before the dimensions. */
void kserve_config(struct request *request)
{
    cJSON *root = cJSON_CreateObject();
    char name[KSERVE_NAME_MAX];
    cJSON *inputs, *outputs;

    kserve_name(request, name);
    cJSON_AddStringToObject(root, "name", name);
    cJSON_AddStringToObject(root, "platform", platform);
    cJSON_AddStringToObject(root, "backend", "moed");
    cJSON_AddNumberToObject(root, "max_batch_size", service_of(request)->options->max_request_rows);
    inputs = cJSON_AddArrayToObject(root, "input");
    outputs = cJSON_AddArrayToObject(root, "output");
    for (size_t i = 0; i < MOED_ARRAY_LEN(tensors); i++) {
        if (is_input(request, &tensors[i]))
            add_config(inputs, &tensors[i], hidden_size(request));
        if (tensors[i].output)
            add_config(outputs, &tensors[i], hidden_size(request));
    }
    answer(request, root);
}

static void add_index(cJSON *root, const char *name, const char *suffix)
{
    cJSON *object = cJSON_CreateObject();
    char whole[KSERVE_NAME_MAX];

    snprintf(whole, sizeof whole, "%s%s", name, suffix);
    cJSON_AddItemToArray(root, object);
    cJSON_AddStringToObject(object, "name", whole);
    cJSON_AddStringToObject(object, "version", version);
    cJSON_AddStringToObject(object, "state", "READY");
}

void kserve_index(struct request *request)
{
    const struct engine *engine = &service_of(request)->engine;
    static const char *const suffixes[] = {"", routed};
    cJSON *root = cJSON_CreateArray();
    char name[KSERVE_NAME_MAX];

    for (size_t j = 0; j < MOED_ARRAY_LEN(suffixes); j++) {
        add_index(root, engine->alias, suffixes[j]);
        for (uint32_t i = 0; i < engine->model->n_layers; i++) {
            kserve_layer_name(engine, engine->model->layers[i].index, name);
            add_index(root, name, suffixes[j]);
        }
    }
    answer(request, root);
}

void kserve_server(struct request *request)
{
    static const char text[] = "{\"name\":\"moed\",\"version\":\"" MOED_VERSION
                               "\",\"extensions\":["
                               "\"binary_tensor_data\",\"model_configuration\","
                               "\"parameters\",\"schedule_policy\","
                               "\"statistics\"]}\n";

    reply_borrow(request, "application/json", text, sizeof text - 1);
    request_answer(request);
}
