/* The cursor: little-endian values, and no byte past the end, whatever is asked for. */
#include "src/base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t bytes[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                                0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F};

static void test_little_endian(void **state)
{
    struct moed_cursor c = moed_cursor_init(bytes, sizeof(bytes));

    (void)state;
    assert_int_equal(moed_cursor_u8(&c), 0x01);
    assert_int_equal(moed_cursor_u16(&c), 0x0302);
    assert_int_equal(moed_cursor_u32(&c), 0x07060504);
    assert_int_equal(moed_cursor_u64(&c), 0x0F0E0D0C0B0A0908);
    assert_int_equal(moed_cursor_remaining(&c), 0);
    assert_false(c.failed);
}

static void test_floats(void **state)
{
    const uint8_t numbers[] = {0, 0, 0xC0, 0x3F, 0, 0, 0, 0, 0, 0, 0x04, 0xC0};
    struct moed_cursor c = moed_cursor_init(numbers, sizeof(numbers));

    (void)state;
    assert_true(moed_cursor_f32(&c) == 1.5F);
    assert_true(moed_cursor_f64(&c) == -2.5);
}

/* Each reader on a cursor one byte too short. */
static void test_truncation(void **state)
{
    struct moed_cursor c;

    (void)state;
    c = moed_cursor_init(bytes, 0);
    assert_int_equal(moed_cursor_u8(&c), 0);
    assert_true(c.failed);
    c = moed_cursor_init(bytes, 1);
    assert_int_equal(moed_cursor_u16(&c), 0);
    assert_true(c.failed);
    c = moed_cursor_init(bytes, 3);
    assert_int_equal(moed_cursor_u32(&c), 0);
    assert_true(c.failed);
    c = moed_cursor_init(bytes, 3);
    assert_true(moed_cursor_f32(&c) == 0.0F);
    assert_true(c.failed);
    c = moed_cursor_init(bytes, 7);
    assert_int_equal(moed_cursor_u64(&c), 0);
    assert_true(c.failed);
    c = moed_cursor_init(bytes, 7);
    assert_true(moed_cursor_f64(&c) == 0.0);
    assert_true(c.failed);
    c = moed_cursor_init(NULL, 0);
    assert_int_equal(moed_cursor_remaining(&c), 0);
    assert_null(moed_cursor_take(&c, 1));
}

/* After a failure the position stays and even what would fit is refused. */
static void test_failure_sticks(void **state)
{
    struct moed_cursor c = moed_cursor_init(bytes, 5);

    (void)state;
    assert_int_equal(moed_cursor_u8(&c), 1);
    assert_int_equal(moed_cursor_u64(&c), 0);
    assert_ptr_equal(c.at, bytes + 1);
    assert_int_equal(moed_cursor_u8(&c), 0);
    assert_ptr_equal(c.at, bytes + 1);
    assert_int_equal(moed_cursor_remaining(&c), 0);
}

static void test_take(void **state)
{
    struct moed_cursor c = moed_cursor_init(bytes, sizeof(bytes));

    (void)state;
    assert_ptr_equal(moed_cursor_take(&c, 4), bytes);
    assert_ptr_equal(moed_cursor_take(&c, 0), bytes + 4);
    assert_int_equal(moed_cursor_remaining(&c), 11);
    assert_null(moed_cursor_take(&c, UINT64_MAX));
    assert_true(c.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_little_endian), cmocka_unit_test(test_floats),
        cmocka_unit_test(test_truncation),    cmocka_unit_test(test_failure_sticks),
        cmocka_unit_test(test_take),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
