/* Raw bodies: parameters, shapes from lengths, and what is refused. */
#include "cmocka_all.h"

#include "src/wire/wire.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { H = 4 };
static const struct moed_wire_limits limits = {.hidden = H, .max_rows = 3, .max_slots = 2};

/* "dtype=f16&k=2" */
static int set_params(struct moed_raw_params *params, const char *query, struct moed_error *err)
{
    char copy[256], *rest = NULL;
    int status = 0;

    moed_raw_params_init(params);
    snprintf(copy, sizeof(copy), "%s", query);
    for (char *name = strtok_r(copy, "&", &rest); name != NULL && status == 0;
         name = strtok_r(NULL, "&", &rest)) {
        char *value = strchr(name, '=');

        *value++ = '\0';
        status = moed_raw_param(params, name, value, err);
    }
    return status;
}

/* `body` from its first byte on, at an odd address and with nothing behind it. */
static int parse(const char *query, const void *body, size_t size, struct moed_request *out,
                 struct moed_error *err)
{
    static char *kept;
    struct moed_raw_params params;
    int status = set_params(&params, query, err);

    free(kept); /* rows are borrowed: the copy lives until the next call */
    kept = malloc(size + 1);
    memcpy(kept + 1, body, size);
    if (status == 0)
        status = moed_wire_parse_raw(kept + 1, size, &limits, &params, out, err);
    if (size == 0 && status != 0) {
        free(kept);
        kept = NULL;
    }
    return status;
}

static void test_rows(void **state)
{
    static const float rows[2 * H] = {1, 2, 3, 4, -5, 6e-45F, 7, 3e38F};
    struct moed_error err = {0};
    struct moed_request request = {0};

    (void)state;
    assert_int_equal(parse("", rows, sizeof(rows), &request, &err), 0);
    assert_int_equal(request.rows, 2);
    assert_int_equal(request.hidden, H);
    assert_int_equal(request.dtype, MOED_F32);
    assert_int_equal(request.output_dtype, MOED_F32);
    assert_int_equal(request.encoding, MOED_ENCODING_RAW);
    assert_int_equal(request.returns, MOED_RETURN_OUTPUT);
    assert_false(request.has_layer);
    assert_false(request.routed);
    assert_null(request.owned);
    assert_memory_equal(request.data, rows, sizeof(rows));
    moed_request_fini(&request);
}

static void test_every_parameter(void **state)
{
    struct {
        uint16_t rows[2 * H];
        int32_t ids[4];
        float weights[4];
    } body = {{1, 2, 3, 4, 5, 6, 7, 8}, {3, 17, -1, 0}, {0.5F, 0.25F, 0, 1}};
    struct moed_error err = {0};
    struct moed_request request = {0};

    (void)state;
    assert_int_equal(parse("k=2&routing=topk&layer=12&dtype=bf16&out_dtype=f32&block=norm_ffn&"
                           "shared_experts=exclude&on_missing_expert=skip&"
                           "return=output,routing,timing&deadline_ms=1500",
                           &body, sizeof(body), &request, &err),
                     0);
    assert_true(request.has_layer);
    assert_int_equal(request.layer, 12);
    assert_int_equal(request.rows, 2);
    assert_int_equal(request.dtype, MOED_BF16);
    assert_int_equal(request.output_dtype, MOED_F32);
    assert_int_equal(request.block, MOED_BLOCK_NORM_FFN);
    assert_int_equal(request.shared, MOED_SHARED_EXCLUDE);
    assert_int_equal(request.deadline_ms, 1500);
    assert_int_equal(request.on_missing, MOED_MISSING_SKIP);
    assert_int_equal(request.returns,
                     MOED_RETURN_OUTPUT | MOED_RETURN_ROUTING | MOED_RETURN_TIMING);
    assert_true(request.routed);
    assert_int_equal(request.slots, 2);
    assert_memory_equal(request.data, body.rows, sizeof(body.rows));
    assert_memory_equal(request.expert_ids, body.ids, sizeof(body.ids));
    assert_memory_equal(request.expert_weights, body.weights, sizeof(body.weights));
    moed_request_fini(&request);
}

static void test_defaults_follow_dtype(void **state)
{
    struct moed_error err = {0};
    struct moed_request request = {0};

    (void)state;
    assert_int_equal(parse("dtype=f16", "", 0, &request, &err), 0);
    assert_int_equal(request.rows, 0);
    assert_int_equal(request.hidden, H);
    assert_int_equal(request.output_dtype, MOED_F16);
    moed_request_fini(&request);
    assert_int_equal(parse("routing=topk&k=1", "", 0, &request, &err), 0);
    assert_true(request.routed);
    assert_int_equal(request.rows, 0);
    moed_request_fini(&request);
    assert_int_equal(parse("routing=server", "", 0, &request, &err), 0);
    assert_false(request.routed);
    moed_request_fini(&request);
}

static const struct bad_raw {
    const char *query;
    size_t size;
    int code;
    const char *words[3];
} bodies[] = {
    {"rows=1", 16, MOED_E_MALFORMED, {"parameter is \"rows\"", "layer, dtype", "return"}},
    {"dtype=f64", 16, MOED_E_MALFORMED, {"dtype is \"f64\"", "f32, f16, bf16"}},
    {"dtype=", 16, MOED_E_MALFORMED, {"dtype is \"\""}},
    {"out_dtype=F32", 16, MOED_E_MALFORMED, {"out_dtype is \"F32\""}},
    {"layer=-1", 16, MOED_E_MALFORMED, {"layer is \"-1\"", "integer from 0"}},
    {"layer=", 16, MOED_E_MALFORMED, {"layer is \"\""}},
    {"layer=1x", 16, MOED_E_MALFORMED, {"layer is \"1x\""}},
    {"layer=4294967296", 16, MOED_E_MALFORMED, {"4294967296"}},
    {"layer=99999999999999999999999", 16, MOED_E_MALFORMED, {"9999"}},
    {"layer=1&layer=1", 16, MOED_E_MALFORMED, {"layer is given twice"}},
    {"k=0", 16, MOED_E_MALFORMED, {"k is \"0\"", "integer from 1"}},
    {"k=2", 16, MOED_E_MALFORMED, {"k is 2", "routing=topk"}},
    {"routing=topk", 16, MOED_E_MALFORMED, {"k is missing"}},
    {"routing=all", 16, MOED_E_MALFORMED, {"\"all\"", "server, topk"}},
    {"routing=topk&k=3", 40, MOED_E_SHAPE, {"k is 3", "at most 2"}},
    {"block=moe", 16, MOED_E_MALFORMED, {"block is \"moe\"", "ffn, norm_ffn"}},
    {"on_missing_expert=no", 16, MOED_E_MALFORMED, {"\"no\"", "error, skip"}},
    {"shared_experts=no", 16, MOED_E_MALFORMED, {"\"no\"", "include, exclude, only"}},
    {"deadline_ms=0", 16, MOED_E_MALFORMED, {"deadline_ms is \"0\"", "integer from 1"}},
    {"deadline_ms=1.5", 16, MOED_E_MALFORMED, {"deadline_ms is \"1.5\""}},
    {"return=", 16, MOED_E_MALFORMED, {"return is \"\""}},
    {"return=output,", 16, MOED_E_MALFORMED, {"return is \"\""}},
    {"return=output,all", 16, MOED_E_MALFORMED, {"return is \"all\""}},
    {"return=outputoutputoutputoutputoutputoutput", 16, MOED_E_MALFORMED, {"return is \"output"}},
    {"", 15, MOED_E_SHAPE, {"15 bytes", "multiple of 16", "4 f32"}},
    {"", 1, MOED_E_SHAPE, {"1 bytes"}},
    {"dtype=f16", 12, MOED_E_SHAPE, {"12 bytes", "multiple of 8", "4 f16"}},
    {"routing=topk&k=2", 48, MOED_E_SHAPE, {"48 bytes", "multiple of 32", "2 expert ids"}},
    {"", 64, MOED_E_TOO_LARGE, {"4 rows", "limit is 3"}},
};

static void test_refused(void **state)
{
    static const char zeros[64];

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(bodies); i++) {
        const struct bad_raw *bad = &bodies[i];
        struct moed_error err = {0};
        struct moed_request request = {0};
        const int code = parse(bad->query, zeros, bad->size, &request, &err);

        if (code != bad->code)
            fail_msg("%s, %zu bytes: returned %d: %s", bad->query, bad->size, code, err.message);
        for (size_t w = 0; w < MOED_ARRAY_LEN(bad->words) && bad->words[w] != NULL; w++)
            if (strstr(err.message, bad->words[w]) == NULL)
                fail_msg("%s says \"%s\", expected \"%s\"", bad->query, err.message, bad->words[w]);
    }
}

static void refuse_value(const char *query, const void *body, size_t size, const char *place)
{
    struct moed_error err = {0};
    struct moed_request request = {0};

    assert_int_equal(parse(query, body, size, &request, &err), MOED_E_NOT_FINITE);
    if (strstr(err.message, place) == NULL)
        fail_msg("\"%s\" does not name %s", err.message, place);
}

static void test_not_finite(void **state)
{
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    const uint16_t f16[] = {0, 0x7bff, 0xfc00, 0}, bf16[] = {0x7f7f, 0, 0, 0x7f81};
    struct {
        float rows[H];
        int32_t id;
        float weight;
    } routed = {{1, 2, 3, 4}, 1, NAN};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(bad); i++) {
        const float rows[2 * H] = {1, 2, 3, 4, 5, bad[i], 7, 8};

        refuse_value("", rows, sizeof(rows), "row 1, column 1");
    }
    refuse_value("dtype=f16", f16, sizeof(f16), "row 0, column 2");
    refuse_value("dtype=bf16", bf16, sizeof(bf16), "row 0, column 3");
    refuse_value("routing=topk&k=1", &routed, sizeof(routed), "weights: row 0, column 0");
}

static void test_no_hidden_size(void **state)
{
    static const struct moed_wire_limits none = {.hidden = 0, .max_rows = 1};
    struct moed_raw_params params;
    struct moed_error err = {0};
    struct moed_request request = {0};

    (void)state;
    moed_raw_params_init(&params);
    assert_int_equal(moed_wire_parse_raw("", 0, &none, &params, &request, &err), MOED_E_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_every_parameter),
        cmocka_unit_test(test_defaults_follow_dtype),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_no_hidden_size),
    };

    return cmocka_run_group_tests_name("raw", tests, NULL, NULL);
}
