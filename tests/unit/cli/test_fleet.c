/* Fleets from what servers say: who serves what, and every fault that there can be. */
#include "src/cli/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MOST 4

/* One server's /v1/moe/info: `layers` are written out. */
static struct fleet_server server(const char *url, const char *all, const char *isa,
                                  const char *layers)
{
    struct fleet_server out = {.url = url};
    struct moed_error err = {0};
    char json[4096];

    snprintf(json, sizeof json,
             "{\"name\":\"m\",\"architecture\":\"qwen3moe\",\"moe_layers\":[%s],\"layers\":[%s],"
             "\"backend\":{\"name\":\"cpu\",\"isa\":\"%s\",\"activations\":\"int8\","
             "\"resident_bytes\":5}}",
             all, layers, isa);
    if (fleet_read(json, &out, &err) != 0)
        fail_msg("%s", err.message);
    return out;
}

#define LAYER(n, held, print) \
    "{\"layer\":" #n ",\"experts\":8,\"experts_held\":[" held "],\"fingerprint\":\"sha:" print "\"}"

/* The report of `n` servers, which end here. */
static void check(struct fleet_server *servers, uint32_t n, uint32_t faults, const char *expected)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    assert_int_equal(fleet_report(servers, n, out), faults);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
    for (uint32_t i = 0; i < n; i++)
        fleet_server_fini(&servers[i]);
}

static void replicas_of_layer_shards(void **state)
{
    struct fleet_server servers[] = {
        server("a", "0,1,3", "avx2", LAYER(0, "[0,7]", "0") "," LAYER(1, "[0,7]", "1")),
        server("b", "0,1,3", "avx2", LAYER(3, "[0,7]", "3")),
        server("c", "0,1,3", "avx512", LAYER(3, "[0,7]", "3")),
    };

    (void)state;
    check(servers, 3, 0,
          "layers 0-1\n"
          "  all 8 experts: a\n"
          "layer 3\n"
          "  all 8 experts: b, c\n"
          "  note: these compute in different ways: answers may differ by rounding\n");
}

static void parts_of_experts(void **state)
{
    struct fleet_server servers[] = {
        server("a", "2", "avx2", LAYER(2, "[0,3]", "x")),
        server("b", "2", "avx2", LAYER(2, "[4,5],[7,7]", "x")),
        server("c", "2", "avx2", LAYER(2, "[6,6]", "x")),
        server("d", "2", "avx2", LAYER(2, "[0,3]", "x")),
    };

    (void)state;
    check(servers, 4, 0,
          "layer 2\n"
          "  experts 0-3: a, d\n"
          "  experts 4-5, 7: b\n"
          "  experts 6: c\n");
}

static void gaps(void **state)
{
    struct fleet_server servers[] = {
        server("a", "0,1,2,3", "avx2", LAYER(0, "[1,3]", "x")),
        server("b", "0,1,2,3", "avx2", LAYER(0, "[5,5]", "x") "," LAYER(3, "[0,7]", "y")),
    };

    (void)state;
    check(servers, 2, 2,
          "layer 0\n"
          "  experts 1-3: a\n"
          "  experts 5: b\n"
          "  FAULT: nobody serves experts 0, 4, 6-7\n"
          "layers 1-2\n"
          "  FAULT: nobody serves it\n"
          "layer 3\n"
          "  all 8 experts: b\n");
}

static void mismatches(void **state)
{
    struct fleet_server weights[] = {
        server("a", "0", "avx2", LAYER(0, "[0,7]", "x")),
        server("b", "0", "avx2", LAYER(0, "[0,7]", "y")),
    };
    struct fleet_server parts[] = {
        server("a", "0", "avx2", LAYER(0, "[0,4]", "x")),
        server("b", "0", "avx2", LAYER(0, "[4,7]", "x")),
    };
    struct fleet_server models[] = {
        server("a", "0", "avx2", LAYER(0, "[0,7]", "x")),
        server("b", "0,1", "avx2", LAYER(0, "[0,7]", "x")),
    };

    (void)state;
    check(weights, 2, 1,
          "layer 0\n"
          "  all 8 experts: a, b\n"
          "  FAULT: different weights: a, b\n");
    check(parts, 2, 1,
          "layer 0\n"
          "  experts 0-4: a\n"
          "  FAULT: parts that overlap, so that sums count experts twice: a, b\n"
          "  experts 4-7: b\n");
    check(models, 2, 1,
          "FAULT: different models: a has qwen3moe with 1 MoE layers, b has qwen3moe with 2\n"
          "layer 0\n"
          "  all 8 experts: a, b\n");
}

static void answers_that_are_none(void **state)
{
    static const char *const bodies[] = {
        "",
        "[]",
        "nonsense",
        "{}",
        "{\"name\":\"m\",\"architecture\":\"x\",\"moe_layers\":[0],\"layers\":[]}",
        "{\"name\":\"m\",\"architecture\":\"x\",\"moe_layers\":[-1],\"layers\":[],\"backend\":"
        "{\"name\":\"cpu\",\"isa\":\"y\",\"activations\":\"f32\"}}",
        "{\"name\":\"m\",\"architecture\":\"x\",\"moe_layers\":[0],\"layers\":[{\"layer\":0}],"
        "\"backend\":{\"name\":\"cpu\",\"isa\":\"y\",\"activations\":\"f32\"}}",
        "{\"name\":\"m\",\"architecture\":\"x\",\"moe_layers\":[0],\"layers\":["
        "{\"layer\":0,\"experts\":8,\"experts_held\":[[0,8]],\"fingerprint\":\"z\"}],"
        "\"backend\":{\"name\":\"cpu\",\"isa\":\"y\",\"activations\":\"f32\"}}",
        "{\"name\":\"m\",\"architecture\":\"x\",\"moe_layers\":[0],\"layers\":["
        "{\"layer\":0,\"experts\":4097,\"experts_held\":[[0,8]],\"fingerprint\":\"z\"}],"
        "\"backend\":{\"name\":\"cpu\",\"isa\":\"y\",\"activations\":\"f32\"}}",
    };

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(bodies); i++) {
        struct fleet_server out = {.url = "http://a"};
        struct moed_error err = {0};

        assert_int_equal(fleet_read(bodies[i], &out, &err), MOED_E_MALFORMED);
        assert_non_null(strstr(err.message, "http://a: /v1/moe/info"));
        fleet_server_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_of_layer_shards),
        cmocka_unit_test(parts_of_experts),
        cmocka_unit_test(gaps),
        cmocka_unit_test(mismatches),
        cmocka_unit_test(answers_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
