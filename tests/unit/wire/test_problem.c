/* problem+json: the members of RFC 9457, "error" beside them, and text that needs escaping. */
#include "cmocka_all.h"

#include "src/wire/wire.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static void test_exact(void **state)
{
    size_t size = 0;
    char *body = moed_wire_print_problem(
        MOED_E_QUEUE_FULL, "layer 12: 8192 rows are queued, the limit is 8192", "r-1", &size);

    (void)state;
    assert_int_equal(body[size - 1], '\n');
    body[size - 1] = '\0';
    assert_string_equal(body,
                        "{\"type\":\"about:blank\",\"title\":\"Queue full\",\"status\":429,"
                        "\"detail\":\"layer 12: 8192 rows are queued, the limit is 8192\","
                        "\"error\":\"layer 12: 8192 rows are queued, the limit is 8192\","
                        "\"code\":\"queue_full\",\"request_id\":\"r-1\"}");
    assert_int_equal(size, strlen(body) + 1); /* a newline took the place of the NUL */
    free(body);
}

static const char *member(const cJSON *body, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItem(body, name));
}

static void test_every_code(void **state)
{
    (void)state;
    for (int code = -1; code > -(int)MOED_ERROR_COUNT; code--) {
        const struct moed_error_info *info = moed_error_info(code);
        size_t size = 0;
        char *text = moed_wire_print_problem(code, "why", NULL, &size);
        cJSON *body = cJSON_ParseWithLength(text, size);

        assert_string_equal(member(body, "type"), "about:blank");
        assert_string_equal(member(body, "title"), info->title);
        assert_string_equal(member(body, "code"), info->code);
        assert_int_equal(cJSON_GetObjectItem(body, "status")->valueint, info->http);
        assert_null(cJSON_GetObjectItem(body, "request_id"));
        cJSON_Delete(body);
        free(text);
    }
}

static void test_escapes(void **state)
{
    static const char detail[] = "field \"a\\b\" is </script>\t\x01 caf\xc3\xa9";
    size_t size = 0;
    char *text = moed_wire_print_problem(MOED_E_MALFORMED, detail, "id\"\n\xff", &size);
    cJSON *body = cJSON_ParseWithLength(text, size);

    (void)state;
    assert_non_null(strstr(text, "field \\\"a\\\\b\\\" is"));
    assert_non_null(strstr(text, "\\t\\u0001"));
    assert_string_equal(member(body, "detail"), detail);
    assert_string_equal(member(body, "error"), detail);
    assert_string_equal(member(body, "request_id"), "id\"??");
    cJSON_Delete(body);
    free(text);
}

static void test_long_request_id(void **state)
{
    char id[1000];
    size_t size = 0;
    char *text;
    cJSON *body;

    (void)state;
    memset(id, 'x', sizeof(id));
    id[sizeof(id) - 1] = '\0';
    text = moed_wire_print_problem(MOED_E_INTERNAL, "why", id, &size);
    body = cJSON_ParseWithLength(text, size);
    assert_int_equal(strlen(member(body, "request_id")), 128);
    cJSON_Delete(body);
    free(text);
}

static void *no_memory(size_t size)
{
    (void)size;
    return NULL;
}

/* Without memory for the text there is still a body, as long as there is any memory at all. */
static void test_no_memory(void **state)
{
    cJSON_Hooks hooks = {.malloc_fn = no_memory, .free_fn = free};
    size_t size = 0;
    char *text;
    cJSON *body;

    (void)state;
    cJSON_InitHooks(&hooks);
    text = moed_wire_print_problem(MOED_E_SHAPE, "why", "id", &size);
    cJSON_InitHooks(NULL);
    body = cJSON_ParseWithLength(text, size);
    assert_string_equal(member(body, "code"), "out_of_memory");
    cJSON_Delete(body);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),           cmocka_unit_test(test_every_code),
        cmocka_unit_test(test_escapes),         cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_long_request_id),
    };

    return cmocka_run_group_tests_name("problem", tests, NULL, NULL);
}
