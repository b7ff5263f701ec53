/* Malformed KServe bodies: each is refused with its code and a message that names the fault. */
#include "cmocka_all.h"

#include "src/wire/kserve.h"
#include <stdlib.h>
#include <string.h>

/* Tensors: a good one, and what stands between its braces. */
#define HIDDEN       "{\"name\":\"hidden_states\",\"shape\":[1,4],\"datatype\":\"FP32\","
#define GOOD         HIDDEN "\"data\":[1,2,3,4]}"
#define BINARY(size) HIDDEN "\"parameters\":{\"binary_data_size\":" size "}}"
#define TYPED(type) \
    "{\"name\":\"hidden_states\",\"shape\":[1,4],\"datatype\":" type ",\"data\":[1,2,3,4]}"
#define SHAPED(shape) \
    "{\"name\":\"hidden_states\",\"datatype\":\"FP32\",\"data\":[],\"shape\":" shape "}"
#define DATA(data) HIDDEN "\"data\":" data "}"
#define HALVES(data) \
    "{\"name\":\"hidden_states\",\"shape\":[1,4],\"datatype\":\"FP16\",\"data\":" data "}"
#define IDS(shape, data) \
    "{\"name\":\"expert_ids\",\"shape\":" shape ",\"datatype\":\"INT32\",\"data\":" data "}"
#define WEIGHTS(shape, data) \
    "{\"name\":\"expert_weights\",\"shape\":" shape ",\"datatype\":\"FP32\",\"data\":" data "}"
#define INPUTS(inputs)  "{\"inputs\":[" inputs "]}"
#define FIELD(field)    "{\"inputs\":[" GOOD "]," field "}"
#define PARAMETER(text) FIELD("\"parameters\":{" text "}")
#define OUTPUT(text)    FIELD("\"outputs\":[{" text "}]")

static const struct bad_body {
    const char *json;
    size_t behind; /* zero bytes behind the JSON */
    int code;
    const char *words[3]; /* that the message must have */
} bodies[] = {
    /* not JSON */
    {"", 0, MOED_E_MALFORMED, {"end of the body", "an object"}},
    {"[]", 0, MOED_E_MALFORMED, {"'['", "an object"}},
    {"{", 0, MOED_E_MALFORMED, {"end of the body", "a string"}},
    {"{\"inputs\":", 0, MOED_E_MALFORMED, {"inputs is the end of the body"}},
    {"{\"inputs\":[" GOOD, 0, MOED_E_MALFORMED, {"',' or ']' after a tensor"}},
    {"{\"inputs\":[" GOOD "]", 0, MOED_E_MALFORMED, {"',' or '}'"}},
    {"{\"inputs\":[" GOOD ",]}", 0, MOED_E_MALFORMED, {"']'", "an object"}},
    {INPUTS(GOOD) "x", 0, MOED_E_MALFORMED, {"'x'", "the end of the JSON"}},
    {INPUTS(GOOD) INPUTS(GOOD), 0, MOED_E_MALFORMED, {"'{'", "the end of the JSON"}},

    /* the top level */
    {FIELD("\"id\":\"a\xff\""), 0, MOED_E_MALFORMED, {"id", "no UTF-8"}},
    {FIELD("\"id\":\"\xed\xa0\x80\""), 0, MOED_E_MALFORMED, {"id", "no UTF-8"}},
    {FIELD("\"id\":\"\xc3\""), 0, MOED_E_MALFORMED, {"id", "no UTF-8"}},
    {"{}", 0, MOED_E_MALFORMED, {"inputs is missing"}},
    {"{\"inputs\":[]}", 0, MOED_E_MALFORMED, {"hidden_states is missing"}},
    {"{\"inputs\":{}}", 0, MOED_E_MALFORMED, {"inputs is an object", "an array of tensors"}},
    {"{\"inputs\":[1]}", 0, MOED_E_MALFORMED, {"'1'", "an object"}},
    {FIELD("\"model_name\":\"x\""), 0, MOED_E_MALFORMED, {"unknown field \"model_name\""}},
    {FIELD("\"inputs\":[]"), 0, MOED_E_MALFORMED, {"inputs is given twice"}},
    {FIELD("\"id\":7"), 0, MOED_E_MALFORMED, {"id is a number", "a string"}},
    {FIELD("\"id\":\"\\x\""), 0, MOED_E_MALFORMED, {"backslash"}},
    {FIELD("\"id\":\"a\nb\""), 0, MOED_E_MALFORMED, {"control characters", "0x0a"}},

    /* a tensor */
    {INPUTS("{}"), 0, MOED_E_MALFORMED, {"inputs[0].name is missing"}},
    {INPUTS(GOOD ",{\"name\":\"x\"}"), 0, MOED_E_MALFORMED, {"inputs[].name", "hidden_states"}},
    {INPUTS("{\"name\":1}"), 0, MOED_E_MALFORMED, {"inputs[].name is a number"}},
    {INPUTS("{\"name\":\"expert_ids\"}"), 0, MOED_E_MALFORMED, {"inputs[0].shape is missing"}},
    {INPUTS(GOOD "," GOOD), 0, MOED_E_MALFORMED, {"hidden_states is given twice"}},
    {INPUTS(HIDDEN "\"contents\":[]}"), 0, MOED_E_MALFORMED, {"\"inputs[0].contents\""}},
    {INPUTS(HIDDEN "\"parameters\":{\"shared_memory_region\":\"r\"}}"),
     0,
     MOED_E_MALFORMED,
     {"unknown field", "shared_memory_region"}},
    {INPUTS(TYPED("\"FP64\"")), 0, MOED_E_MALFORMED, {"datatype is \"FP64\"", "FP32, FP16, BF16"}},
    {INPUTS(TYPED("\"fp32\"")), 0, MOED_E_MALFORMED, {"datatype is \"fp32\""}},
    {INPUTS(TYPED("\"BYTES\"")), 0, MOED_E_MALFORMED, {"datatype is \"BYTES\""}},
    {INPUTS(TYPED("32")), 0, MOED_E_MALFORMED, {"datatype is a number"}},
    {INPUTS(TYPED("\"INT32\"")), 0, MOED_E_MALFORMED, {"hidden_states.datatype is INT32", "FP16"}},
    {INPUTS(SHAPED("4")), 0, MOED_E_MALFORMED, {"inputs[0].shape is a number"}},
    {INPUTS(SHAPED("[4]")), 0, MOED_E_SHAPE, {"1 dimensions, expected 2"}},
    {INPUTS(SHAPED("[1,1,4]")), 0, MOED_E_SHAPE, {"3 dimensions, expected 2"}},
    {INPUTS(SHAPED("[-1,4]")), 0, MOED_E_MALFORMED, {"shape is -1"}},
    {INPUTS(SHAPED("[1.5,4]")), 0, MOED_E_MALFORMED, {"shape is 1.5"}},
    {INPUTS(SHAPED("[\"1\",4]")), 0, MOED_E_MALFORMED, {"shape is a string"}},
    {INPUTS(SHAPED("[1,3]")), 0, MOED_E_SHAPE, {"[1, 3]", "expected [1, 4]"}},
    {INPUTS(SHAPED("[3,4]")), 0, MOED_E_TOO_LARGE, {"3 rows", "limit is 2"}},
    {INPUTS(SHAPED("[4294967295,4294967295]")), 0, MOED_E_TOO_LARGE, {"limit is 2"}},
    {INPUTS(SHAPED("[2,4]")), 0, MOED_E_SHAPE, {"hidden_states has 0 numbers", "[2, 4] has 8"}},

    /* numbers in the JSON */
    {INPUTS(HIDDEN "\"parameters\":{}}"), 0, MOED_E_MALFORMED, {"hidden_states has none of data"}},
    {INPUTS(DATA("1")), 0, MOED_E_MALFORMED, {"hidden_states", "is a number"}},
    {INPUTS(DATA("null")), 0, MOED_E_MALFORMED, {"hidden_states", "is null"}},
    {INPUTS(DATA("[]")), 0, MOED_E_SHAPE, {"hidden_states has 0 numbers", "has 4"}},
    {INPUTS(DATA("[1,2,3]")), 0, MOED_E_SHAPE, {"hidden_states (flat)", "3 numbers, expected 4"}},
    {INPUTS(DATA("[1,2,3,4,5]")), 0, MOED_E_SHAPE, {"more than 4 numbers"}},
    {INPUTS(DATA("[[1,2],[3,4]]")), 0, MOED_E_SHAPE, {"row 0 has 2 numbers, expected 4"}},
    {INPUTS(DATA("[[1,2,3,4],[1,2,3,4]]")), 0, MOED_E_SHAPE, {"8 numbers", "[1, 4] has 4"}},
    {INPUTS(DATA("[[[1,2,3,4]]]")), 0, MOED_E_MALFORMED, {"column 0 is an array"}},
    {INPUTS(DATA("[1,2,3,\"4\"]")), 0, MOED_E_MALFORMED, {"column 3 is a string"}},
    {INPUTS(DATA("[1,2,3,NaN]")), 0, MOED_E_MALFORMED, {"column 3 is \"NaN\""}},
    {INPUTS(DATA("[1,2,3,1e39]")), 0, MOED_E_UNPROCESSABLE, {"1e39", "float32"}},
    {INPUTS(HALVES("[1,2,65520,4]")), 0, MOED_E_NOT_FINITE, {"row 0, column 2"}},

    /* bytes behind the JSON */
    {INPUTS(BINARY("16")), 15, MOED_E_SHAPE, {"15 bytes are left", "expected 16"}},
    {INPUTS(BINARY("16")), 0, MOED_E_SHAPE, {"0 bytes are left"}},
    {INPUTS(BINARY("16")), 17, MOED_E_SHAPE, {"1 bytes are left behind the inputs"}},
    {INPUTS(GOOD), 16, MOED_E_SHAPE, {"16 bytes are left behind the inputs"}},
    {INPUTS(BINARY("15")), 16, MOED_E_SHAPE, {"binary_data_size is 15, expected 16", "FP32"}},
    {INPUTS(BINARY("-1")), 16, MOED_E_MALFORMED, {"binary_data_size is -1"}},
    {INPUTS(BINARY("\"16\"")), 16, MOED_E_MALFORMED, {"binary_data_size is a string"}},
    {INPUTS(BINARY("1e300")), 16, MOED_E_MALFORMED, {"binary_data_size is 1e+300"}},
    {INPUTS(HIDDEN "\"data\":[1,2,3,4],\"parameters\":{\"binary_data_size\":16}}"),
     16,
     MOED_E_MALFORMED,
     {"both of data and parameters.binary_data_size"}},
    {INPUTS("{\"data\":[1,2,3,4],\"name\":\"hidden_states\",\"shape\":[1,4],\"datatype\":\"FP32\","
            "\"parameters\":{\"binary_data_size\":16}}"),
     16,
     MOED_E_MALFORMED,
     {"both of data and parameters.binary_data_size"}},

    /* routing */
    {INPUTS(GOOD "," IDS("[1,2]", "[0,1]")), 0, MOED_E_MALFORMED, {"found expert_ids alone"}},
    {INPUTS(WEIGHTS("[1,2]", "[0,1]") "," GOOD), 0, MOED_E_MALFORMED, {"expert_weights alone"}},
    {INPUTS(GOOD "," IDS("[2,1]", "[0,1]") "," WEIGHTS("[2,1]", "[0,1]")),
     0,
     MOED_E_SHAPE,
     {"expert_ids has 2 rows, hidden_states has 1"}},
    {INPUTS(GOOD "," IDS("[1,2]", "[0,1]") "," WEIGHTS("[1,1]", "[0]")),
     0,
     MOED_E_SHAPE,
     {"expert_weights is [1, 1], expert_ids is [1, 2]"}},
    {INPUTS(GOOD "," IDS("[1,4]", "[0,1,2,3]")), 0, MOED_E_SHAPE, {"[1, 4]", "1 to 3 columns"}},
    {INPUTS(GOOD "," IDS("[1,0]", "[]")), 0, MOED_E_SHAPE, {"[1, 0]", "1 to 3 columns"}},
    {INPUTS(GOOD "," IDS("[1,1]", "[0.5]")), 0, MOED_E_MALFORMED, {"expert_ids", "an integer"}},
    {INPUTS(GOOD "," IDS("[1,1]", "[3e9]")), 0, MOED_E_MALFORMED, {"expert_ids", "an integer"}},
    {INPUTS(GOOD "," IDS("[1,1]", "[2147483648]")), 0, MOED_E_UNPROCESSABLE, {"int32"}},
    {INPUTS(GOOD ",{\"name\":\"expert_ids\",\"shape\":[1,1],\"datatype\":\"INT64\"}"),
     0,
     MOED_E_MALFORMED,
     {"\"INT64\"", "INT32"}},
    {INPUTS(GOOD ",{\"name\":\"expert_ids\",\"shape\":[1,1],\"datatype\":\"FP32\",\"data\":[1]}"),
     0,
     MOED_E_MALFORMED,
     {"expert_ids.datatype is FP32, expected INT32"}},
    {INPUTS(GOOD
            ",{\"name\":\"expert_weights\",\"shape\":[1,1],\"datatype\":\"BF16\",\"data\":[1]}"),
     0,
     MOED_E_MALFORMED,
     {"expert_weights.datatype is BF16, expected FP32"}},

    /* parameters */
    {FIELD("\"parameters\":[]"), 0, MOED_E_MALFORMED, {"'['", "an object"}},
    {PARAMETER("\"sequence_id\":1"), 0, MOED_E_MALFORMED, {"\"parameters.sequence_id\""}},
    {PARAMETER("\"layer\":\"0\""), 0, MOED_E_MALFORMED, {"layer is a string"}},
    {PARAMETER("\"layer\":-1"), 0, MOED_E_MALFORMED, {"layer is -1"}},
    {PARAMETER("\"block\":\"attention\""), 0, MOED_E_MALFORMED, {"block", "norm_ffn"}},
    {PARAMETER("\"shared_experts\":true"), 0, MOED_E_MALFORMED, {"shared_experts is a boolean"}},
    {PARAMETER("\"output_dtype\":\"FP32\""), 0, MOED_E_MALFORMED, {"output_dtype", "bf16"}},
    {PARAMETER("\"deadline_ms\":0"), 0, MOED_E_MALFORMED, {"deadline_ms"}},
    {PARAMETER("\"timeout\":-1"), 0, MOED_E_MALFORMED, {"parameters.timeout is out of range"}},
    {PARAMETER("\"timeout\":1e17"), 0, MOED_E_MALFORMED, {"parameters.timeout is out of range"}},
    {PARAMETER("\"timeout\":\"1\""), 0, MOED_E_MALFORMED, {"parameters.timeout is a string"}},
    {PARAMETER("\"priority\":\"high\""), 0, MOED_E_MALFORMED, {"parameters.priority"}},
    {PARAMETER("\"binary_data_output\":1"), 0, MOED_E_MALFORMED, {"binary_data_output is a num"}},

    /* outputs */
    {FIELD("\"outputs\":\"output\""), 0, MOED_E_MALFORMED, {"outputs is a string"}},
    {FIELD("\"outputs\":[\"output\"]"), 0, MOED_E_MALFORMED, {"an object"}},
    {OUTPUT(""), 0, MOED_E_MALFORMED, {"outputs[0].name is missing"}},
    {OUTPUT("\"name\":\"logits\""), 0, MOED_E_MALFORMED, {"\"logits\"", "expert_weights"}},
    {OUTPUT("\"name\":\"output\"},{\"name\":\"output\""), 0, MOED_E_MALFORMED, {"given twice"}},
    {OUTPUT("\"name\":\"output\",\"data\":[]"), 0, MOED_E_MALFORMED, {"\"outputs[0].data\""}},
    {OUTPUT("\"name\":\"output\",\"parameters\":{\"binary_data\":\"yes\"}"),
     0,
     MOED_E_MALFORMED,
     {"outputs[].parameters.binary_data is a string"}},
    {OUTPUT("\"name\":\"output\",\"parameters\":{\"classification\":3}"),
     0,
     MOED_E_MALFORMED,
     {"classification"}},
};

static const struct moed_wire_limits limits = {.hidden = 4, .max_rows = 2, .max_slots = 3};

/* Refused; nothing is left to free. The copy lets a sanitizer see a read past the end. */
static void check(const void *body, size_t size, size_t json_size, const struct bad_body *bad)
{
    struct moed_kserve_body copy = {malloc(size + 1), size, json_size};
    struct moed_error err = {0};
    struct moed_request request;
    struct moed_kserve kserve;
    int code;

    assert_non_null(copy.data);
    memcpy(copy.data + 1, body, size);
    copy.data++;
    code = moed_wire_parse_kserve(&copy, &limits, &request, &kserve, &err);
    if (code != bad->code)
        fail_msg("%s\nreturned %d: %s", bad->json, code, err.message);
    for (size_t i = 0; i < MOED_ARRAY_LEN(bad->words) && bad->words[i] != NULL; i++)
        if (strstr(err.message, bad->words[i]) == NULL)
            fail_msg("%s\nsays \"%s\", expected \"%s\"", bad->json, err.message, bad->words[i]);
    assert_null(request.data);
    assert_null(request.expert_ids);
    assert_null(kserve.id);
    free(copy.data - 1);
}

static void test_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(bodies); i++) {
        const size_t json_size = strlen(bodies[i].json), size = json_size + bodies[i].behind;
        char *body = calloc(1, size + 1);
        const bool all_json = bodies[i].behind == 0;

        assert_non_null(body);
        memcpy(body, bodies[i].json, json_size);
        check(body, size, all_json ? MOED_KSERVE_NO_HEADER : json_size, &bodies[i]);
        free(body);
    }
}

static void test_header_past_the_body(void **state)
{
    const struct bad_body bad = {
        INPUTS(GOOD), 0, MOED_E_MALFORMED, {"Content-Length is", "at most"}};
    const size_t size = strlen(bad.json);

    (void)state;
    check(bad.json, size, size + 1, &bad);
    check(bad.json, size, SIZE_MAX - 1, &bad);
}

/* With bytes behind it but no header, the body is JSON and nothing else. */
static void test_bytes_without_a_header(void **state)
{
    static const char body[] = INPUTS(BINARY("16")) "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    const struct bad_body bad = {body, 0, MOED_E_SHAPE, {"0 bytes are left"}};

    (void)state;
    check(body, sizeof body, MOED_KSERVE_NO_HEADER, &bad);
}

static void test_not_finite_bytes(void **state)
{
    static const char json[] = INPUTS(BINARY("16"));
    static const uint32_t rows[4] = {0, 0x7f800000, 0, 0};
    const struct bad_body bad = {json, 0, MOED_E_NOT_FINITE, {"hidden_states", "row 0, column 1"}};
    char body[sizeof json + sizeof rows];

    (void)state;
    memcpy(body, json, sizeof json - 1);
    memcpy(body + sizeof json - 1, rows, sizeof rows);
    check(body, sizeof json - 1 + sizeof rows, sizeof json - 1, &bad);
    check(rows, sizeof rows, 0, &(struct bad_body){"rows", 0, MOED_E_NOT_FINITE, {"column 1"}});
    check(rows, 15, 0, &(struct bad_body){"rows", 0, MOED_E_SHAPE, {"15 bytes", "multiple of 16"}});
}

static void test_long_id(void **state)
{
    enum { SIZE = 4096 };
    static char json[SIZE];
    const struct bad_body bad = {json, 0, MOED_E_MALFORMED, {"id takes 2000 bytes", "1024"}};

    (void)state;
    strcpy(json, "{\"id\":\"");
    memset(json + strlen(json), 'x', 2000);
    strcat(json, "\",\"inputs\":[" GOOD "]}");
    check(json, strlen(json), MOED_KSERVE_NO_HEADER, &bad);
}

/* Whatever of a good body is missing at its end, it is refused, and nothing past it is read. */
static void test_every_truncation(void **state)
{
    static const char json[] =
        "{\"id\":\"\\u00e9\",\"inputs\":[" BINARY("16") "," IDS("[1,2]", "[[0,1]]") ",{\"data\":[0.5"
        ",1],\"name\":\"expert_weights\",\"shape\":[1,2],\"datatype\":\"FP32\"}],\"outputs\":[{\"name"
        "\":\"output\",\"parameters\":{\"binary_data\":true}}],\"parameters\":{\"timeout\":5}}";
    static char body[sizeof json + 16];
    const struct bad_body cut = {json, 0, MOED_E_MALFORMED, {NULL}};
    const struct bad_body short_of_bytes = {json, 0, MOED_E_SHAPE, {"are left behind the JSON"}};

    (void)state;
    memcpy(body, json, sizeof json - 1);
    for (size_t behind = 0; behind < 16; behind++)
        check(body, sizeof json - 1 + behind, sizeof json - 1, &short_of_bytes);
    for (size_t size = 1; size < sizeof json - 1; size++) {
        memcpy(body, json, size);
        memset(body + size, 0, 16);
        check(body, size + 16, size, &cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_header_past_the_body),
        cmocka_unit_test(test_bytes_without_a_header),
        cmocka_unit_test(test_not_finite_bytes),
        cmocka_unit_test(test_long_id),
        cmocka_unit_test(test_every_truncation),
    };

    return cmocka_run_group_tests_name("kserve_malformed", tests, NULL, NULL);
}
