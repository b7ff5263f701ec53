/* Malformed JSON bodies: each is refused with its code and a message that names the fault. */
#include "cmocka_all.h"

#include "src/wire/wire.h"
#include <stdlib.h>
#include <string.h>

/* A body around rows, and around one more field. */
#define ROWS(rows)   "{\"hidden_states\":" rows "}"
#define FIELD(field) "{\"hidden_states\":[[1,2,3,4]]," field "}"
#define TENSOR(dtype, shape, data) \
    ROWS("{\"dtype\":" dtype ",\"shape\":" shape ",\"data\":" data "}")
#define ROUTED(ids, weights) FIELD("\"routing\":{\"expert_ids\":" ids ",\"weights\":" weights "}")
#define NESTED_8             "[[[[[[[["

static const struct bad_body {
    const char *body;
    int code;
    const char *words[3]; /* that the message must have */
} bodies[] = {
    /* not JSON */
    {"", MOED_E_MALFORMED, {"end of the body", "an object"}},
    {"   ", MOED_E_MALFORMED, {"end of the body"}},
    {"[[1,2,3,4]]", MOED_E_MALFORMED, {"byte 0", "'['", "an object"}},
    {"\"text\"", MOED_E_MALFORMED, {"an object"}},
    {"{", MOED_E_MALFORMED, {"end of the body"}},
    {"\xef\xbb\xbf{}", MOED_E_MALFORMED, {"byte 0", "0xef"}},
    {ROWS("[[1,2,3,4]]") "x", MOED_E_MALFORMED, {"'x'", "end of the body"}},
    {ROWS("[[1,2,3,4]]") ROWS("[[1,2,3,4]]"), MOED_E_MALFORMED, {"'{'", "end of the body"}},
    {"{\"hidden_states\":[[1,2,3,4]]", MOED_E_MALFORMED, {"end of the body", "',' or '}'"}},
    {"{\"hidden_states\":[[1,2,3,4]],}", MOED_E_MALFORMED, {"'}'", "a string"}},
    {"{\"hidden_states\" [[1,2,3,4]]}", MOED_E_MALFORMED, {"'['", "':'"}},
    {"{hidden_states:[[1,2,3,4]]}", MOED_E_MALFORMED, {"byte 1", "'h'"}},
    {"{'hidden_states':[[1,2,3,4]]}", MOED_E_MALFORMED, {"byte 1", "'''"}},
    {"{\"hidden_states", MOED_E_MALFORMED, {"end of a string"}},
    {"{\"hidden_states\":", MOED_E_MALFORMED, {"hidden_states", "the end of the body"}},
    {FIELD("\"block\":\"f\x01\""), MOED_E_MALFORMED, {"control characters", "0x01"}},
    {FIELD("\"block\":\"\\x\""), MOED_E_MALFORMED, {"backslash", "'x'"}},
    {FIELD("\"block\":\"\\u12g4\""), MOED_E_MALFORMED, {"hexadecimal"}},
    {FIELD("\"block\":\"ffn\\u0000\""), MOED_E_MALFORMED, {"\\u0000"}},
    {FIELD("\"block\":\"\\ud800\""), MOED_E_MALFORMED, {"block", "surrogate"}},
    {FIELD("\"layer\":01"), MOED_E_MALFORMED, {"'1'", "','"}},
    {FIELD("\"layer\":+1"), MOED_E_MALFORMED, {"'+'"}},
    {FIELD("\"layer\":1."), MOED_E_MALFORMED, {"a digit"}},
    {FIELD("\"layer\":1e"), MOED_E_MALFORMED, {"a digit"}},
    {FIELD("\"layer\":tru"), MOED_E_MALFORMED, {"true, false, null"}},
    {FIELD("\"layer\":NaN"), MOED_E_MALFORMED, {"'N'"}},
    {FIELD("\"return\":[\"output\",]"), MOED_E_MALFORMED, {"']'"}},
    {FIELD("\"return\":[\"output\""), MOED_E_MALFORMED, {"'}'", "',' or ']'"}},
    {FIELD("\"return\":" NESTED_8 NESTED_8 NESTED_8), MOED_E_MALFORMED, {"deeper than 16"}},
    {FIELD("/* no */\"layer\":1"), MOED_E_MALFORMED, {"'/'", "a string"}},

    /* fields */
    {"{}", MOED_E_MALFORMED, {"hidden_states is missing"}},
    {"{\"layer\":1}", MOED_E_MALFORMED, {"hidden_states is missing"}},
    {FIELD("\"model\":\"x\""),
     MOED_E_MALFORMED,
     {"unknown field \"model\"", "expected one of hidden_states, routing, layer, "}},
    {FIELD("\"Layer\":1"), MOED_E_MALFORMED, {"unknown field \"Layer\""}},
    {FIELD("\"\":1"), MOED_E_MALFORMED, {"unknown field \"\""}},
    {FIELD("\"layer\":1,\"layer\":1"), MOED_E_MALFORMED, {"layer is given twice"}},
    {FIELD("\"hidden_states\":[]"), MOED_E_MALFORMED, {"hidden_states is given twice"}},
    {FIELD("\"layer\":-1"), MOED_E_MALFORMED, {"layer is -1", "integer from 0"}},
    {FIELD("\"layer\":1.5"), MOED_E_MALFORMED, {"layer is 1.5"}},
    {FIELD("\"layer\":4294967296"), MOED_E_MALFORMED, {"4294967295"}},
    {FIELD("\"layer\":1e999"), MOED_E_MALFORMED, {"layer is inf"}},
    {FIELD("\"layer\":\"1\""), MOED_E_MALFORMED, {"layer is a string", "an integer"}},
    {FIELD("\"layer\":null"), MOED_E_MALFORMED, {"layer is null"}},
    {FIELD("\"return\":\"output\""), MOED_E_MALFORMED, {"return is a string", "an array"}},
    {FIELD("\"return\":[]"), MOED_E_MALFORMED, {"return is empty"}},
    {FIELD("\"return\":[1]"), MOED_E_MALFORMED, {"return is a number", "a string"}},
    {FIELD("\"return\":[\"all\"]"),
     MOED_E_MALFORMED,
     {"\"all\"", "output, routing, logits, timing"}},
    {FIELD("\"block\":\"attn\""), MOED_E_MALFORMED, {"block", "\"attn\"", "norm_ffn_residual"}},
    {FIELD("\"block\":{}"), MOED_E_MALFORMED, {"block is an object"}},
    {FIELD("\"on_missing_expert\":1"), MOED_E_MALFORMED, {"on_missing_expert is a number"}},
    {FIELD("\"on_missing_expert\":\"\""), MOED_E_MALFORMED, {"expected one of error, skip"}},
    {FIELD("\"shared_experts\":true"), MOED_E_MALFORMED, {"shared_experts is a boolean"}},
    {FIELD("\"output_dtype\":\"f64\""), MOED_E_MALFORMED, {"\"f64\"", "f32, f16, bf16"}},
    {FIELD("\"encoding\":\"hex\""), MOED_E_MALFORMED, {"\"hex\"", "array, base64"}},
    {FIELD("\"deadline_ms\":0"), MOED_E_MALFORMED, {"deadline_ms is 0", "over 0"}},
    {FIELD("\"deadline_ms\":-5"), MOED_E_MALFORMED, {"deadline_ms is -5"}},
    {FIELD("\"deadline_ms\":1e300"), MOED_E_MALFORMED, {"deadline_ms is 1e+300"}},
    {FIELD("\"deadline_ms\":\"50\""), MOED_E_MALFORMED, {"deadline_ms is a string"}},

    /* rows */
    {ROWS("7"), MOED_E_MALFORMED, {"hidden_states is a number", "array of rows"}},
    {ROWS("null"), MOED_E_MALFORMED, {"hidden_states is null"}},
    {ROWS("[[1,2,3,4],[1,2,3]]"), MOED_E_SHAPE, {"row 1 has 3 numbers", "expected 4"}},
    {ROWS("[[1,2,3,4,5]]"), MOED_E_SHAPE, {"row 0 has more than 4 numbers", "expected 4"}},
    {ROWS("[[1,2,3,4],[1,2,3,4,5,6,7,x"), MOED_E_SHAPE, {"row 1 has more than 4 numbers"}},
    {ROWS("[1,2,3]"), MOED_E_SHAPE, {"row 0 has 3 numbers", "expected 4"}},
    {ROWS("[[]]"), MOED_E_SHAPE, {"row 0 has 0 numbers"}},
    {ROWS("[[1,2,3,4],5]"), MOED_E_MALFORMED, {"row 1 is a number", "an array"}},
    {ROWS("[1,[2],3,4]"), MOED_E_MALFORMED, {"row 0, column 1 is an array", "a number"}},
    {ROWS("[[1,2,3,\"4\"]]"), MOED_E_MALFORMED, {"row 0, column 3 is a string"}},
    {ROWS("[[1,2,3,4],[1,null,3,4]]"), MOED_E_MALFORMED, {"row 1, column 1", "\"null\""}},
    {ROWS("[[1,2,3,NaN]]"), MOED_E_MALFORMED, {"row 0, column 3", "\"NaN\""}},
    {ROWS("[[1,-Infinity,3,4]]"), MOED_E_MALFORMED, {"column 1", "\"-Infinity\""}},
    {ROWS("[[1,+2,3,4]]"), MOED_E_MALFORMED, {"column 1", "\"+2\""}},
    {ROWS("[[1,.2,3,4]]"), MOED_E_MALFORMED, {"column 1", "\".2\""}},
    {ROWS("[[1,2.,3,4]]"), MOED_E_MALFORMED, {"column 1", "\"2.\""}},
    {ROWS("[[1,02,3,4]]"), MOED_E_MALFORMED, {"'2'", "',' or ']'"}},
    {ROWS("[[1,0x2,3,4]]"), MOED_E_MALFORMED, {"'x'", "',' or ']'"}},
    {ROWS("[[1,2,3,4,]]"), MOED_E_MALFORMED, {"column 4", "a number"}},
    {ROWS("[[1,,3,4]]"), MOED_E_MALFORMED, {"column 1", "a number"}},
    {ROWS("[[1 2,3,4]]"), MOED_E_MALFORMED, {"'2'", "',' or ']'"}},
    {ROWS("[[1,2,3,4],]"), MOED_E_MALFORMED, {"row 1 is"}},
    {ROWS("[[1,2,3,4]"), MOED_E_MALFORMED, {"'}'", "',' or ']'"}},
    {"{\"hidden_states\":[[1,2,", MOED_E_MALFORMED, {"column 2", "the end of the body"}},
    {"{\"hidden_states\":[[1,2", MOED_E_MALFORMED, {"the end of the body"}},
    {"{\"hidden_states\":[", MOED_E_MALFORMED, {"the end of the body"}},
    {ROWS("[[1,2,1e39,4]]"), MOED_E_UNPROCESSABLE, {"row 0, column 2", "1e39", "float32"}},
    {ROWS("[[1,2,3,4],[-3.5e38,2,3,4]]"), MOED_E_UNPROCESSABLE, {"row 1, column 0", "-3.5e38"}},
    {ROWS("[[1,2,3,4],[1,2,3,4],[1,2,3,4]]"), MOED_E_TOO_LARGE, {"more than 2 rows"}},
    {ROWS(NESTED_8 NESTED_8 NESTED_8), MOED_E_MALFORMED, {"row 0, column 0 is an array"}},

    /* base64 */
    {ROWS("{}"), MOED_E_MALFORMED, {"hidden_states.dtype is missing"}},
    {ROWS("{\"dtype\":\"f32\",\"shape\":[0,4]}"), MOED_E_MALFORMED, {"hidden_states.data is miss"}},
    {ROWS("{\"type\":1}"), MOED_E_MALFORMED, {"unknown field \"hidden_states.type\""}},
    {TENSOR("\"f64\"", "[0,4]", "\"\""), MOED_E_MALFORMED, {"hidden_states.dtype", "f32, f16"}},
    {TENSOR("1", "[0,4]", "\"\""), MOED_E_MALFORMED, {"hidden_states.dtype is a number"}},
    {TENSOR("\"f32\"", "4", "\"\""), MOED_E_MALFORMED, {"hidden_states.shape is a number"}},
    {TENSOR("\"f32\"", "[4]", "\"\""), MOED_E_SHAPE, {"1 dimensions, expected 2"}},
    {TENSOR("\"f32\"", "[-1,4]", "\"\""), MOED_E_MALFORMED, {"hidden_states.shape is -1"}},
    {TENSOR("\"f32\"", "[1,4]", "[]"), MOED_E_MALFORMED, {"hidden_states.data is an array"}},
    {TENSOR("\"f32\"", "[1,4]", "\"AAA\""), MOED_E_MALFORMED, {"not base64"}},
    {TENSOR("\"f32\"", "[1,4]", "\"A A=\""), MOED_E_MALFORMED, {"not base64"}},
    {TENSOR("\"f32\"", "[1,4]", "\"\\ud800\""), MOED_E_MALFORMED, {"hidden_states.data"}},
    {TENSOR("\"f32\"", "[1,4]", "\"AAAAAAAA\""), MOED_E_SHAPE, {"6 bytes", "expected 16", "f32"}},
    {TENSOR("\"f16\"", "[1,3]", "\"AAAAAAAA\""), MOED_E_SHAPE, {"[1, 3]", "expected [1, 4]"}},
    {TENSOR("\"f16\"", "[3,4]", "\"\""), MOED_E_TOO_LARGE, {"3 rows", "limit is 2"}},
    {TENSOR("\"f16\"", "[4294967295,4294967295]", "\"\""), MOED_E_TOO_LARGE, {"limit is 2"}},
    {TENSOR("\"f16\"", "[1,4]", "\"AAAAAAB8AAA=\""), MOED_E_NOT_FINITE, {"row 0, column 2"}},
    {TENSOR("\"bf16\"", "[1,4]", "\"AAAAAAAAgP8=\""), MOED_E_NOT_FINITE, {"row 0, column 3"}},

    /* routing */
    {FIELD("\"routing\":\"topk\""), MOED_E_MALFORMED, {"routing is a string", "expert_ids"}},
    {FIELD("\"routing\":null"), MOED_E_MALFORMED, {"routing is null"}},
    {FIELD("\"routing\":{\"expert_ids\":[[1]]}"), MOED_E_MALFORMED, {"routing.weights is missing"}},
    {FIELD("\"routing\":{\"ids\":[[1]]}"),
     MOED_E_MALFORMED,
     {"unknown field \"routing.ids\", expected one of expert_ids, weights"}},
    {ROUTED("[[1,2],[3,4]]", "[[1,1],[1,1]]"), MOED_E_SHAPE, {"expert_ids has 2 rows", "has 1"}},
    {ROUTED("[[1,2]]", "[[1]]"), MOED_E_SHAPE, {"routing.weights is [1, 1]", "[1, 2]"}},
    {ROUTED("[[1,2,3,4]]", "[[1,1,1,1]]"), MOED_E_SHAPE, {"4 columns", "at most 3"}},
    {ROUTED("[[]]", "[[]]"), MOED_E_SHAPE, {"routing.expert_ids: row 0 is empty"}},
    {ROUTED("[[1.0]]", "[[1]]"), MOED_E_MALFORMED, {"column 0 is \"1.0\"", "an integer"}},
    {ROUTED("[[1e0]]", "[[1]]"), MOED_E_MALFORMED, {"an integer"}},
    {ROUTED("[[01]]", "[[1]]"), MOED_E_MALFORMED, {"'1'", "',' or ']'"}},
    {ROUTED("[[\"1\"]]", "[[1]]"), MOED_E_MALFORMED, {"is a string, expected an integer"}},
    {ROUTED("[[2147483648]]", "[[1]]"), MOED_E_UNPROCESSABLE, {"expert_ids", "int32"}},
    {ROUTED("[[-99999999999999999999]]", "[[1]]"), MOED_E_UNPROCESSABLE, {"int32"}},
    {ROUTED("[[1]]", "[[1e39]]"), MOED_E_UNPROCESSABLE, {"routing.weights: row 0, column 0"}},
};

static void check_body(const struct bad_body *bad, size_t size)
{
    static const struct moed_wire_limits limits = {.hidden = 4, .max_rows = 2, .max_slots = 3};
    char *copy = malloc(size > 0 ? size : 1); /* so that a sanitizer sees overreads */
    struct moed_error err = {0};
    struct moed_request request;
    int code;

    assert_non_null(copy);
    memcpy(copy, bad->body, size);
    code = moed_wire_parse_json(copy, size, &limits, &request, &err);
    if (code != bad->code)
        fail_msg("%s\nreturned %d: %s", bad->body, code, err.message);
    for (size_t i = 0; i < MOED_ARRAY_LEN(bad->words) && bad->words[i] != NULL; i++)
        if (strstr(err.message, bad->words[i]) == NULL)
            fail_msg("%s\nsays \"%s\", expected \"%s\"", bad->body, err.message, bad->words[i]);
    assert_null(request.data);
    assert_null(request.expert_ids);
    free(copy);
}

static void test_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(bodies); i++)
        check_body(&bodies[i], strlen(bodies[i].body));
}

static void test_nul_bytes(void **state)
{
    static const char inside[] = "{\"hidden_states\"\0:[[1,2,3,4]]}";
    static const char after[] = "{\"hidden_states\":[[1,2,3,4]]}\0";
    const struct bad_body bad_inside = {inside, MOED_E_MALFORMED, {"0x00", "':'"}};
    const struct bad_body bad_after = {after, MOED_E_MALFORMED, {"0x00", "end of the body"}};

    (void)state;
    check_body(&bad_inside, sizeof(inside) - 1);
    check_body(&bad_after, sizeof(after) - 1);
}

/* Whatever of a good body is missing at its end, it is refused, and nothing past it is read. */
static void test_every_truncation(void **state)
{
    static const char good[] =
        "{\"layer\":12,\"hidden_states\":[[0.125,-2e-3,3,4.5]],\"routing\":{\"expert_ids\":[[3,-1]]"
        ","
        "\"weights\":[[0.6,1.25e0]]},\"return\":[\"output\",\"timing\"],\"block\":\"\\u0066fn\"}";
    const struct bad_body cut = {good, MOED_E_MALFORMED, {NULL}};

    (void)state;
    for (size_t size = 0; size < sizeof(good) - 1; size++)
        check_body(&cut, size);
}

/* A deep or long value that is only skipped costs no stack and little memory. */
static void test_large_values(void **state)
{
    enum { SIZE = 1 << 20 };
    char *body = malloc(SIZE);
    struct bad_body bad = {body, MOED_E_MALFORMED, {"deeper than"}};
    const char *start = "{\"return\":";

    (void)state;
    memset(body, '[', SIZE);
    memcpy(body, start, strlen(start));
    body[SIZE - 1] = '\0';
    check_body(&bad, SIZE - 1);

    memset(body, 'x', SIZE);
    memcpy(body, "{\"block\":\"", 10);
    memcpy(body + SIZE - 3, "\"}", 3);
    bad.words[0] = "block takes";
    bad.words[1] = "at most 4096";
    check_body(&bad, SIZE - 1);

    memcpy(body, "{\"x", 3);
    memset(body + 3, 'y', SIZE - 6);
    bad.words[0] = "end of a string";
    bad.words[1] = NULL;
    check_body(&bad, SIZE - 10);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_large_values),
    };

    return cmocka_run_group_tests_name("json_malformed", tests, NULL, NULL);
}
