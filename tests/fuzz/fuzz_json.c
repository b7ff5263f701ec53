/* Fuzzes JSON requests: whatever the bytes are, they become a request whose every promise holds,
 * or an error with a message. What was read is answered and read again. */
#include "fuzz.h"

#include "src/wire/wire.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct moed_wire_limits limits = {.hidden = 0, .max_rows = 64, .max_slots = 8};

static void check_request(const struct moed_request *request)
{
    const size_t count = (size_t)request->rows * request->hidden;

    FUZZ_CHECK(request->rows <= limits.max_rows && request->slots <= limits.max_slots);
    FUZZ_CHECK(request->rows == 0 || (request->data != NULL && request->hidden > 0));
    for (size_t i = 0; i < count; i++) {
        float value;

        moed_dtype_to_f32(request->dtype,
                          (const char *)request->data + i * moed_dtype_size(request->dtype), &value,
                          1);
        FUZZ_CHECK(isfinite(value));
    }
    for (size_t i = 0; request->routed && i < (size_t)request->rows * request->slots; i++)
        FUZZ_CHECK(isfinite(request->expert_weights[i]));
    FUZZ_CHECK(request->returns > 0 && request->returns < 16);
}

/* The rows, written as an answer and put into a request again, are the same rows. */
static void check_round_trip(const struct moed_request *request)
{
    const struct moed_response response = {.rows = request->rows,
                                           .hidden = request->hidden,
                                           .dtype = request->dtype,
                                           .output = request->data};
    static const char before[] = "{\"hidden_states\":", output[] = "\"output\":";
    struct moed_request again;
    struct moed_error err = {0};
    char *body = NULL, *copy, *array;
    size_t size = 0;

    FUZZ_CHECK(moed_wire_print_json(&response, request->encoding, &body, &size, &err) == 0);
    copy = calloc(1, size + sizeof(before));
    array = memmem(body, size, output, sizeof(output) - 1);
    FUZZ_CHECK(copy != NULL && array != NULL);
    array += sizeof(output) - 1;
    memcpy(copy, before, sizeof(before) - 1);
    memcpy(copy + sizeof(before) - 1, array, (size_t)(body + size - array));
    FUZZ_CHECK(moed_wire_parse_json(copy, strlen(copy), &limits, &again, &err) == 0);
    FUZZ_CHECK(again.rows == request->rows);
    if (request->dtype == again.dtype && request->rows > 0)
        FUZZ_CHECK(
            memcmp(again.data, request->data,
                   (size_t)request->rows * request->hidden * moed_dtype_size(request->dtype)) == 0);
    moed_request_fini(&again);
    free(copy);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct moed_request request;
    struct moed_error err = {0};
    const int status = moed_wire_parse_json((const char *)data, size, &limits, &request, &err);

    if (status == 0) {
        check_request(&request);
        if (request.data != NULL)
            check_round_trip(&request);
    } else
        FUZZ_CHECK(err.code == status && err.message[0] != '\0');
    moed_request_fini(&request);
    return 0;
}
