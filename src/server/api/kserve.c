/* kserve.c: what KServe's and Triton's clients ask before they send rows. The documents are small
 * and printed when asked for. */
#include "kserve.h"

#include "service.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char version[] = "1", platform[] = "moed_gguf";

/* Shapes have a dimension -1 where requests differ: rows, and experts a row. */
enum { ANY = -1 };

static const struct tensor {
    const char *name, *datatype;
    bool input, output, optional; /* optional: as an input */
} tensors[] = {
    {"hidden_states", "FP32", .input = true},
    {"output", "FP32", .output = true},
    {"expert_ids", "INT32", .input = true, .output = true, .optional = true},
    {"expert_weights", "FP32", .input = true, .output = true, .optional = true},
};

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

/* Whether `text` is "NAME" or "NAME.layerL". */
static bool read_name(const char *name, struct route_text text, struct request *request)
{
    static const char infix[] = ".layer";
    const size_t size = strlen(name), before = size + sizeof infix - 1;
    const char *at = text.at + before;

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

    if (request->has_path_layer)
        kserve_layer_name(engine, request->path_layer, out);
    else
        snprintf(out, KSERVE_NAME_MAX, "%s", engine->alias);
}

/* ---- documents ---- */
/* Takes the document. */
static void answer(struct request *request, cJSON *root)
{
    char *body = cJSON_PrintUnformatted(root);

    cJSON_Delete(root);
    if (body != NULL)
        reply_take(request, "application/json", body, strlen(body));
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

static void add_shape(cJSON *object, const char *name, const struct tensor *tensor, int hidden)
{
    const int shape[] = {ANY, tensor->optional ? ANY : hidden};

    cJSON_AddItemToObject(object, name, cJSON_CreateIntArray(shape, MOED_ARRAY_LEN(shape)));
}

static void add_metadata(cJSON *array, const struct tensor *tensor, int hidden)
{
    cJSON *object = cJSON_CreateObject();

    cJSON_AddItemToArray(array, object);
    cJSON_AddStringToObject(object, "name", tensor->name);
    cJSON_AddStringToObject(object, "datatype", tensor->datatype);
    add_shape(object, "shape", tensor, hidden);
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
        if (tensors[i].input)
            add_metadata(inputs, &tensors[i], hidden_size(request));
        if (tensors[i].output)
            add_metadata(outputs, &tensors[i], hidden_size(request));
    }
    answer(request, root);
}

static cJSON *add_config(cJSON *array, const struct tensor *tensor, int hidden)
{
    cJSON *object = cJSON_CreateObject();
    char type[16];

    snprintf(type, sizeof type, "TYPE_%s", tensor->datatype);
    cJSON_AddItemToArray(array, object);
    cJSON_AddStringToObject(object, "name", tensor->name);
    cJSON_AddStringToObject(object, "data_type", type);
    add_shape(object, "dims", tensor, hidden);
    return object;
}

/* max_batch_size 0: the first dimension is ours, rows. */
void kserve_config(struct request *request)
{
    cJSON *root = cJSON_CreateObject();
    char name[KSERVE_NAME_MAX];
    cJSON *inputs, *outputs;

    kserve_name(request, name);
    cJSON_AddStringToObject(root, "name", name);
    cJSON_AddStringToObject(root, "platform", platform);
    cJSON_AddStringToObject(root, "backend", "moed");
    cJSON_AddNumberToObject(root, "max_batch_size", 0);
    inputs = cJSON_AddArrayToObject(root, "input");
    outputs = cJSON_AddArrayToObject(root, "output");
    for (size_t i = 0; i < MOED_ARRAY_LEN(tensors); i++) {
        if (tensors[i].input)
            cJSON_AddBoolToObject(add_config(inputs, &tensors[i], hidden_size(request)), "optional",
                                  tensors[i].optional);
        if (tensors[i].output)
            add_config(outputs, &tensors[i], hidden_size(request));
    }
    answer(request, root);
}

static void add_index(cJSON *root, const char *name)
{
    cJSON *object = cJSON_CreateObject();

    cJSON_AddItemToArray(root, object);
    cJSON_AddStringToObject(object, "name", name);
    cJSON_AddStringToObject(object, "version", version);
    cJSON_AddStringToObject(object, "state", "READY");
}

void kserve_index(struct request *request)
{
    const struct engine *engine = &service_of(request)->engine;
    cJSON *root = cJSON_CreateArray();
    char name[KSERVE_NAME_MAX];

    add_index(root, engine->alias);
    for (uint32_t i = 0; i < engine->model->n_layers; i++) {
        kserve_layer_name(engine, engine->model->layers[i].index, name);
        add_index(root, name);
    }
    answer(request, root);
}

void kserve_server(struct request *request)
{
    static const char text[] = "{\"name\":\"moed\",\"version\":\"" MOED_VERSION
                               "\",\"extensions\":["
                               "\"binary_tensor_data\",\"model_configuration\","
                               "\"parameters\",\"schedule_policy\","
                               "\"statistics\"]}";

    reply_borrow(request, "application/json", text, sizeof text - 1);
    request_answer(request);
}
