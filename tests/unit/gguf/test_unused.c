/* Tensors that nobody can read: the file opens, and who needs one is told what is wrong with it. */
#include "build.h"
#include "check.h"

#define DIMS(...) ((const uint64_t[]){__VA_ARGS__})

struct odd {
    uint32_t n_dims;
    const uint64_t *dims;
    uint32_t type;
    int code;
    const char *words[MAX_WORDS];
};

static const struct odd odds[] = {
    {0, NULL, TYPE_F32, MOED_E_BAD_FILE, {"'odd'", "0 dimensions", "1 to 4"}},
    {3, DIMS(32, 0, 4), TYPE_F32, MOED_E_BAD_FILE, {"'odd'", "dimension 1 of 0"}},
    {1, DIMS(32), 777, MOED_E_UNSUPPORTED, {"'odd'", "tensor type 777"}},
    {1, DIMS(32), 4, MOED_E_UNSUPPORTED, {"'odd'", "tensor type 4"}}, /* removed from the format */
    {1, DIMS(32), UINT32_MAX, MOED_E_UNSUPPORTED, {"'odd'", "4294967295"}},
    {2, DIMS(48, 2), TYPE_Q8_0, MOED_E_BAD_FILE, {"'odd'", "48", "Q8_0", "32"}},
};

/* Before a good tensor, at the very place of its data: without bytes nothing overlaps. */
static void odd_and_good(struct build *b, const struct odd *odd)
{
    build_head(b, 3, 2, 0);
    build_tensor(b, "odd", odd->n_dims, odd->dims, odd->type, 0);
    build_vector(b, "good", 8, 0);
    build_align(b, 32);
    build_bytes(b, "first of 32 bytes", 17);
    build_zeros(b, 15);
}

static void only_who_needs_one_refuses_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < MOED_ARRAY_LEN(odds); i++) {
        struct build b = {0};
        struct moed_gguf *gguf;
        struct moed_error err = {0};
        char text[17];

        odd_and_good(&b, &odds[i]);
        if (build_open(&b, &gguf, NULL, &err) != MOED_OK)
            fail_msg("%s", err.message);
        build_free(&b);
        const struct moed_gguf_tensor *odd = moed_gguf_find(gguf, "odd");
        const struct moed_gguf_tensor *good = moed_gguf_find(gguf, "good");

        assert_int_equal(moed_gguf_check(gguf, odd, &err), odds[i].code);
        check_words(err.message, odds[i].words);
        assert_non_null(strstr(err.message, "/proc/self/fd/"));
        assert_int_equal(odd->bytes, 0);
        assert_int_equal(moed_gguf_read(gguf, odd, 0, 1, text, NULL), MOED_E_INTERNAL);
        assert_int_equal(moed_gguf_check(gguf, good, NULL), MOED_OK);
        assert_int_equal(moed_gguf_read(gguf, good, 0, sizeof(text), text, NULL), MOED_OK);
        assert_memory_equal(text, "first of 32 bytes", sizeof(text));
        moed_gguf_close(gguf);
    }
}

/* Where it says to lie must still be in the file: else the header is not what it was. */
static void its_place_is_checked(void **state)
{
    struct build b = {0};
    struct moed_gguf *gguf = NULL;
    struct moed_error err = {0};

    (void)state;
    build_head(&b, 3, 1, 0);
    build_tensor(&b, "odd", 1, DIMS(32), 777, 1U << 20);
    build_zeros(&b, 64);
    assert_int_equal(build_open(&b, &gguf, NULL, &err), MOED_E_BAD_FILE);
    check_words(err.message, (const char *const[MAX_WORDS]){"'odd'", "within the file's"});
    build_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_needs_one_refuses_it),
        cmocka_unit_test(its_place_is_checked),
    };

    return cmocka_run_group_tests_name("gguf unused", tests, NULL, NULL);
}
