/* body.c: requests as bytes, in each of the forms that a server takes. */
#include "plan.h"

#include "src/wire/wire.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The rows as bytes of the request's type. */
static void write_numbers(FILE *out, const struct planned *request, const float *rows)
{
    char row[4 * 256];
    const size_t size = moed_dtype_size(request->dtype),
                 total = (size_t)request->rows * request->hidden;

    for (size_t at = 0, n; at < total; at += n) {
        n = total - at < 256 ? total - at : 256;
        moed_dtype_from_f32(request->dtype, rows + at, row, n);
        fwrite(row, size, n, out);
    }
}

static void write_json(FILE *out, const struct planned *request, const float *rows)
{
    char number[MOED_WIRE_F32_MAX];

    fputs("{\"hidden_states\":[", out);
    for (uint32_t i = 0; i < request->rows; i++) {
        fputs(i == 0 ? "[" : ",[", out);
        for (uint32_t j = 0; j < request->hidden; j++) {
            size_t size = moed_wire_write_f32(rows[(size_t)i * request->hidden + j], number);

            if (j > 0)
                fputc(',', out);
            fwrite(number, 1, size, out);
        }
        fputc(']', out);
    }
    fprintf(out, "],\"output_dtype\":\"%s\"}", moed_dtype_name(request->dtype));
}

/* The Open Inference Protocol's JSON, which the binary rows follow. */
static void write_kserve_head(FILE *out, const struct planned *request)
{
    static const char *const types[] = {
        [MOED_F32] = "FP32", [MOED_F16] = "FP16", [MOED_BF16] = "BF16"};

    fprintf(out,
            "{\"inputs\":[{\"name\":\"hidden_states\",\"shape\":[%u,%u],\"datatype\":\"%s\","
            "\"parameters\":{\"binary_data_size\":%zu}}],"
            "\"parameters\":{\"binary_data_output\":true}}",
            request->rows, request->hidden, types[request->dtype],
            (size_t)request->rows * request->hidden * moed_dtype_size(request->dtype));
}

/* A body and how long its JSON is, where rows follow it. */
struct body {
    char *data;
    size_t size, json_size;
};

static int make_body(const struct planned *request, const float *rows, struct body *body)
{
    FILE *out = open_memstream(&body->data, &body->size);

    if (out == NULL)
        return MOED_E_NO_MEMORY;
    if (request->format == MOED_LOAD_JSON) {
        write_json(out, request, rows);
    } else {
        if (request->format == MOED_LOAD_KSERVE)
            write_kserve_head(out, request);
        body->json_size = (size_t)ftello(out);
        write_numbers(out, request, rows);
    }
    return fclose(out) == 0 ? 0 : MOED_E_NO_MEMORY;
}

/* A model's name as it stands in paths under /v2: other characters than these are dashes there. */
static void write_alias(FILE *out, const char *name)
{
    for (; *name != '\0'; name++)
        fputc(isalnum((unsigned char)*name) || strchr("._-", *name) != NULL ? *name : '-', out);
}

/* The request line and the headers that say what the body is. */
static void write_target(FILE *out, const struct plan *plan, const struct planned *request,
                         const struct body *body)
{
    fprintf(out, "POST %s", plan->url.path);
    switch (request->format) {
    case MOED_LOAD_KSERVE:
        fputs("/v2/models/", out);
        write_alias(out, plan->model);
        fprintf(out, ".layer%u/infer HTTP/1.1\r\nInference-Header-Content-Length: %zu\r\n",
                request->layer, body->json_size);
        fputs("Content-Type: application/octet-stream\r\n", out);
        break;
    case MOED_LOAD_JSON:
        fprintf(out, "/v1/moe/layers/%u/forward HTTP/1.1\r\nContent-Type: application/json\r\n",
                request->layer);
        break;
    default:
        fprintf(out,
                "/v1/moe/layers/%u/forward?dtype=%s HTTP/1.1\r\n"
                "Content-Type: application/octet-stream\r\n",
                request->layer, moed_dtype_name(request->dtype));
    }
}

static void write_common(FILE *out, const struct plan *plan)
{
    fprintf(out, "Host: %s\r\n", moed_url_host(&plan->url));
    for (uint32_t i = 0; i < plan->options->n_headers; i++)
        fprintf(out, "%s\r\n", plan->options->headers[i]);
}

static int no_memory(struct moed_error *err)
{
    return moed_fail(err, MOED_E_NO_MEMORY, "no memory for the requests");
}

int plan_write_forward(const struct plan *plan, const float *rows, struct planned *request,
                       struct moed_error *err)
{
    struct body body = {0};
    FILE *out = NULL;
    int rc = make_body(request, rows, &body);

    if (rc == 0)
        out = open_memstream(&request->bytes, &request->size);
    if (out != NULL) {
        write_target(out, plan, request, &body);
        write_common(out, plan);
        fprintf(out, "Content-Length: %zu\r\n\r\n", body.size);
        fwrite(body.data, 1, body.size, out);
    }
    if (out == NULL || fclose(out) != 0)
        rc = no_memory(err);
    free(body.data);
    return rc;
}

int plan_write_get(const struct plan *plan, const char *path, struct planned *request,
                   struct moed_error *err)
{
    FILE *out = open_memstream(&request->bytes, &request->size);

    if (out == NULL)
        return no_memory(err);
    fprintf(out, "GET %s%s HTTP/1.1\r\n", plan->url.path, path);
    write_common(out, plan);
    fputs("\r\n", out);
    return fclose(out) == 0 ? 0 : no_memory(err);
}
