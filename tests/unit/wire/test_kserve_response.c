/* KServe answers: exact texts, and where the bytes stand. */
#include "cmocka_all.h"

#include "src/wire/kserve.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float output[] = {0.1F, -3, 1e-45F, 3.4028235e38F};
static const int32_t ids[] = {3, -1, INT32_MIN, INT32_MAX};
static const float weights[] = {0.6F, 0.4F, 1, 0};

static struct moed_response full(void)
{
    return (struct moed_response){.layer = 12,
                                  .rows = 2,
                                  .hidden = 2,
                                  .slots = 2,
                                  .output = output,
                                  .expert_ids = ids,
                                  .expert_weights = weights};
}

/* The JSON, and the bytes behind it. */
static void check(const struct moed_response *response, const struct moed_kserve *kserve,
                  const char *expected, const void *behind, size_t size)
{
    struct moed_kserve_body body = {0};
    struct moed_error err = {0};
    char *json;

    assert_int_equal(moed_wire_print_kserve(response, kserve, "m.layer12", &body, &err), 0);
    json = strndup(body.data, body.json_size);
    if (!moed_kserve_has_binary(kserve)) { /* JSON alone is a line */
        assert_int_equal(json[body.json_size - 1], '\n');
        json[body.json_size - 1] = '\0';
    }
    assert_string_equal(json, expected);
    assert_int_equal(body.size - body.json_size, size);
    assert_memory_equal(body.data + body.json_size, behind, size);
    free(json);
    free(body.data);
}

static void test_numbers(void **state)
{
    const struct moed_response response = full();
    char id[] = "7\\u00e9";
    const struct moed_kserve kserve = {
        id,
        3,
        {{MOED_KSERVE_OUTPUT, false}, {MOED_KSERVE_IDS, false}, {MOED_KSERVE_WEIGHTS, false}}};

    (void)state;
    check(&response, &kserve,
          "{\"id\":\"7\\u00e9\",\"model_name\":\"m.layer12\",\"model_version\":\"1\",\"outputs\":["
          "{\"name\":\"output\",\"datatype\":\"FP32\",\"shape\":[2,2],"
          "\"data\":[0.1,-3,1e-45,3.4028235e38]},"
          "{\"name\":\"expert_ids\",\"datatype\":\"INT32\",\"shape\":[2,2],"
          "\"data\":[3,-1,-2147483648,2147483647]},"
          "{\"name\":\"expert_weights\",\"datatype\":\"FP32\",\"shape\":[2,2],"
          "\"data\":[0.6,0.4,1,0]}]}",
          "", 0);
}

/* Bytes stand in the order of the outputs, numbers between them in the JSON. */
static void test_mixed(void **state)
{
    const struct moed_response response = full();
    const struct moed_kserve kserve = {
        NULL,
        3,
        {{MOED_KSERVE_WEIGHTS, true}, {MOED_KSERVE_IDS, false}, {MOED_KSERVE_OUTPUT, true}}};
    float behind[8];

    (void)state;
    memcpy(behind, weights, sizeof weights);
    memcpy(behind + 4, output, sizeof output);
    check(&response, &kserve,
          "{\"model_name\":\"m.layer12\",\"model_version\":\"1\",\"outputs\":["
          "{\"name\":\"expert_weights\",\"datatype\":\"FP32\",\"shape\":[2,2],"
          "\"parameters\":{\"binary_data_size\":16}},"
          "{\"name\":\"expert_ids\",\"datatype\":\"INT32\",\"shape\":[2,2],"
          "\"data\":[3,-1,-2147483648,2147483647]},"
          "{\"name\":\"output\",\"datatype\":\"FP32\",\"shape\":[2,2],"
          "\"parameters\":{\"binary_data_size\":16}}]}",
          behind, sizeof behind);
}

static void test_halves(void **state)
{
    static const uint16_t bits[] = {0x3f00, 0xc000};
    struct moed_response response = {.rows = 1, .hidden = 2, .dtype = MOED_BF16, .output = bits};
    struct moed_kserve kserve = {NULL, 1, {{MOED_KSERVE_OUTPUT, true}}};

    (void)state;
    check(&response, &kserve,
          "{\"model_name\":\"m.layer12\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"output\","
          "\"datatype\":\"BF16\",\"shape\":[1,2],\"parameters\":{\"binary_data_size\":4}}]}",
          bits, sizeof bits);
    kserve.outputs[0].binary = false;
    check(&response, &kserve,
          "{\"model_name\":\"m.layer12\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"output\","
          "\"datatype\":\"BF16\",\"shape\":[1,2],\"data\":[0.5,-2]}]}",
          "", 0);
}

static void test_no_rows(void **state)
{
    struct moed_response response = {.hidden = 4};
    struct moed_kserve kserve = {NULL, 2, {{MOED_KSERVE_OUTPUT, true}, {MOED_KSERVE_IDS, false}}};

    (void)state;
    check(&response, &kserve,
          "{\"model_name\":\"m.layer12\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"output\","
          "\"datatype\":\"FP32\",\"shape\":[0,4],\"parameters\":{\"binary_data_size\":0}},"
          "{\"name\":\"expert_ids\",\"datatype\":\"INT32\",\"shape\":[0,0],\"data\":[]}]}",
          "", 0);
}

/* More numbers than are converted at a time; every one reads back. */
static void test_many(void **state)
{
    enum { N = 1000 };
    static float values[N];
    const struct moed_response response = {.rows = 1, .hidden = N, .output = values};
    const struct moed_kserve kserve = {NULL, 1, {{MOED_KSERVE_OUTPUT, false}}};
    struct moed_kserve_body body = {0};
    struct moed_error err = {0};
    const char *at, *end;

    (void)state;
    for (int i = 0; i < N; i++)
        values[i] = (float)i / 7 - 50;
    assert_int_equal(moed_wire_print_kserve(&response, &kserve, "m", &body, &err), 0);
    end = body.data + body.size;
    at = memchr(memmem(body.data, body.size, "\"data\":", 7), '[', 100);
    for (int i = 0; i < N; i++) {
        float value;

        at++;
        assert_int_equal(moed_wire_read_f32(&at, end, &value), 0);
        assert_true(value == values[i]);
        assert_int_equal(*at, i + 1 < N ? ',' : ']');
    }
    free(body.data);
}

static void test_not_finite(void **state)
{
    static const float bad[] = {1, NAN};
    const struct moed_response response = {.rows = 1, .hidden = 2, .output = bad};
    struct moed_kserve kserve = {NULL, 1, {{MOED_KSERVE_OUTPUT, false}}};
    struct moed_kserve_body body = {0};
    struct moed_error err = {0};

    (void)state;
    assert_int_equal(moed_wire_print_kserve(&response, &kserve, "m", &body, &err),
                     MOED_E_NOT_FINITE);
    assert_non_null(strstr(err.message, "output: row 0, column 1"));
    assert_null(body.data);
    kserve.outputs[0].binary = true;
    assert_int_equal(moed_wire_print_kserve(&response, &kserve, "m", &body, &err), 0);
    free(body.data);
}

static void test_what_was_not_computed(void **state)
{
    struct moed_response response = full();
    const struct moed_kserve kserve = {NULL, 1, {{MOED_KSERVE_WEIGHTS, true}}};
    struct moed_kserve_body body = {0};
    struct moed_error err = {0};

    (void)state;
    response.expert_weights = NULL;
    assert_int_equal(moed_wire_print_kserve(&response, &kserve, "m", &body, &err), MOED_E_INTERNAL);
    assert_non_null(strstr(err.message, "expert_weights"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_no_rows),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_what_was_not_computed),
    };

    return cmocka_run_group_tests_name("kserve_response", tests, NULL, NULL);
}
