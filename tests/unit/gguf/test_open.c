/* Good files: what is in them comes out; and what can befall a file while it is open. */
#include "build.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void opens_versions(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct build b = {0};
        struct moed_gguf *gguf;
        float values[16];

        build_small(&b, version);
        assert_int_equal(build_open(&b, &gguf, NULL, NULL), MOED_OK);
        assert_int_equal(moed_gguf_version(gguf), version);
        assert_int_equal(moed_gguf_parts(gguf), 1);
        assert_non_null(moed_gguf_path(gguf, 0));
        assert_null(moed_gguf_path(gguf, 1));
        assert_int_equal(moed_gguf_tensor_count(gguf), 2);
        assert_null(moed_gguf_tensor_at(gguf, 2));
        assert_null(moed_gguf_find(gguf, "z"));

        const struct moed_gguf_tensor *x = moed_gguf_find(gguf, "x");
        assert_ptr_equal(x, moed_gguf_tensor_at(gguf, 0));
        assert_string_equal(x->format->name, "F32");
        assert_int_equal(x->n_dims, 2);
        assert_int_equal(x->dims[0], 8);
        assert_int_equal(x->dims[1], 2);
        assert_int_equal(x->dims[2], 1);
        assert_int_equal(x->bytes, 64);
        assert_int_equal(moed_gguf_find(gguf, "y")->bytes, 34);
        assert_int_equal(moed_gguf_read(gguf, x, 0, sizeof(values), values, NULL), MOED_OK);
        for (int i = 0; i < 16; i++)
            assert_true(values[i] == (float)(i + 1));
        moed_gguf_close(gguf);
        build_free(&b);
    }
}

static void every_cut_is_an_error(void **state)
{
    struct build b = {0};

    (void)state;
    build_small(&b, 3);
    for (size_t size = 0; size < b.size; size++) {
        /* A copy of exactly that size: a read past it is one that the sanitizers see. */
        struct build cut = {0};
        struct moed_gguf *gguf = NULL;
        struct moed_error err = {0};

        build_bytes(&cut, b.at, size);
        assert_int_equal(build_open(&cut, &gguf, NULL, &err), MOED_E_BAD_FILE);
        assert_null(gguf);
        assert_non_null(strstr(err.message, "expected"));
        build_free(&cut);
    }
    build_free(&b);
}

static void alignment_64_and_gaps(void **state)
{
    struct build b = {0};
    struct moed_gguf *gguf;

    (void)state;
    build_head(&b, 3, 2, 1);
    build_key_u32(&b, "general.alignment", 64);
    build_vector(&b, "second", 4, 192); /* neither in order nor without a gap */
    build_vector(&b, "first", 4, 64);
    build_align(&b, 64);
    const size_t data = b.size;
    build_zeros(&b, 64);
    build_bytes(&b, "first data 16 b.", 16);
    build_align(&b, 64);
    build_zeros(&b, 64);
    build_bytes(&b, "second data 16 b", 16);
    assert_int_equal(build_open(&b, &gguf, NULL, NULL), MOED_OK);

    char text[16];
    const struct moed_gguf_tensor *second = moed_gguf_find(gguf, "second");
    assert_int_equal(second->offset, data + 192);
    assert_int_equal(moed_gguf_read(gguf, second, 0, 16, text, NULL), MOED_OK);
    assert_memory_equal(text, "second data 16 b", 16);
    assert_int_equal(moed_gguf_read(gguf, moed_gguf_find(gguf, "first"), 6, 4, text, NULL), 0);
    assert_memory_equal(text, "data", 4);
    moed_gguf_close(gguf);
    build_free(&b);
}

/* A vocabulary larger than the first read of a header, and what stands behind it. */
static void steps_over_large_arrays(void **state)
{
    struct build b = {0};
    struct moed_gguf *gguf;
    uint64_t length;
    double last;

    (void)state;
    build_head(&b, 3, 1, 4);
    build_array(&b, "tokenizer.ggml.tokens", MOED_GGUF_STRING, 60000);
    for (int i = 0; i < 60000; i++)
        build_string(&b, "token");
    build_array(&b, "tokenizer.ggml.scores", MOED_GGUF_F32, 100000);
    for (int i = 0; i < 100000; i++) {
        const float score = (float)-i;
        build_bytes(&b, &score, sizeof(score));
    }
    build_array(&b, "tokenizer.ggml.merges", MOED_GGUF_STRING, 0);
    build_key_string(&b, "general.name", "behind them");
    build_vector(&b, "x", 1, 0);
    build_align(&b, 32);
    build_zeros(&b, 4);
    assert_int_equal(build_open(&b, &gguf, NULL, NULL), MOED_OK);

    char *name;
    assert_int_equal(moed_gguf_get_length(gguf, "tokenizer.ggml.tokens", &length, NULL), 0);
    assert_int_equal(length, 60000);
    assert_int_equal(moed_gguf_get_length(gguf, "tokenizer.ggml.merges", &length, NULL), 0);
    assert_int_equal(length, 0);
    assert_int_equal(moed_gguf_get_element(gguf, "tokenizer.ggml.scores", 99999, &last, NULL), 0);
    assert_true(last == -99999.0);
    assert_int_equal(moed_gguf_copy_string(gguf, "general.name", &name, NULL), MOED_OK);
    assert_string_equal(name, "behind them");
    free(name);
    assert_non_null(moed_gguf_find(gguf, "x"));
    moed_gguf_close(gguf);
    build_free(&b);
}

/* A sparse file that claims a huge array costs bounded memory, not the file's size. */
static void refuses_a_header_without_end(void **state)
{
    const int fd = memfd_create("gguf", MFD_CLOEXEC);
    struct build b = {0};
    struct moed_gguf *gguf = NULL;
    struct moed_error err = {0};
    char path[64];

    (void)state;
    build_head(&b, 3, 0, 1);
    build_array(&b, "some.list", MOED_GGUF_U8, UINT64_C(1) << 39);
    assert_int_equal(write(fd, b.at, b.size), b.size);
    assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    assert_int_equal(moed_gguf_open(path, &gguf, &err), MOED_E_UNSUPPORTED);
    check_words(err.message, (const char *const[MAX_WORDS]){path, "header", "256 MiB"});
    close(fd);
    build_free(&b);
}

static void finds_each_of_many(void **state)
{
    struct build b = {0};
    struct moed_gguf *gguf;
    char name[32];

    (void)state;
    build_head(&b, 3, 1000, 0);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "blk.%u.weight", i * 7919 % 1000);
        build_vector(&b, name, 8, (uint64_t)i * 32);
    }
    build_align(&b, 32);
    build_zeros(&b, 32000);
    assert_int_equal(build_open(&b, &gguf, NULL, NULL), MOED_OK);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "blk.%u.weight", i);
        assert_non_null(moed_gguf_find(gguf, name));
        assert_string_equal(moed_gguf_find(gguf, name)->name, name);
    }
    assert_null(moed_gguf_find(gguf, "blk.1000.weight"));
    moed_gguf_close(gguf);
    build_free(&b);
}

static void only_regular_files(void **state)
{
    struct moed_gguf *gguf = NULL;
    struct moed_error err = {0};

    (void)state;
    assert_int_equal(moed_gguf_open("/nonexistent/m.gguf", &gguf, &err), MOED_E_IO);
    check_words(err.message, (const char *const[MAX_WORDS]){"/nonexistent/m.gguf", "No such file"});
    assert_int_equal(moed_gguf_open("/", &gguf, &err), MOED_E_BAD_FILE);
    check_words(err.message, (const char *const[MAX_WORDS]){"/: ", "directory", "regular file"});
    assert_int_equal(moed_gguf_open("/dev/zero", &gguf, &err), MOED_E_BAD_FILE);
    check_words(err.message, (const char *const[MAX_WORDS]){"/dev/zero", "device", "regular file"});
    assert_null(gguf);
    moed_gguf_close(NULL);
}

/* What would be a SIGBUS in a mapping is an error that names the file. */
static void cut_short_while_open(void **state)
{
    struct build b = {0};
    struct moed_gguf *gguf;
    struct moed_error err = {0};
    uint8_t bytes[64];
    const uint8_t *map;
    int fd;

    (void)state;
    build_small(&b, 3);
    assert_int_equal(build_open(&b, &gguf, &fd, NULL), MOED_OK);
    const struct moed_gguf_tensor *x = moed_gguf_find(gguf, "x");
    assert_int_equal(moed_gguf_map(gguf, x, &map, NULL), MOED_OK);
    assert_memory_equal(map, b.at + x->offset, x->bytes);

    assert_int_equal(ftruncate(fd, (off_t)x->offset + 10), 0);
    assert_int_equal(moed_gguf_read(gguf, x, 0, 10, bytes, &err), MOED_OK);
    assert_int_equal(moed_gguf_read(gguf, x, 0, 64, bytes, &err), MOED_E_IO);
    check_words(err.message, (const char *const[MAX_WORDS]){"/proc/self/fd/", "cut short", "54"});
    assert_int_equal(moed_gguf_map(gguf, x, &map, &err), MOED_E_IO);
    check_words(err.message, (const char *const[MAX_WORDS]){"/proc/self/fd/", "'x'", "shorter"});
    moed_gguf_close(gguf);
    close(fd);
    build_free(&b);
}

static void reads_within_the_tensor(void **state)
{
    struct build b = {0};
    struct moed_gguf *gguf;
    struct moed_error err = {0};
    uint8_t bytes[64];

    (void)state;
    build_small(&b, 3);
    assert_int_equal(build_open(&b, &gguf, NULL, NULL), MOED_OK);
    const struct moed_gguf_tensor *y = moed_gguf_find(gguf, "y");
    assert_int_equal(moed_gguf_read(gguf, y, 34, 0, bytes, &err), MOED_OK);
    assert_int_equal(moed_gguf_read(gguf, y, 1, 34, bytes, &err), MOED_E_INTERNAL);
    check_words(err.message, (const char *const[MAX_WORDS]){"'y'", "34 bytes at 1", "34"});
    assert_int_equal(moed_gguf_read(gguf, y, UINT64_MAX, 2, bytes, &err), MOED_E_INTERNAL);
    moed_gguf_close(gguf);
    build_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_versions),
        cmocka_unit_test(every_cut_is_an_error),
        cmocka_unit_test(alignment_64_and_gaps),
        cmocka_unit_test(steps_over_large_arrays),
        cmocka_unit_test(refuses_a_header_without_end),
        cmocka_unit_test(finds_each_of_many),
        cmocka_unit_test(only_regular_files),
        cmocka_unit_test(cut_short_while_open),
        cmocka_unit_test(reads_within_the_tensor),
    };

    return cmocka_run_group_tests_name("gguf open", tests, NULL, NULL);
}
