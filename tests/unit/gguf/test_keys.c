/* Reading keys: which types fit which getter, and what is said where none does. */
#include "build.h"
#include "check.h"

#include <stdlib.h>

static struct moed_gguf *gguf; /* of the keys below, for all tests */

static void add_integers(struct build *b)
{
    static const struct {
        const char *name;
        uint32_t type;
        size_t size;
    } integers[] = {
        {"u8", MOED_GGUF_U8, 1},   {"u16", MOED_GGUF_U16, 2}, {"u32", MOED_GGUF_U32, 4},
        {"u64", MOED_GGUF_U64, 8}, {"i8", MOED_GGUF_I8, 1},   {"i16", MOED_GGUF_I16, 2},
        {"i32", MOED_GGUF_I32, 4}, {"i64", MOED_GGUF_I64, 8},
    };

    for (size_t i = 0; i < MOED_ARRAY_LEN(integers); i++) {
        char name[16] = {0};

        build_key(b, integers[i].name, integers[i].type);
        build_integer(b, 0x7f, integers[i].size);
        name[0] = 'm'; /* all bits set: the most, or -1 */
        memcpy(name + 1, integers[i].name, strlen(integers[i].name));
        build_key(b, name, integers[i].type);
        build_integer(b, UINT64_MAX, integers[i].size);
    }
}

/* What no converter writes, and what is no reason to refuse a file. */
static void add_oddities(struct build *b)
{
    build_key_string(b, "escape", "\x1b[31m\xff");
    build_key(b, "two", MOED_GGUF_BOOL);
    build_bytes(b, "\2", 1);
    build_array(b, "odd", MOED_GGUF_BOOL, 2);
    build_bytes(b, "\1\xff", 2);
    build_array(b, "nested", MOED_GGUF_ARRAY, 2);
    build_u32(b, MOED_GGUF_U16);
    build_u64(b, 3);
    build_zeros(b, 6);
    build_u32(b, MOED_GGUF_ARRAY);
    build_u64(b, 1);
    build_u32(b, MOED_GGUF_STRING);
    build_u64(b, 1);
    build_string(b, "inner");
    build_key_string(b, "last", "behind it");
}

static int open_keys(void **state)
{
    struct build b = {0};
    const float f32 = 0.1F;
    const double f64 = -1e300;

    (void)state;
    build_head(&b, 3, 0, 16 + 10 + 5);
    add_integers(&b);
    build_key(&b, "f32", MOED_GGUF_F32);
    build_bytes(&b, &f32, sizeof(f32));
    build_key(&b, "f64", MOED_GGUF_F64);
    build_bytes(&b, &f64, sizeof(f64));
    build_key(&b, "true", MOED_GGUF_BOOL);
    build_integer(&b, 1, 1);
    build_key(&b, "false", MOED_GGUF_BOOL);
    build_integer(&b, 0, 1);
    build_key_string(&b, "string", "text \xc3\xa9\n");
    build_key_string(&b, "empty", "");
    build_key(&b, "nul", MOED_GGUF_STRING);
    build_u64(&b, 3);
    build_bytes(&b, "a\0b", 3);
    build_array(&b, "i16s", MOED_GGUF_I16, 3);
    build_integer(&b, 5, 2);
    build_integer(&b, UINT64_MAX, 2);
    build_integer(&b, 7, 2);
    build_array(&b, "bools", MOED_GGUF_BOOL, 2);
    build_integer(&b, 0x0001, 2);
    build_array(&b, "strings", MOED_GGUF_STRING, 1);
    build_string(&b, "one");
    add_oddities(&b);
    const int rc = build_open(&b, &gguf, NULL, NULL);
    build_free(&b);
    return rc;
}

static int close_keys(void **state)
{
    (void)state;
    moed_gguf_close(gguf);
    return 0;
}

static void integers_of_any_width(void **state)
{
    static const char *const names[] = {"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"};
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(names); i++) {
        value = 0;
        assert_int_equal(moed_gguf_get_u64(gguf, names[i], &value, NULL), MOED_OK);
        assert_int_equal(value, 0x7f);
    }
    assert_int_equal(moed_gguf_get_u64(gguf, "mu16", &value, NULL), MOED_OK);
    assert_int_equal(value, UINT16_MAX);
    assert_int_equal(moed_gguf_get_u64(gguf, "mu64", &value, NULL), MOED_OK);
    assert_true(value == UINT64_MAX);
}

static void negative_integers_do_not_fit(void **state)
{
    static const char *const names[] = {"mi8", "mi16", "mi32", "mi64"};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(names); i++) {
        uint64_t value = 42;
        struct moed_error err = {0};

        assert_int_equal(moed_gguf_get_u64(gguf, names[i], &value, &err), MOED_E_BAD_FILE);
        assert_int_equal(value, 42);
        check_words(err.message, (const char *const[MAX_WORDS]){"/proc/self/fd/", names[i],
                                                                "found -1", "expected"});
    }
}

static void absent_keys_leave_all_alone(void **state)
{
    struct moed_error err = {.code = 42};
    uint64_t integer = 42;
    double real = 42;
    bool flag = true;
    char *text = NULL;

    (void)state;
    assert_int_equal(moed_gguf_get_u64(gguf, "absent", &integer, &err), MOED_E_NOT_FOUND);
    assert_int_equal(moed_gguf_get_f64(gguf, "absent", &real, &err), MOED_E_NOT_FOUND);
    assert_int_equal(moed_gguf_get_bool(gguf, "absent", &flag, &err), MOED_E_NOT_FOUND);
    assert_int_equal(moed_gguf_copy_string(gguf, "absent", &text, &err), MOED_E_NOT_FOUND);
    assert_int_equal(moed_gguf_get_length(gguf, "absent", &integer, &err), MOED_E_NOT_FOUND);
    assert_int_equal(moed_gguf_get_element(gguf, "absent", 0, &real, &err), MOED_E_NOT_FOUND);
    assert_false(moed_gguf_is_array(gguf, "absent"));
    assert_int_equal(integer, 42);
    assert_true(real == 42 && flag);
    assert_null(text);
    assert_int_equal(err.code, 42);
    assert_string_equal(err.message, "");
}

static void text_is(const char *key, const char *expected)
{
    char *text;

    assert_int_equal(moed_gguf_copy_string(gguf, key, &text, NULL), MOED_OK);
    assert_string_equal(text, expected);
    free(text);
}

static void floats_bools_and_strings(void **state)
{
    double real;
    bool flag;

    (void)state;
    assert_int_equal(moed_gguf_get_f64(gguf, "f32", &real, NULL), MOED_OK);
    assert_true(real == (double)0.1F);
    assert_int_equal(moed_gguf_get_f64(gguf, "f64", &real, NULL), MOED_OK);
    assert_true(real == -1e300);
    assert_int_equal(moed_gguf_get_bool(gguf, "true", &flag, NULL), MOED_OK);
    assert_true(flag);
    assert_int_equal(moed_gguf_get_bool(gguf, "false", &flag, NULL), MOED_OK);
    assert_false(flag);
    text_is("string", "text \xc3\xa9 ");
    text_is("empty", "");
}

/* Each getter against each type that it does not take. */
static void nothing_else_converts(void **state)
{
    static const char *const names[] = {"f32", "true", "string", "u32", "i16s"};
    static const char *const types[] = {"f32", "bool", "string", "u32", "array of i16"};

    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(names); i++) {
        const char *const words[MAX_WORDS] = {"/proc/self/fd/", names[i], "found", types[i]};
        struct moed_error err;
        uint64_t integer;
        double real;
        bool flag;
        char *text;

        if (strcmp(names[i], "u32") != 0) {
            assert_int_equal(moed_gguf_get_u64(gguf, names[i], &integer, &err), MOED_E_BAD_FILE);
            check_words(err.message, words);
        }
        if (strcmp(names[i], "f32") != 0) {
            assert_int_equal(moed_gguf_get_f64(gguf, names[i], &real, &err), MOED_E_BAD_FILE);
            check_words(err.message, words);
        }
        if (strcmp(names[i], "true") != 0) {
            assert_int_equal(moed_gguf_get_bool(gguf, names[i], &flag, &err), MOED_E_BAD_FILE);
            check_words(err.message, words);
        }
        if (strcmp(names[i], "string") != 0) {
            assert_int_equal(moed_gguf_copy_string(gguf, names[i], &text, &err), MOED_E_BAD_FILE);
            check_words(err.message, words);
        }
        if (strcmp(names[i], "i16s") != 0) {
            assert_int_equal(moed_gguf_get_length(gguf, names[i], &integer, &err), MOED_E_BAD_FILE);
            check_words(err.message, words);
            assert_int_equal(moed_gguf_get_element(gguf, names[i], 0, &real, &err),
                             MOED_E_BAD_FILE);
            check_words(err.message, words);
        }
    }
}

/* Whatever the file has there, whoever shows it shows text. */
static void strings_are_read_as_text(void **state)
{
    (void)state;
    text_is("nul",
            "a\xef\xbf\xbd"
            "b");
    text_is("escape", "\xef\xbf\xbd[31m\xef\xbf\xbd");
}

/* A key is held to its form by who reads it. */
static void bools_are_0_or_1(void **state)
{
    struct moed_error err = {0};
    double value;
    bool flag;

    (void)state;
    assert_int_equal(moed_gguf_get_bool(gguf, "two", &flag, &err), MOED_E_BAD_FILE);
    check_words(err.message, (const char *const[MAX_WORDS]){"'two'", "bool of 2", "0 or 1"});
    assert_int_equal(moed_gguf_get_element(gguf, "odd", 0, &value, NULL), MOED_OK);
    assert_int_equal(moed_gguf_get_element(gguf, "odd", 1, &value, &err), MOED_E_BAD_FILE);
    check_words(err.message, (const char *const[MAX_WORDS]){"'odd'", "bool of 255", "0 or 1"});
}

/* Nobody here needs one, and what follows it is found all the same. */
static void arrays_of_arrays_are_stepped_over(void **state)
{
    struct moed_error err = {0};
    uint64_t length;
    double value;

    (void)state;
    assert_int_equal(moed_gguf_get_length(gguf, "nested", &length, NULL), MOED_OK);
    assert_int_equal(length, 2);
    assert_int_equal(moed_gguf_get_element(gguf, "nested", 0, &value, &err), MOED_E_BAD_FILE);
    check_words(err.message, (const char *const[MAX_WORDS]){"'nested'", "array of array"});
    text_is("last", "behind it");
}

static void elements_of_arrays(void **state)
{
    struct moed_error err = {0};
    uint64_t length;
    double value;

    (void)state;
    assert_true(moed_gguf_is_array(gguf, "i16s"));
    assert_false(moed_gguf_is_array(gguf, "u32"));
    assert_int_equal(moed_gguf_get_length(gguf, "i16s", &length, NULL), MOED_OK);
    assert_int_equal(length, 3);
    assert_int_equal(moed_gguf_get_element(gguf, "i16s", 1, &value, NULL), MOED_OK);
    assert_true(value == -1);
    assert_int_equal(moed_gguf_get_element(gguf, "i16s", 2, &value, NULL), MOED_OK);
    assert_true(value == 7);
    assert_int_equal(moed_gguf_get_element(gguf, "bools", 0, &value, NULL), MOED_OK);
    assert_true(value == 1);
    assert_int_equal(moed_gguf_get_element(gguf, "bools", 1, &value, NULL), MOED_OK);
    assert_true(value == 0);
    assert_int_equal(moed_gguf_get_length(gguf, "strings", &length, NULL), MOED_OK);
    assert_int_equal(length, 1);

    assert_int_equal(moed_gguf_get_element(gguf, "i16s", 3, &value, &err), MOED_E_BAD_FILE);
    check_words(err.message, (const char *const[MAX_WORDS]){"'i16s'", "3 values", "at least 4"});
    assert_int_equal(moed_gguf_get_element(gguf, "strings", 0, &value, &err), MOED_E_BAD_FILE);
    check_words(err.message, (const char *const[MAX_WORDS]){"'strings'", "array of string"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_any_width),
        cmocka_unit_test(negative_integers_do_not_fit),
        cmocka_unit_test(absent_keys_leave_all_alone),
        cmocka_unit_test(floats_bools_and_strings),
        cmocka_unit_test(nothing_else_converts),
        cmocka_unit_test(strings_are_read_as_text),
        cmocka_unit_test(bools_are_0_or_1),
        cmocka_unit_test(arrays_of_arrays_are_stepped_over),
        cmocka_unit_test(elements_of_arrays),
    };

    return cmocka_run_group_tests_name("gguf keys", tests, open_keys, close_keys);
}
