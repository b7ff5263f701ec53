/* Fuzzes raw requests. An input is a line of parameters, as in a query, and the body behind it:
 *
 *   dtype=f16&routing=topk&k=2\n<bytes> */
#include "fuzz.h"

#include "src/wire/wire.h"
#include <stdlib.h>
#include <string.h>

static const struct moed_wire_limits limits = {.hidden = 3, .max_rows = 64, .max_slots = 8};

static int set_params(struct moed_raw_params *params, char *line, struct moed_error *err)
{
    char *rest = NULL;
    int status = 0;

    moed_raw_params_init(params);
    for (char *name = strtok_r(line, "&", &rest); name != NULL && status == 0;
         name = strtok_r(NULL, "&", &rest)) {
        char *value = strchr(name, '=');

        if (value == NULL)
            value = name + strlen(name);
        else
            *value++ = '\0';
        status = moed_raw_param(params, name, value, err);
    }
    return status;
}

/* The parts of the request, one behind the other, are the body again. */
static void check_request(const struct moed_request *request, const uint8_t *body, size_t size)
{
    const struct moed_response response = {.rows = request->rows,
                                           .hidden = request->hidden,
                                           .slots = request->slots,
                                           .dtype = request->dtype,
                                           .output = request->data,
                                           .expert_ids = request->expert_ids,
                                           .expert_weights = request->expert_weights};
    struct moed_error err = {0};
    char *again = NULL;
    size_t again_size = 0;

    FUZZ_CHECK(request->rows <= limits.max_rows && request->hidden == limits.hidden);
    FUZZ_CHECK(moed_wire_print_raw(&response, &again, &again_size, &err) == 0);
    FUZZ_CHECK(again_size == size && memcmp(again, body, size) == 0);
    free(again);
    FUZZ_CHECK(moed_wire_print_json(&response, MOED_ENCODING_ARRAY, &again, &again_size, &err) ==
               0);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    struct moed_raw_params params;
    struct moed_request request;
    struct moed_error err = {0};
    char *line;
    int status;

    if (end == NULL)
        return 0;
    line = strndup((const char *)data, (size_t)(end - data));
    FUZZ_CHECK(line != NULL);
    status = set_params(&params, line, &err);
    if (status == 0) {
        const uint8_t *body = end + 1;
        const size_t body_size = size - (size_t)(body - data);

        status = moed_wire_parse_raw(body, body_size, &limits, &params, &request, &err);
        if (status == 0)
            check_request(&request, body, body_size);
        moed_request_fini(&request);
    }
    FUZZ_CHECK(status == 0 || (err.code == status && err.message[0] != '\0'));
    free(line);
    return 0;
}
