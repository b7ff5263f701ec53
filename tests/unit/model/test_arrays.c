/* Keys that hold one value a block, which the writer does not write: bytes made by hand. */
#include "tests/unit/gguf/build.h"

#include "recipe.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/model/keys.h"

static struct build b;

static int make(void **state)
{
    const uint32_t widths[] = {16, 0, 48};
    const float scales[] = {0.5F, 1.0F, __builtin_nanf("")};
    const double halves[] = {1.0, 2.5, -1.0};
    const uint8_t flags[] = {1, 0, 1};

    (void)state;
    build_head(&b, 3, 0, 4);
    build_array(&b, "a.widths", MOED_GGUF_U32, 3);
    build_bytes(&b, widths, sizeof(widths));
    build_array(&b, "a.scales", MOED_GGUF_F32, 3);
    build_bytes(&b, scales, sizeof(scales));
    build_array(&b, "a.halves", MOED_GGUF_F64, 3);
    build_bytes(&b, halves, sizeof(halves));
    build_array(&b, "a.flags", MOED_GGUF_BOOL, 3);
    build_bytes(&b, flags, sizeof(flags));
    build_align(&b, 32);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    build_free(&b);
    return 0;
}

static void one_value_a_block(void **state)
{
    struct model_keys keys = {.arch = "a"};
    struct moed_gguf *gguf;
    uint64_t whole;
    double value;
    bool flag;

    (void)state;
    assert_int_equal(build_open(&b, &gguf, NULL, NULL), 0);
    keys.gguf = gguf;
    assert_int_equal(model_key_u64(&keys, "widths", 2, &whole, NULL), 0);
    assert_int_equal(whole, 48);
    assert_int_equal(model_key_u64(&keys, "widths", 3, &whole, NULL), MOED_E_BAD_FILE);
    assert_int_equal(model_key_u64(&keys, "halves", 0, &whole, NULL), 0);
    assert_int_equal(model_key_u64(&keys, "halves", 1, &whole, NULL), MOED_E_BAD_FILE);
    assert_int_equal(model_key_u64(&keys, "halves", 2, &whole, NULL), MOED_E_BAD_FILE);
    assert_int_equal(model_key_f64(&keys, "scales", 0, &value, NULL), 0);
    assert_true(value == 0.5);
    assert_int_equal(model_key_f64(&keys, "scales", 2, &value, NULL), MOED_E_BAD_FILE);
    assert_int_equal(model_key_bool(&keys, "flags", 1, &flag, NULL), 0);
    assert_false(flag);
    assert_int_equal(model_key_bool(&keys, "flags", 2, &flag, NULL), 0);
    assert_true(flag);
    assert_int_equal(model_key_u64(&keys, "absent", 0, &whole, NULL), MOED_E_NOT_FOUND);
    moed_gguf_close(gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_value_a_block)};

    return cmocka_run_group_tests(tests, make, clean);
}
