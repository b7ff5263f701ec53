/* Fuzzes KServe requests. An input is the value of Inference-Header-Content-Length ("" for none), a
 * newline, and the body:
 *
 *   86\n{"inputs":[…]}<bytes>
 *
 * Whatever it is, it becomes a request whose every promise holds, or an error with a message. What
 * was read is sent again in the other form, and answered in both. */
#include "fuzz.h"

#include "src/wire/kserve.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct moed_wire_limits limits = {.hidden = 0, .max_rows = 64, .max_slots = 8};
/* A body without JSON has no shape to take the width from. */
static const struct moed_wire_limits narrow_limits = {.hidden = 3, .max_rows = 64, .max_slots = 8};

static void check_floats(enum moed_dtype dtype, const void *data, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float value;

        moed_dtype_to_f32(dtype, (const char *)data + i * moed_dtype_size(dtype), &value, 1);
        FUZZ_CHECK(isfinite(value));
    }
}

static void check_request(const struct moed_request *request, const struct moed_kserve *kserve)
{
    const size_t slots = (size_t)request->rows * request->slots;

    FUZZ_CHECK(request->rows <= limits.max_rows && request->slots <= limits.max_slots);
    FUZZ_CHECK(request->rows == 0 || (request->data != NULL && request->hidden > 0));
    FUZZ_CHECK(request->output_dtype < MOED_DTYPE_COUNT);
    check_floats(request->dtype, request->data, (size_t)request->rows * request->hidden);
    if (request->routed)
        check_floats(MOED_F32, request->expert_weights, slots);
    FUZZ_CHECK(kserve->n_outputs >= 1 && kserve->n_outputs <= MOED_KSERVE_OUTPUTS);
    FUZZ_CHECK((request->returns & ~(unsigned)(MOED_RETURN_OUTPUT | MOED_RETURN_ROUTING)) == 0);
}

/* The answer's JSON is JSON, and its bytes are as many as it says. */
static void check_answer(const struct moed_kserve_body *body)
{
    const cJSON *output;
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(body->data, body->json_size, &end, false);
    double bytes = 0;

    FUZZ_CHECK(root != NULL && end + (*end == '\n') == body->data + body->json_size);
    cJSON_ArrayForEach(output, cJSON_GetObjectItem(root, "outputs"))
    {
        const cJSON *parameters = cJSON_GetObjectItem(output, "parameters");

        FUZZ_CHECK((parameters == NULL) != (cJSON_GetObjectItem(output, "data") == NULL));
        if (parameters != NULL)
            bytes += cJSON_GetObjectItem(parameters, "binary_data_size")->valuedouble;
    }
    FUZZ_CHECK(bytes == (double)(body->size - body->json_size));
    cJSON_Delete(root);
}

/* The request's own rows as its answer. */
static void check_answers(const struct moed_request *request, const struct moed_kserve *kserve)
{
    struct moed_response response = {.rows = request->rows,
                                     .hidden = request->hidden,
                                     .dtype = request->dtype,
                                     .output = request->data};
    struct moed_kserve all = *kserve;
    struct moed_error err = {0};
    struct moed_kserve_body body;

    if (request->routed) {
        response.slots = request->slots;
        response.expert_ids = request->expert_ids;
        response.expert_weights = request->expert_weights;
    }
    FUZZ_CHECK(moed_wire_print_kserve(&response, kserve, "m", &body, &err) == 0);
    check_answer(&body);
    free(body.data);
    for (uint32_t i = 0; i < all.n_outputs; i++)
        all.outputs[i].binary = !all.outputs[i].binary;
    FUZZ_CHECK(moed_wire_print_kserve(&response, &all, "m", &body, &err) == 0);
    check_answer(&body);
    free(body.data);
}

/* The rows as numbers in JSON, which must mean the same to the bit. */
static void check_again(const struct moed_request *request)
{
    static const char *const types[] = {"FP32", "FP16", "BF16"};
    const struct moed_response response = {.rows = request->rows,
                                           .hidden = request->hidden,
                                           .dtype = request->dtype,
                                           .output = request->data};
    const struct moed_kserve text = {.n_outputs = 1, .outputs = {{MOED_KSERVE_OUTPUT, false}}};
    struct moed_error err = {0};
    struct moed_kserve_body printed, again = {0};
    struct moed_request second;
    struct moed_kserve kserve;
    const char *data;
    int size;

    FUZZ_CHECK(moed_wire_print_kserve(&response, &text, "m", &printed, &err) == 0);
    data = memmem(printed.data, printed.size, "\"data\":", 7); /* as it ends, so ends a request */
    FUZZ_CHECK(data != NULL);
    size =
        asprintf(&again.data,
                 "{\"inputs\":[{\"name\":\"hidden_states\",\"datatype\":\"%s\",\"shape\":[%u,%u],"
                 "%.*s",
                 types[request->dtype], request->rows, request->hidden,
                 (int)(printed.data + printed.size - data), data);
    FUZZ_CHECK(size > 0);
    again.size = (size_t)size;
    again.json_size = MOED_KSERVE_NO_HEADER;
    FUZZ_CHECK(moed_wire_parse_kserve(&again, &limits, &second, &kserve, &err) == 0);
    FUZZ_CHECK(second.rows == request->rows && second.dtype == request->dtype);
    if (request->rows > 0)
        FUZZ_CHECK(
            memcmp(second.data, request->data,
                   (size_t)request->rows * request->hidden * moed_dtype_size(request->dtype)) == 0);
    moed_request_fini(&second);
    moed_kserve_fini(&kserve);
    free(again.data);
    free(printed.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    struct moed_kserve_body body = {.json_size = MOED_KSERVE_NO_HEADER};
    struct moed_request request;
    struct moed_kserve kserve;
    struct moed_error err = {0};
    int status;

    if (end == NULL || end - data > 19)
        return 0;
    if (end > data)
        body.json_size = strtoull((const char *)data, NULL, 10);
    body.size = size - (size_t)(end + 1 - data);
    body.data = malloc(body.size + 1);
    FUZZ_CHECK(body.data != NULL);
    memcpy(body.data, end + 1, body.size);
    status = moed_wire_parse_kserve(&body, body.json_size == 0 ? &narrow_limits : &limits, &request,
                                    &kserve, &err);
    if (status == 0) {
        check_request(&request, &kserve);
        check_again(&request);
        if (request.routed || (request.returns & MOED_RETURN_ROUTING) == 0)
            check_answers(&request, &kserve);
    } else
        FUZZ_CHECK(err.code == status && err.message[0] != '\0');
    moed_request_fini(&request);
    moed_kserve_fini(&kserve);
    free(body.data);
    return 0;
}
