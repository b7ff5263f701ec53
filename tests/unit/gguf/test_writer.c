/* The writer: what it writes reads back, and no file appears unless it is whole. */
#include "build.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64], path[96];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/moed-writer-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/model.gguf", directory);
    return 0;
}

/* rmdir fails where a temporary file was left behind. */
static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static struct moed_gguf_writer *begin(void)
{
    struct moed_gguf_writer *w = NULL;

    unlink(path);
    assert_int_equal(moed_gguf_writer_create(path, &w, NULL), MOED_OK);
    return w;
}

static void declare(struct moed_gguf_writer *w, const char *name, uint64_t cols, uint64_t rows)
{
    assert_int_equal(moed_gguf_writer_tensor(w, name, moed_format_by_name("Q8_0"), 2,
                                             (const uint64_t[]){cols, rows}),
                     MOED_OK);
}

static void check_round_trip(const uint8_t data[68 + 34])
{
    struct moed_gguf *gguf;
    uint64_t u32;
    double f32;
    bool flag;
    char *text;
    uint8_t found[68];

    assert_int_equal(moed_gguf_open(path, &gguf, NULL), MOED_OK);
    assert_int_equal(moed_gguf_version(gguf), 3);
    assert_int_equal(moed_gguf_get_u64(gguf, "a.u32", &u32, NULL), MOED_OK);
    assert_int_equal(u32, 4000000000U);
    assert_int_equal(moed_gguf_get_f64(gguf, "a.f32", &f32, NULL), MOED_OK);
    assert_true(f32 == 0.25);
    assert_int_equal(moed_gguf_get_bool(gguf, "a.bool", &flag, NULL), MOED_OK);
    assert_true(flag);
    assert_int_equal(moed_gguf_copy_string(gguf, "a.string", &text, NULL), MOED_OK);
    assert_string_equal(text, "text");
    free(text);
    assert_int_equal(moed_gguf_tensor_count(gguf), 2);

    const struct moed_gguf_tensor *first = moed_gguf_find(gguf, "first");
    const struct moed_gguf_tensor *second = moed_gguf_find(gguf, "second");
    assert_int_equal(first->n_dims, 2);
    assert_int_equal(first->dims[0], 32);
    assert_int_equal(first->dims[1], 2);
    assert_string_equal(first->format->name, "Q8_0");
    assert_int_equal(first->offset % 32, 0);
    assert_int_equal(second->offset, first->offset + 96);
    assert_int_equal(moed_gguf_read(gguf, first, 0, 68, found, NULL), MOED_OK);
    assert_memory_equal(found, data, 68);
    assert_int_equal(moed_gguf_read(gguf, second, 0, 34, found, NULL), MOED_OK);
    assert_memory_equal(found, data + 68, 34);
    moed_gguf_close(gguf);
}

/* The same bytes, whatever the pieces they come in, across the border of the tensors too. */
static void round_trip(void **state)
{
    static const size_t pieces[] = {1, 7, 68, 102};
    uint8_t data[68 + 34];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i + 1);
    for (size_t p = 0; p < MOED_ARRAY_LEN(pieces); p++) {
        struct moed_gguf_writer *w = begin();

        moed_gguf_writer_u32(w, "a.u32", 4000000000U);
        moed_gguf_writer_f32(w, "a.f32", 0.25F);
        moed_gguf_writer_bool(w, "a.bool", true);
        moed_gguf_writer_string(w, "a.string", "text");
        declare(w, "first", 32, 2);
        declare(w, "second", 32, 1);
        for (size_t at = 0; at < sizeof(data); at += pieces[p]) {
            const size_t left = sizeof(data) - at;
            const size_t n = left < pieces[p] ? left : pieces[p];
            assert_int_equal(moed_gguf_writer_data(w, data + at, n, NULL), MOED_OK);
        }
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(moed_gguf_writer_finish(w, NULL), MOED_OK);
        moed_gguf_writer_destroy(w);
        check_round_trip(data);
    }
}

static void empty_and_replacing(void **state)
{
    struct moed_gguf_writer *w = begin();
    struct moed_gguf *gguf;
    struct stat st;

    (void)state;
    for (int i = 0; i < 2; i++) { /* the second time, the file is there already */
        assert_int_equal(moed_gguf_writer_finish(w, NULL), MOED_OK);
        moed_gguf_writer_destroy(w);
        assert_int_equal(moed_gguf_open(path, &gguf, NULL), MOED_OK);
        assert_int_equal(moed_gguf_tensor_count(gguf), 0);
        moed_gguf_close(gguf);
        if (i == 0)
            assert_int_equal(moed_gguf_writer_create(path, &w, NULL), MOED_OK);
    }
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
}

static void unfinished_leaves_nothing(void **state)
{
    struct moed_gguf_writer *w = begin();

    (void)state;
    declare(w, "first", 32, 1);
    assert_int_equal(moed_gguf_writer_data(w, "0123456789", 10, NULL), MOED_OK);
    moed_gguf_writer_destroy(w);
    assert_int_equal(access(path, F_OK), -1);
    moed_gguf_writer_destroy(NULL);
}

static void finish_counts_the_bytes(void **state)
{
    struct moed_gguf_writer *w = begin();
    struct moed_error err = {0};
    uint8_t data[40] = {0};

    (void)state;
    declare(w, "first", 32, 1);
    declare(w, "second", 32, 1);
    assert_int_equal(moed_gguf_writer_data(w, data, 34, &err), MOED_OK);
    assert_int_equal(moed_gguf_writer_finish(w, &err), MOED_E_USAGE);
    check_words(err.message, (const char *const[MAX_WORDS]){path, "data of 1", "that of 2"});
    moed_gguf_writer_destroy(w);
    assert_int_equal(access(path, F_OK), -1);

    w = begin();
    declare(w, "first", 32, 1);
    assert_int_equal(moed_gguf_writer_data(w, data, 40, &err), MOED_E_USAGE);
    check_words(err.message, (const char *const[MAX_WORDS]){path, "6 bytes more"});
    moed_gguf_writer_destroy(w);
}

/* Misuse is kept: whatever comes after reports the first of it. */
static void keeps_the_first_failure(void **state)
{
    static const char too_long[] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    const struct moed_format *q8_0 = moed_format_by_name("Q8_0");
    static const uint64_t cols[] = {32, 0}, part_block[] = {33}, huge[] = {1U << 31, 1U << 31, 8};
    struct moed_error err = {0};

    (void)state;
    for (int i = 0; i < 7; i++) {
        struct moed_gguf_writer *w = begin();
        const int rc = i == 0   ? moed_gguf_writer_tensor(w, too_long, q8_0, 1, cols)
                       : i == 1 ? moed_gguf_writer_tensor(w, "t", q8_0, 0, cols)
                       : i == 2 ? moed_gguf_writer_tensor(w, "t", q8_0, 5, cols)
                       : i == 3 ? moed_gguf_writer_tensor(w, "t", q8_0, 1, part_block)
                       : i == 4 ? moed_gguf_writer_tensor(w, "t", q8_0, 2, cols)
                       : i == 5 ? moed_gguf_writer_tensor(w, "t", q8_0, 3, huge)
                                : moed_gguf_writer_u32(w, "", 1);
        assert_int_equal(rc, MOED_E_USAGE);
        assert_int_equal(moed_gguf_writer_u32(w, "a.key", 1), MOED_E_USAGE);
        assert_int_equal(moed_gguf_writer_finish(w, &err), MOED_E_USAGE);
        check_words(err.message,
                    (const char *const[MAX_WORDS]){path, i == 6 ? "key ''" : "tensor"});
        moed_gguf_writer_destroy(w);
        assert_int_equal(access(path, F_OK), -1);
    }
}

static void no_declarations_after_data(void **state)
{
    struct moed_gguf_writer *w = begin();
    struct moed_error err = {0};
    uint8_t data[34] = {0};

    (void)state;
    declare(w, "first", 32, 1);
    assert_int_equal(moed_gguf_writer_data(w, data, 34, NULL), MOED_OK);
    assert_int_equal(moed_gguf_writer_bool(w, "late", true), MOED_E_USAGE);
    assert_int_equal(moed_gguf_writer_finish(w, &err), MOED_E_USAGE);
    check_words(err.message, (const char *const[MAX_WORDS]){"key 'late'", "after data"});
    moed_gguf_writer_destroy(w);
}

static void cannot_be_created(void **state)
{
    struct moed_gguf_writer *w = NULL;
    struct moed_error err = {0};

    (void)state;
    assert_int_equal(moed_gguf_writer_create("/nonexistent/m.gguf", &w, &err), MOED_E_IO);
    check_words(err.message, (const char *const[MAX_WORDS]){"/nonexistent/m.gguf", "No such file"});
    assert_null(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(empty_and_replacing),
        cmocka_unit_test(unfinished_leaves_nothing),
        cmocka_unit_test(finish_counts_the_bytes),
        cmocka_unit_test(keeps_the_first_failure),
        cmocka_unit_test(no_declarations_after_data),
        cmocka_unit_test(cannot_be_created),
    };

    return cmocka_run_group_tests_name("gguf writer", tests, make_directory, remove_directory);
}
