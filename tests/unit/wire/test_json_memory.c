/* JSON without memory, at every allocation of cJSON's: it is said to be that, and nothing else. */
#include "cmocka_all.h"

#include "src/wire/json_memory.h"
#include "src/wire/wire.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static int left; /* allocations that succeed; below 0: all do */

static void *allocate(size_t size)
{
    if (left == 0)
        return NULL;
    left--;
    return malloc(size);
}

static int setup(void **state)
{
    (void)state;
    json_memory_use(allocate);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    left = -1;
    cJSON_InitHooks(NULL);
    return 0;
}

static int parse_with(int allocations)
{
    static const struct moed_wire_limits limits = {.hidden = 2, .max_rows = 8, .max_slots = 3};
    char body[] =
        "{\"l\\u0061yer\": 1, \"block\": \"n\\u006frm_ffn\", \"return\": [\"output\"],"
        " \"hidden_states\": {\"dtype\": \"f32\", \"shape\": [1, 2],"
        " \"data\": \"AACAPwAAgD\\u0038=\"}}";
    struct moed_error err = {0};
    struct moed_request request;
    int rc;

    left = allocations;
    rc = moed_wire_parse_json(body, strlen(body), &limits, &request, &err);
    if (rc == 0)
        moed_request_fini(&request);
    else if (rc != MOED_E_NO_MEMORY)
        fail_msg("after %d allocations: %s", allocations, err.message);
    return rc;
}

static void every_allocation(void **state)
{
    int n = 0;

    (void)state;
    while (parse_with(n) != 0)
        n++;
    assert_in_range(n, 5, 100);
}

static void asked_once(void **state)
{
    (void)state;
    left = 0;
    assert_null(cJSON_CreateObject());
    assert_true(moed_wire_ran_out());
    assert_false(moed_wire_ran_out());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_allocation, setup, teardown),
        cmocka_unit_test_setup_teardown(asked_once, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
