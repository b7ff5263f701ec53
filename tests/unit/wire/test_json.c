/* Good JSON bodies, each form of each field, and what is read from them. */
#include "cmocka_all.h"

#include "src/wire/wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct moed_wire_limits limits = {.hidden = 4, .max_rows = 8, .max_slots = 3};
static const struct moed_wire_limits any_hidden = {.hidden = 0, .max_rows = 8, .max_slots = 3};

/* Parses a copy that ends where the body ends: a sanitizer sees any overread. */
static struct moed_request parse_within(const char *body, const struct moed_wire_limits *within)
{
    const size_t size = strlen(body);
    char *copy = malloc(size);
    struct moed_error err = {0};
    struct moed_request request;

    memcpy(copy, body, size);
    if (moed_wire_parse_json(copy, size, within, &request, &err) != 0)
        fail_msg("%s\nis refused: %s", body, err.message);
    free(copy);
    return request;
}

static struct moed_request parse(const char *body)
{
    return parse_within(body, &limits);
}

static void check_rows(const struct moed_request *request, uint32_t rows, const float *expected)
{
    assert_int_equal(request->rows, rows);
    assert_int_equal(request->hidden, 4);
    assert_int_equal(request->dtype, MOED_F32);
    assert_memory_equal(request->data, expected, (size_t)rows * 4 * sizeof(float));
}

static void test_rows(void **state)
{
    static const float expected[] = {0.1F, -0.2F, 3e5F, 4, 0, -0.0F, 1e-45F, 0.33333334F};
    struct moed_request request =
        parse("{\"hidden_states\": [[0.1, -0.2, 3e5, 4], [0, -0, 1e-45, 0.33333334]]}");

    (void)state;
    check_rows(&request, 2, expected);
    assert_false(request.has_layer);
    assert_false(request.routed);
    assert_int_equal(request.returns, MOED_RETURN_OUTPUT);
    assert_int_equal(request.block, MOED_BLOCK_FFN);
    assert_int_equal(request.shared, MOED_SHARED_INCLUDE);
    assert_int_equal(request.output_dtype, MOED_F32);
    assert_int_equal(request.encoding, MOED_ENCODING_ARRAY);
    assert_int_equal(request.deadline_ms, 0);
    moed_request_fini(&request);
    assert_null(request.data);
}

static void test_spaces_and_order(void **state)
{
    static const float expected[] = {1, 2, 3, 4};
    struct moed_request request = parse(
        " \t\r\n{ \"layer\" : 7 , \"hidden_states\"\n:\t[ [ 1 ,2, 3 , 4 ] ] , \"return\" : [ "
        "\"routing\" ] } \n");

    (void)state;
    check_rows(&request, 1, expected);
    assert_true(request.has_layer);
    assert_int_equal(request.layer, 7);
    assert_int_equal(request.returns, MOED_RETURN_ROUTING);
    moed_request_fini(&request);
}

static void test_flat_row(void **state)
{
    static const float expected[] = {1, 2, 3, 4};
    struct moed_request request = parse(
        "{\"hidden_states\":[1,2,3,4],\"routing\":"
        "{\"expert_ids\":[5,-1],\"weights\":[0.5,0]}}");

    (void)state;
    check_rows(&request, 1, expected);
    assert_true(request.routed);
    assert_int_equal(request.slots, 2);
    assert_int_equal(request.expert_ids[1], -1);
    moed_request_fini(&request);
}

static void test_zero_rows(void **state)
{
    static const char *const bodies[] = {
        "{\"hidden_states\":[]}",
        "{\"hidden_states\":[ ],\"routing\":{\"expert_ids\":[],\"weights\":[]}}",
        "{\"hidden_states\":{\"dtype\":\"bf16\",\"shape\":[0,4],\"data\":\"\"}}",
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(bodies); i++) {
        struct moed_request request = parse(bodies[i]);

        assert_int_equal(request.rows, 0);
        assert_int_equal(request.hidden, 4);
        moed_request_fini(&request);
    }
}

static void test_hidden_size_of_the_rows(void **state)
{
    struct moed_request request =
        parse_within("{\"hidden_states\":[[1,2,3],[4,5,6]]}", &any_hidden);

    (void)state;
    assert_int_equal(request.rows, 2);
    assert_int_equal(request.hidden, 3);
    moed_request_fini(&request);
    request = parse_within("{\"hidden_states\":[]}", &any_hidden);
    assert_int_equal(request.hidden, 0);
    moed_request_fini(&request);
}

static void test_base64(void **state)
{
    static const float rows[] = {0.1F, -0.2F, 3e38F, 1e-45F, 5, 6, 7, 8};
    /* bf16 of 1, -1, 2, 0.5; its text has a slash escaped and a plus spelled as \u002b */
    static const uint16_t halves[] = {0x3f80, 0xbf80, 0xfb00, 0x3f3e};
    char body[256], text[64] = "", escaped[128] = "";
    struct moed_request request;

    (void)state;
    moed_base64_encode(rows, sizeof(rows), text);
    snprintf(body, sizeof(body),
             "{\"hidden_states\":{\"data\":\"%s\",\"shape\":[2,4],\"dtype\":\"f32\"}}", text);
    request = parse(body);
    check_rows(&request, 2, rows);
    moed_request_fini(&request);

    memset(text, 0, sizeof(text));
    moed_base64_encode(halves, sizeof(halves), text);
    for (const char *p = text; *p != '\0'; p++)
        snprintf(escaped + strlen(escaped), sizeof(escaped) - strlen(escaped),
                 *p == '/' ? "\\/" : "\\u%04x", (unsigned)*p);
    snprintf(body, sizeof(body),
             "{\"hidden_states\":{\"data\":\"%s\",\"shape\":[1,4],\"dtype\":\"bf16\"}}", escaped);
    request = parse(body);
    assert_int_equal(request.dtype, MOED_BF16);
    assert_memory_equal(request.data, halves, sizeof(halves));
    moed_request_fini(&request);
}

static void test_every_field(void **state)
{
    struct moed_request request = parse(
        "{\"layer\":12,\"hidden_states\":[[1,2,3,4],[5,6,7,8]],"
        "\"routing\":{\"weights\":[[0.6,0.4,0],[1,0,0]],\"expert_ids\":[[3,17,-1],[0,1,2]]},"
        "\"return\":[\"output\",\"routing\",\"logits\",\"timing\"],"
        "\"block\":\"norm_ffn_residual\",\"shared_experts\":\"only\","
        "\"on_missing_expert\":\"skip\",\"output_dtype\":\"f16\",\"encoding\":\"base64\","
        "\"deadline_ms\":49.5}");
    static const int32_t ids[] = {3, 17, -1, 0, 1, 2};
    static const float weights[] = {0.6F, 0.4F, 0, 1, 0, 0};

    (void)state;
    assert_int_equal(request.layer, 12);
    assert_int_equal(request.rows, 2);
    assert_int_equal(request.slots, 3);
    assert_memory_equal(request.expert_ids, ids, sizeof(ids));
    assert_memory_equal(request.expert_weights, weights, sizeof(weights));
    assert_int_equal(request.returns, MOED_RETURN_OUTPUT | MOED_RETURN_ROUTING |
                                          MOED_RETURN_LOGITS | MOED_RETURN_TIMING);
    assert_int_equal(request.block, MOED_BLOCK_NORM_FFN_RESIDUAL);
    assert_int_equal(request.shared, MOED_SHARED_ONLY);
    assert_int_equal(request.on_missing, MOED_MISSING_SKIP);
    assert_int_equal(request.output_dtype, MOED_F16);
    assert_int_equal(request.encoding, MOED_ENCODING_BASE64);
    assert_int_equal(request.deadline_ms, 50);
    moed_request_fini(&request);
}

static void test_limits_are_reached(void **state)
{
    struct moed_request request = parse(
        "{\"hidden_states\":[[1,2,3,4],[1,2,3,4],[1,2,3,4],"
        "[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4]]}");

    (void)state;
    assert_int_equal(request.rows, limits.max_rows);
    moed_request_fini(&request);
    request = parse(
        "{\"layer\":4294967295,\"hidden_states\":[340282346638528859811704183484516925440,"
        "2e-45,-1e38,0.0]}");
    assert_int_equal(request.layer, UINT32_MAX);
    moed_request_fini(&request);
}

/* Many rows, so that the buffer grows often, and every number is where it should be. */
static void test_large(void **state)
{
    enum { ROWS = 300, COLUMNS = 257 };
    static const struct moed_wire_limits large = {.hidden = COLUMNS, .max_rows = ROWS};
    char *body = malloc((size_t)ROWS * COLUMNS * 8 + 64), *at = body;
    struct moed_request request;
    const float *data;

    (void)state;
    at += sprintf(at, "{\"hidden_states\":");
    for (int i = 0; i < ROWS * COLUMNS; i++)
        at += sprintf(at, "%s%d", i == 0 ? "[[" : i % COLUMNS == 0 ? "],[" : ",", i);
    sprintf(at, "]]}");
    request = parse_within(body, &large);
    data = request.data;
    for (int i = 0; i < ROWS * COLUMNS; i++)
        assert_true(data[i] == (float)i);
    moed_request_fini(&request);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_spaces_and_order),
        cmocka_unit_test(test_flat_row),
        cmocka_unit_test(test_zero_rows),
        cmocka_unit_test(test_hidden_size_of_the_rows),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_limits_are_reached),
        cmocka_unit_test(test_large),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
