/* The bytes of requests, in each form. */
#include "src/load/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const float rows[2][3] = {{1, -2, 0.5F}, {0, 3, 65504}};

static struct moed_load_options options;
static struct plan plan = {.options = &options, .model = "a b/c"};

static int setup(void **state)
{
    struct moed_error err;

    (void)state;
    moed_load_options_init(&options);
    return moed_url_parse("http://h:1/p", &plan.url, &err);
}

static struct planned make(enum moed_load_format format, enum moed_dtype dtype)
{
    struct planned request = {.layer = 7, .hidden = 3, .rows = 2, .dtype = dtype, .format = format};
    struct moed_error err;

    assert_int_equal(plan_write_forward(&plan, rows[0], &request, &err), 0);
    return request;
}

/* The request begins so, and its headers end with the length of its body, which is returned. */
static const char *check_head(const struct planned *request, const char *begin, size_t *size)
{
    const char *body = memmem(request->bytes, request->size, "\r\n\r\n", 4);
    char length[64];

    assert_non_null(body);
    assert_memory_equal(request->bytes, begin, strlen(begin));
    body += 4;
    *size = request->size - (size_t)(body - request->bytes);
    snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n\r\n", *size);
    assert_memory_equal(body - strlen(length), length, strlen(length));
    return body;
}

static void test_raw(void **state)
{
    struct planned request = make(MOED_LOAD_RAW, MOED_F32);
    size_t size;
    const char *body = check_head(
        &request, "POST /p/v1/moe/layers/7/forward?dtype=f32 HTTP/1.1\r\nContent-Type: ", &size);

    (void)state;
    assert_int_equal(size, sizeof rows);
    assert_memory_equal(body, rows, sizeof rows);
    free(request.bytes);
}

static void test_half_types(void **state)
{
    static const uint8_t f16[] = {0, 0x3c, 0, 0xc0, 0, 0x38, 0, 0, 0, 0x42, 0xff, 0x7b};
    struct planned request = make(MOED_LOAD_RAW, MOED_F16);
    size_t size;
    const char *body =
        check_head(&request, "POST /p/v1/moe/layers/7/forward?dtype=f16 HTTP/1.1\r\n", &size);

    (void)state;
    assert_int_equal(size, sizeof f16);
    assert_memory_equal(body, f16, sizeof f16);
    free(request.bytes);
}

static void test_json(void **state)
{
    static const char expected[] =
        "{\"hidden_states\":[[1,-2,0.5],[0,3,65504]],\"output_dtype\":\"bf16\"}";
    struct planned request = make(MOED_LOAD_JSON, MOED_BF16);
    size_t size;
    const char *body = check_head(
        &request, "POST /p/v1/moe/layers/7/forward HTTP/1.1\r\nContent-Type: application/json\r\n",
        &size);

    (void)state;
    assert_int_equal(size, sizeof expected - 1);
    assert_memory_equal(body, expected, size);
    free(request.bytes);
}

static void test_kserve(void **state)
{
    static const char json[] =
        "{\"inputs\":[{\"name\":\"hidden_states\",\"shape\":[2,3],\"datatype\":\"FP32\","
        "\"parameters\":{\"binary_data_size\":24}}],\"parameters\":{\"binary_data_output\":true}}";
    struct planned request = make(MOED_LOAD_KSERVE, MOED_F32);
    char begin[200];
    const char *body;
    size_t size;

    (void)state;
    snprintf(begin, sizeof begin,
             "POST /p/v2/models/a-b-c.layer7/infer HTTP/1.1\r\n"
             "Inference-Header-Content-Length: %zu\r\n",
             sizeof json - 1);
    body = check_head(&request, begin, &size);
    assert_int_equal(size, sizeof json - 1 + sizeof rows);
    assert_memory_equal(body, json, sizeof json - 1);
    assert_memory_equal(body + sizeof json - 1, rows, sizeof rows);
    free(request.bytes);
}

static void test_get_and_headers(void **state)
{
    static const char expected[] = "GET /p/metrics HTTP/1.1\r\nHost: h\r\nX-A: b\r\nC: d\r\n\r\n";
    struct planned request = {0};
    struct moed_error err;

    (void)state;
    options.headers[0] = "X-A: b";
    options.headers[1] = "C: d";
    options.n_headers = 2;
    assert_int_equal(plan_write_get(&plan, "/metrics", &request, &err), 0);
    assert_int_equal(request.size, sizeof expected - 1);
    assert_memory_equal(request.bytes, expected, request.size);
    free(request.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_half_types),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_kserve),
        cmocka_unit_test_setup(test_get_and_headers, setup),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
