/* KServe bodies: inputs as numbers and as bytes in any mix, parameters, wanted outputs. */
#include "cmocka_all.h"

#include "src/wire/kserve.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_JSON "{\"name\":\"hidden_states\",\"shape\":[2,2],\"datatype\":\"FP32\",\"data\":"

static const struct moed_wire_limits limits = {.hidden = 2, .max_rows = 4, .max_slots = 3};
static const float rows[4] = {0.5F, -2, 1e-3F, 4};

struct parsed {
    struct moed_kserve_body body;
    struct moed_request request;
    struct moed_kserve kserve;
};

/* JSON and the bytes behind it, at an odd address. */
static struct parsed parse_with(const char *json, const void *behind, size_t size)
{
    const size_t json_size = strlen(json);
    struct parsed p = {{malloc(json_size + size + 1), json_size + size, json_size}, {0}, {0}};
    struct moed_error err = {0};

    assert_non_null(p.body.data++);
    memcpy(p.body.data, json, json_size);
    memcpy(p.body.data + json_size, behind, size);
    if (moed_wire_parse_kserve(&p.body, &limits, &p.request, &p.kserve, &err) != 0)
        fail_msg("%s\n%s", json, err.message);
    return p;
}

static struct parsed parse(const char *json)
{
    return parse_with(json, "", 0);
}

static void finish(struct parsed *p)
{
    moed_request_fini(&p->request);
    moed_kserve_fini(&p->kserve);
    free(p->body.data - 1);
}

static void check_rows(const struct moed_request *request)
{
    assert_int_equal(request->rows, 2);
    assert_int_equal(request->hidden, 2);
    assert_int_equal(request->dtype, MOED_F32);
    assert_memory_equal(request->data, rows, sizeof rows);
}

static void test_numbers(void **state)
{
    static const char *const bodies[] = {
        "{\"inputs\":[" ROWS_JSON "[0.5,-2,1e-3,4]}]}",
        "{\"inputs\":[" ROWS_JSON "[[0.5,-2],[1e-3,4]]}]}",
        " {\"outputs\": [], \"inputs\" : [ " ROWS_JSON " [ 0.5, -2.0, 0.001, 4e0 ] } ] } \n",
        "{\"inputs\":[{\"data\":[0.5,-2,1e-3,4],\"datatype\":\"FP32\",\"shape\":[2,2],"
        "\"name\":\"hidden_states\"}]}",
        "{\"inputs\":[{\"name\":\"hidden_states\",\"data\":[[0.5,-2],[1e-3,4]],\"parameters\":{},"
        "\"shape\":[2,2],\"datatype\":\"FP32\"}]}",
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(bodies); i++) {
        struct parsed p = parse(bodies[i]);

        check_rows(&p.request);
        assert_false(p.request.routed);
        assert_false(p.request.has_layer);
        assert_int_equal(p.request.output_dtype, MOED_F32);
        assert_int_equal(p.request.deadline_ms, 0);
        assert_null(p.kserve.id);
        finish(&p);
    }
}

static void test_bytes_are_borrowed(void **state)
{
    struct parsed p = parse_with(
        "{\"inputs\":[{\"name\":\"hidden_states\",\"shape\":[2,2],\"datatype\":\"FP32\","
        "\"parameters\":{\"binary_data_size\":16}}]}",
        rows, sizeof rows);

    (void)state;
    check_rows(&p.request);
    assert_null(p.request.owned);
    assert_ptr_equal(p.request.data, p.body.data + p.body.json_size);
    finish(&p);
}

/* Numbers in JSON become what the client would have sent as bytes. */
static void test_halves(void **state)
{
    static const uint16_t f16[4] = {0x3800, 0xc000, 0x1419, 0x4400};
    static const uint16_t bf16[4] = {0x3f00, 0xc000, 0x3a83, 0x4080};
    static const struct {
        const char *json;
        enum moed_dtype dtype;
        const uint16_t *bits;
    } cases[] = {
        {"{\"inputs\":[{\"name\":\"hidden_states\",\"shape\":[2,2],\"datatype\":\"FP16\",\"data\":"
         "[0.5,-2,1e-3,4]}]}",
         MOED_F16, f16},
        {"{\"inputs\":[{\"data\":[[0.5,-2],[1e-3,4]],\"name\":\"hidden_states\",\"shape\":[2,2],"
         "\"datatype\":\"BF16\"}]}",
         MOED_BF16, bf16},
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        struct parsed p = parse(cases[i].json);

        assert_int_equal(p.request.dtype, cases[i].dtype);
        assert_int_equal(p.request.output_dtype, cases[i].dtype);
        assert_memory_equal(p.request.data, cases[i].bits, sizeof f16);
        finish(&p);
    }
}

/* The bytes stand in the order of the inputs, whatever tensors they are. */
static void test_routing_in_any_mix(void **state)
{
    static const struct {
        float weights[2];
        float rows[4];
        int32_t ids[2];
    } all = {{0.25F, 0.75F}, {0.5F, -2, 1e-3F, 4}, {7, -1}};
    struct parsed p = parse_with(
        "{\"inputs\":[{\"name\":\"expert_weights\",\"shape\":[2,1],\"datatype\":\"FP32\","
        "\"parameters\":{\"binary_data_size\":8}},"
        "{\"name\":\"hidden_states\",\"shape\":[2,2],\"datatype\":\"FP32\","
        "\"parameters\":{\"binary_data_size\":16}},"
        "{\"name\":\"expert_ids\",\"shape\":[2,1],\"datatype\":\"INT32\","
        "\"parameters\":{\"binary_data_size\":8}}]}",
        &all, sizeof all);

    (void)state;
    check_rows(&p.request);
    assert_true(p.request.routed);
    assert_int_equal(p.request.slots, 1);
    assert_memory_equal(p.request.expert_ids, all.ids, sizeof all.ids);
    assert_memory_equal(p.request.expert_weights, all.weights, sizeof all.weights);
    finish(&p);

    p = parse_with(
        "{\"inputs\":[{\"name\":\"expert_ids\",\"shape\":[2,1],\"datatype\":\"INT32\","
        "\"data\":[7,-1]},{\"name\":\"expert_weights\",\"shape\":[2,1],\"datatype\":\"FP32\","
        "\"parameters\":{\"binary_data_size\":8}}," ROWS_JSON "[0.5,-2,0.001,4]}]}",
        &all, sizeof all.weights);
    check_rows(&p.request);
    assert_memory_equal(p.request.expert_ids, all.ids, sizeof all.ids);
    assert_memory_equal(p.request.expert_weights, all.weights, sizeof all.weights);
    finish(&p);
}

static void test_no_rows(void **state)
{
    struct parsed p = parse(
        "{\"inputs\":[{\"name\":\"hidden_states\",\"shape\":[0,2],\"datatype\":\"FP32\","
        "\"data\":[]},{\"name\":\"expert_ids\",\"shape\":[0,2],\"datatype\":\"INT32\","
        "\"data\":[]},{\"name\":\"expert_weights\",\"shape\":[0,2],\"datatype\":\"FP32\","
        "\"parameters\":{\"binary_data_size\":0}}]}");

    (void)state;
    assert_int_equal(p.request.rows, 0);
    assert_true(p.request.routed);
    assert_int_equal(p.request.slots, 2);
    finish(&p);
}

static void test_parameters(void **state)
{
    struct parsed p = parse(
        "{\"id\":\"a\\u00e9\\\"\xc3\xa9\",\"parameters\":{\"layer\":12,\"block\":\"norm_ffn\","
        "\"shared_experts\":\"exclude\",\"on_missing_expert\":\"skip\","
        "\"output_dtype\":\"bf16\",\"deadline_ms\":7.5,"
        "\"timeout\":3000001,\"priority\":3},\"inputs\":[" ROWS_JSON "[0.5,-2,1e-3,4]}]}");

    (void)state;
    check_rows(&p.request);
    assert_string_equal(p.kserve.id, "a\\u00e9\\\"\xc3\xa9");
    assert_true(p.request.has_layer);
    assert_int_equal(p.request.layer, 12);
    assert_int_equal(p.request.block, MOED_BLOCK_NORM_FFN);
    assert_int_equal(p.request.shared, MOED_SHARED_EXCLUDE);
    assert_int_equal(p.request.on_missing, MOED_MISSING_SKIP);
    assert_int_equal(p.request.output_dtype, MOED_BF16);
    assert_int_equal(p.request.deadline_ms, 8);
    finish(&p);
}

/* Microseconds, rounded up; 0 is none; the earlier of two counts. */
static void test_timeouts(void **state)
{
    static const struct {
        const char *parameters;
        unsigned ms;
    } cases[] = {
        {"\"timeout\":1", 1},
        {"\"timeout\":2000", 2},
        {"\"timeout\":0", 0},
        {"\"timeout\":0,\"deadline_ms\":5", 5},
        {"\"timeout\":4000,\"deadline_ms\":5", 4},
        {"\"deadline_ms\":5,\"timeout\":6000", 5},
    };
    char json[256];

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(cases); i++) {
        struct parsed p;

        snprintf(json, sizeof json, "{\"parameters\":{%s},\"inputs\":[" ROWS_JSON "[1,2,3,4]}]}",
                 cases[i].parameters);
        p = parse(json);
        assert_int_equal(p.request.deadline_ms, cases[i].ms);
        finish(&p);
    }
}

static void check_outputs(const char *members, const char *expected)
{
    static const char letters[] = "oiw";
    char json[512], found[16] = "";
    struct parsed p;
    size_t n = 0;

    snprintf(json, sizeof json, "{%s,\"inputs\":[" ROWS_JSON "[1,2,3,4]}]}", members);
    p = parse(json);
    for (uint32_t i = 0; i < p.kserve.n_outputs; i++) {
        const char letter = letters[p.kserve.outputs[i].tensor];

        found[n++] = (char)(p.kserve.outputs[i].binary ? letter - 'a' + 'A' : letter);
    }
    assert_string_equal(found, expected);
    assert_int_equal(moed_kserve_has_binary(&p.kserve), strpbrk(expected, "OIW") != NULL);
    assert_int_equal((p.request.returns & MOED_RETURN_OUTPUT) != 0,
                     strpbrk(expected, "oO") != NULL);
    assert_int_equal((p.request.returns & MOED_RETURN_ROUTING) != 0,
                     strpbrk(expected, "iIwW") != NULL);
    finish(&p);
}

/* A letter an output, a capital where it is binary. */
static void test_outputs(void **state)
{
    (void)state;
    check_outputs("\"id\":\"\"", "oiw");
    check_outputs("\"outputs\":[]", "oiw");
    check_outputs("\"parameters\":{\"binary_data_output\":true}", "OIW");
    check_outputs("\"parameters\":{\"binary_data_output\":false}", "oiw");
    check_outputs("\"outputs\":[{\"name\":\"output\"}]", "o");
    check_outputs(
        "\"outputs\":[{\"name\":\"expert_weights\",\"parameters\":{\"binary_data\":true}}"
        ",{\"name\":\"output\",\"parameters\":{\"binary_data\":false}}]",
        "Wo");
    check_outputs(
        "\"outputs\":[{\"name\":\"expert_ids\"},{\"name\":\"output\",\"parameters\":{"
        "\"binary_data\":false}}],\"parameters\":{\"binary_data_output\":true}",
        "Io");
}

/* No JSON at all: rows, and everything comes back as bytes. */
static void test_rows_alone(void **state)
{
    struct moed_kserve_body body = {malloc(sizeof rows), sizeof rows, 0};
    struct moed_error err = {0};
    struct moed_request request;
    struct moed_kserve kserve;

    (void)state;
    assert_non_null(body.data);
    memcpy(body.data, rows, sizeof rows);
    assert_int_equal(moed_wire_parse_kserve(&body, &limits, &request, &kserve, &err), 0);
    check_rows(&request);
    assert_ptr_equal(request.data, body.data);
    assert_int_equal(kserve.n_outputs, 3);
    assert_true(kserve.outputs[0].binary && kserve.outputs[1].binary && kserve.outputs[2].binary);
    assert_int_equal(request.returns, MOED_RETURN_OUTPUT | MOED_RETURN_ROUTING);
    moed_request_fini(&request);
    moed_kserve_fini(&kserve);
    free(body.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),    cmocka_unit_test(test_bytes_are_borrowed),
        cmocka_unit_test(test_halves),     cmocka_unit_test(test_routing_in_any_mix),
        cmocka_unit_test(test_no_rows),    cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_timeouts),   cmocka_unit_test(test_outputs),
        cmocka_unit_test(test_rows_alone),
    };

    return cmocka_run_group_tests_name("kserve", tests, NULL, NULL);
}
