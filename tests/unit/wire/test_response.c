/* Answers, as JSON and as raw bytes: exact texts, and every number read back by cJSON. */
#include "cmocka_all.h"

#include "src/wire/wire.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float output[] = {0.1F, -3, 1e-45F, 3.4028235e38F};
static const int32_t ids[] = {3, -1, INT32_MIN, INT32_MAX};
static const float weights[] = {0.6F, 0.4F, 1, 0};
static const float logits[] = {-0.5F, 2.5F, 1e10F, 0, 0, -0.0F};

static struct moed_response full(void)
{
    return (struct moed_response){.layer = 12,
                                  .rows = 2,
                                  .hidden = 2,
                                  .experts = 3,
                                  .slots = 2,
                                  .output = output,
                                  .expert_ids = ids,
                                  .expert_weights = weights,
                                  .logits = logits,
                                  .timing = true,
                                  .queue_ns = 41999,
                                  .compute_ns = 1210000,
                                  .batch_rows = 32};
}

static void check_json(const struct moed_response *response, enum moed_encoding encoding,
                       const char *expected)
{
    struct moed_error err = {0};
    char *body = NULL, *text;
    size_t size = 0;

    assert_int_equal(moed_wire_print_json(response, encoding, &body, &size, &err), 0);
    assert_int_equal(body[size - 1], '\n');
    text = strndup(body, size - 1);
    assert_string_equal(text, expected);
    free(text);
    free(body);
}

static void test_full(void **state)
{
    const struct moed_response response = full();

    (void)state;
    check_json(&response, MOED_ENCODING_ARRAY,
               "{\"layer\":12,\"shape\":[2,2],\"dtype\":\"f32\","
               "\"output\":[[0.1,-3],[1e-45,3.4028235e38]],"
               "\"routing\":{\"expert_ids\":[[3,-1],[-2147483648,2147483647]],"
               "\"weights\":[[0.6,0.4],[1,0]]},"
               "\"logits\":[[-0.5,2.5,1e10],[0,0,-0.0]],"
               "\"timing\":{\"queue_us\":41,\"compute_us\":1210,\"batch_rows\":32}}");
}

static void test_partial(void **state)
{
    struct moed_response response = {.rows = 1, .hidden = 2, .output = output, .partial = true};

    (void)state;
    check_json(&response, MOED_ENCODING_ARRAY,
               "{\"layer\":0,\"shape\":[1,2],\"dtype\":\"f32\",\"output\":[[0.1,-3]],"
               "\"missing_slots\":0}");
    response.missing_slots = UINT64_C(1) << 40;
    response.output = NULL;
    check_json(&response, MOED_ENCODING_ARRAY, "{\"layer\":0,\"missing_slots\":1099511627776}");
}

static void test_output_only(void **state)
{
    struct moed_response response = {.layer = 0, .rows = 1, .hidden = 2, .output = output};

    (void)state;
    check_json(&response, MOED_ENCODING_ARRAY,
               "{\"layer\":0,\"shape\":[1,2],\"dtype\":\"f32\",\"output\":[[0.1,-3]]}");
    response.rows = 0;
    check_json(&response, MOED_ENCODING_ARRAY,
               "{\"layer\":0,\"shape\":[0,2],\"dtype\":\"f32\",\"output\":[]}");
}

static void test_route_only(void **state)
{
    const struct moed_response response = {
        .layer = 4294967295U, .rows = 2, .slots = 2, .expert_ids = ids, .expert_weights = weights};

    (void)state;
    check_json(&response, MOED_ENCODING_ARRAY,
               "{\"layer\":4294967295,\"routing\":{\"expert_ids\":[[3,-1],[-2147483648,"
               "2147483647]],\"weights\":[[0.6,0.4],[1,0]]}}");
}

static void test_base64(void **state)
{
    static const uint16_t halves[] = {0x3c00, 0xbc00, 0x7c00, 0}; /* infinity can be said here */
    const struct moed_response response = {
        .layer = 1, .rows = 2, .hidden = 2, .dtype = MOED_F16, .output = halves};

    (void)state;
    check_json(&response, MOED_ENCODING_BASE64,
               "{\"layer\":1,\"shape\":[2,2],\"dtype\":\"f16\",\"output\":{\"dtype\":\"f16\","
               "\"shape\":[2,2],\"data\":\"ADwAvAB8AAA=\"}}");
}

static void test_halves_as_numbers(void **state)
{
    static const uint16_t halves[] = {0x3f80, 0xbf80, 0x3dcd, 0x0000};
    const struct moed_response response = {
        .layer = 1, .rows = 1, .hidden = 4, .dtype = MOED_BF16, .output = halves};

    (void)state;
    check_json(&response, MOED_ENCODING_ARRAY,
               "{\"layer\":1,\"shape\":[1,4],\"dtype\":\"bf16\","
               "\"output\":[[1,-1,0.100097656,0]]}");
}

static void refuse(struct moed_response response, const char *place)
{
    struct moed_error err = {0};
    char *body = NULL;
    size_t size = 0;

    assert_int_equal(moed_wire_print_json(&response, MOED_ENCODING_ARRAY, &body, &size, &err),
                     MOED_E_NOT_FINITE);
    assert_null(body);
    assert_non_null(strstr(err.message, place));
}

static void test_not_finite(void **state)
{
    static const float bad[] = {1, 2, NAN, 4, 5, INFINITY};
    struct moed_response response = full();

    (void)state;
    response.output = bad;
    refuse(response, "output: row 1, column 0");
    response = full();
    response.logits = bad;
    refuse(response, "logits: row 0, column 2");
    response = full();
    response.expert_weights = bad;
    refuse(response, "weights: row 1, column 0");
}

/* Longer than any chunk or first buffer; every number must come back bit for bit. */
static void test_large(void **state)
{
    enum { ROWS = 7, COLUMNS = 3000 };
    float *values = malloc(sizeof(float) * ROWS * COLUMNS);
    const struct moed_response response = {.rows = ROWS, .hidden = COLUMNS, .output = values};
    const cJSON *row, *item;
    struct moed_error err = {0};
    char *body = NULL;
    size_t size = 0, i = 0;
    cJSON *parsed;

    (void)state;
    for (size_t n = 0; n < (size_t)ROWS * COLUMNS; n++)
        values[n] = sinf((float)n) * powf(10, (float)(n % 41) - 20);
    assert_int_equal(moed_wire_print_json(&response, MOED_ENCODING_ARRAY, &body, &size, &err), 0);
    parsed = cJSON_ParseWithLength(body, size);
    assert_non_null(parsed);
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(parsed, "output"))
    {
        assert_int_equal(cJSON_GetArraySize(row), COLUMNS);
        cJSON_ArrayForEach(item, row)
        {
            assert_true((float)item->valuedouble == values[i]);
            i++;
        }
    }
    assert_int_equal(i, (size_t)ROWS * COLUMNS);
    cJSON_Delete(parsed);
    free(body);
    free(values);
}

static void test_raw(void **state)
{
    struct moed_response response = full();
    struct moed_error err = {0};
    char *body = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(moed_wire_print_raw(&response, &body, &size, &err), 0);
    assert_int_equal(size, sizeof(output) + sizeof(ids) + sizeof(weights) + sizeof(logits));
    assert_memory_equal(body, output, sizeof(output));
    assert_memory_equal(body + 16, ids, sizeof(ids));
    assert_memory_equal(body + 32, weights, sizeof(weights));
    assert_memory_equal(body + 48, logits, sizeof(logits));
    free(body);

    response.output = NULL;
    response.logits = NULL;
    assert_int_equal(moed_wire_print_raw(&response, &body, &size, &err), 0);
    assert_int_equal(size, sizeof(ids) + sizeof(weights));
    assert_memory_equal(body, ids, sizeof(ids));
    free(body);

    response = (struct moed_response){.hidden = 2, .output = output};
    assert_int_equal(moed_wire_print_raw(&response, &body, &size, &err), 0);
    assert_int_equal(size, 0);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),       cmocka_unit_test(test_output_only),
        cmocka_unit_test(test_route_only), cmocka_unit_test(test_base64),
        cmocka_unit_test(test_not_finite), cmocka_unit_test(test_halves_as_numbers),
        cmocka_unit_test(test_large),      cmocka_unit_test(test_raw),
        cmocka_unit_test(test_partial),
    };

    return cmocka_run_group_tests_name("response", tests, NULL, NULL);
}
