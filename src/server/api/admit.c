/* admit.c: what is refused before a byte of the body has been read. */
#include "forward.h"
#include "service.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PARAM_MAX = 32 };

static const char prefix[] = "X-MoE-";

/* Whether a Content-Type names `type`, with or without parameters. */
static bool is_type(const char *found, const char *type)
{
    size_t length = strlen(type);

    return strncasecmp(found, type, length) == 0 &&
           (found[length] == '\0' || found[length] == ';' || found[length] == ' ');
}

static int read_media_type(struct request *request, struct moed_error *err)
{
    const char *type = request_header(request, "Content-Type");

    if (type == NULL)
        return moed_fail(err, MOED_E_MEDIA_TYPE,
                         "Content-Type: found none, accepted are application/json and "
                         "application/octet-stream");
    forward_of(request)->format = is_type(type, "application/json") ? FORWARD_JSON : FORWARD_RAW;
    if (forward_of(request)->format == FORWARD_JSON || is_type(type, "application/octet-stream"))
        return 0;
    return moed_fail(err, MOED_E_MEDIA_TYPE,
                     "Content-Type: found %.64s, accepted are application/json and "
                     "application/octet-stream",
                     type);
}

struct reading { /* of parameters, through libmicrohttpd's iterator */
    struct forward *forward;
    struct moed_error *err;
    int rc;
};

static enum MHD_Result read_param(struct reading *reading, const char *name, const char *value)
{
    if (reading->forward->format == FORWARD_KSERVE && strcmp(name, "layer") != 0)
        reading->rc = moed_fail(reading->err, MOED_E_MALFORMED,
                                "parameter \"%.32s\": a request of KServe takes only \"layer\" "
                                "outside of its body",
                                name);
    else
        reading->rc = moed_raw_param(&reading->forward->params, name, value != NULL ? value : "",
                                     reading->err);
    return reading->rc == 0 ? MHD_YES : MHD_NO;
}

static enum MHD_Result on_query(void *context, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    (void)kind;
    return read_param(context, name, value);
}

/* "X-MoE-Out-Dtype" is the parameter "out_dtype". */
static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    char param[PARAM_MAX];
    size_t i;

    (void)kind;
    if (strncasecmp(name, prefix, sizeof prefix - 1) != 0)
        return MHD_YES;
    name += sizeof prefix - 1;
    for (i = 0; name[i] != '\0' && i + 1 < sizeof param; i++)
        param[i] = name[i] == '-' ? '_' : (char)tolower((unsigned char)name[i]);
    param[i] = '\0';
    return read_param(context, param, value);
}

static int read_params(struct request *request, struct moed_error *err)
{
    struct reading reading = {forward_of(request), err, 0};

    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, on_query, &reading);
    if (reading.rc == 0)
        MHD_get_connection_values(request->connection, MHD_HEADER_KIND, on_header, &reading);
    return reading.rc;
}

int forward_find_layer(struct request *request, struct moed_error *err)
{
    const struct engine *engine = &service_of(request)->engine;
    struct forward *f = forward_of(request);
    const struct moed_request *given[] = {&f->params.request, &f->wire};
    bool known = request->has_path_layer;
    uint32_t layer = request->path_layer;

    for (size_t i = 0; i < MOED_ARRAY_LEN(given); i++) {
        if (!given[i]->has_layer)
            continue;
        if (known && given[i]->layer != layer)
            return moed_fail(err, MOED_E_MALFORMED, "layer: found both %u and %u", layer,
                             given[i]->layer);
        known = true;
        layer = given[i]->layer;
    }
    if (!known && engine->model->n_moe_layers == 1 && engine->model->n_layers == 1) {
        known = true;
        layer = engine->model->layers[0].index;
    }
    if (!known)
        return moed_fail(err, MOED_E_MALFORMED,
                         "layer: missing; this model has %u MoE layers, so the path, the query, "
                         "X-MoE-Layer or the body has to name one",
                         engine->model->n_moe_layers);
    return engine_layer(engine, layer, &f->layer, err);
}

/* Whether the body is rows and nothing else. */
static bool only_rows(const struct forward *f)
{
    return (f->format == FORWARD_RAW && !f->params.topk) ||
           (f->format == FORWARD_KSERVE && f->json_size == 0);
}

/* How many rows a body of this length must have at least, for the queue's bound. */
static int check_room(const struct request *request, struct moed_error *err)
{
    const struct forward *f = forward_of(request);
    const struct service *service = service_of(request);
    uint64_t rows = 1;

    if (only_rows(f) && request->body.has_length && request->body.coding == MOED_CODING_IDENTITY)
        rows = request->body.declared /
               (moed_dtype_size(f->params.request.dtype) * (uint64_t)f->layer->hidden);
    if (rows > service->options->max_request_rows)
        return moed_fail(err, MOED_E_TOO_LARGE, "%llu rows in one request, the limit is %u",
                         (unsigned long long)rows, service->options->max_request_rows);
    return moed_batcher_admits(service->engine.batcher, (uint32_t)rows, err);
}

/* What does not depend on how the format became known. A layer that only the body can name is
 * found later. */
static int admit(struct request *request, struct moed_error *err)
{
    struct forward *f = forward_of(request);
    int rc = read_params(request, err);

    if (rc == 0 && (f->format == FORWARD_RAW || only_rows(f) || request->has_path_layer ||
                    f->params.request.has_layer))
        rc = forward_find_layer(request, err);
    return rc != 0 ? rc : check_room(request, err);
}

int forward_admit(struct request *request, struct moed_error *err)
{
    int rc = body_read_coding(request, err);

    if (rc == 0)
        rc = read_media_type(request, err);
    return rc != 0 ? rc : admit(request, err);
}

static int read_json_size(struct request *request, struct moed_error *err)
{
    static const char name[] = "Inference-Header-Content-Length";
    const char *text = request_header(request, name), *end = text;
    uint64_t size = MOED_KSERVE_NO_HEADER;

    if (text != NULL && (!moed_read_u64(&end, &size) || *end != '\0'))
        return moed_fail(err, MOED_E_MALFORMED,
                         "%s: found \"%.32s\", expected the bytes of the body's JSON", name, text);
    forward_of(request)->json_size = (size_t)size;
    return 0;
}

/* KServe's clients send any Content-Type or none: it says nothing. */
int forward_admit_kserve(struct request *request, struct moed_error *err)
{
    int rc = body_read_coding(request, err);

    forward_of(request)->format = FORWARD_KSERVE;
    if (rc == 0)
        rc = read_json_size(request, err);
    return rc != 0 ? rc : admit(request, err);
}
