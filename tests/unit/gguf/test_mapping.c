/* Mapped tensors whose file is written to, cut short or replaced. */
#include "src/gguf/gguf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { FLOATS = 256 * 1024 };

static char path[] = "/tmp/moed-mapping-XXXXXX";
static struct moed_gguf *gguf;
static const struct moed_gguf_tensor *first, *second;
static const uint8_t *bytes;
static struct moed_error err;

/* Two tensors of a MiB each, of ones; both are mapped. */
static int start(void **state)
{
    const struct moed_format *f32 = moed_format_by_name("F32");
    const uint64_t dims[4] = {FLOATS, 1, 1, 1};
    static float ones[FLOATS];
    struct moed_gguf_writer *w;

    (void)state;
    memcpy(path, "/tmp/moed-mapping-XXXXXX", sizeof path);
    close(mkstemp(path));
    for (size_t i = 0; i < FLOATS; i++)
        ones[i] = 1;
    if (moed_gguf_writer_create(path, &w, &err) != 0)
        return -1;
    moed_gguf_writer_tensor(w, "first", f32, 1, dims);
    moed_gguf_writer_tensor(w, "second", f32, 1, dims);
    for (int i = 0; i < 2; i++)
        if (moed_gguf_writer_data(w, ones, sizeof ones, &err) != 0)
            return -1;
    if (moed_gguf_writer_finish(w, &err) != 0)
        return -1;
    moed_gguf_writer_destroy(w);
    if (moed_gguf_open(path, &gguf, &err) != 0)
        return -1;
    first = moed_gguf_find(gguf, "first");
    second = moed_gguf_find(gguf, "second");
    return moed_gguf_map(gguf, second, &bytes, &err);
}

static int stop(void **state)
{
    (void)state;
    moed_gguf_close(gguf);
    return unlink(path);
}

static float last_of_second(void)
{
    float value;

    memcpy(&value, bytes + sizeof(float) * (FLOATS - 1), sizeof value);
    return value;
}

static void fails_with(const char *what, const char *tensor)
{
    assert_int_equal(moed_gguf_check_mapping(gguf, second, &err), MOED_E_IO);
    assert_memory_equal(err.message, path, strlen(path));
    assert_non_null(strstr(err.message, what));
    assert_non_null(strstr(err.message, tensor));
}

static void what_stays_is_fine(void **state)
{
    (void)state;
    assert_int_equal(moed_gguf_check_mapping(gguf, first, &err), 0);
    assert_int_equal(moed_gguf_check_mapping(gguf, second, &err), 0);
    assert_true(last_of_second() == 1);
}

static void a_cut_is_survived_and_named(void **state)
{
    (void)state;
    moed_gguf_survive_cuts(); /* here: cmocka has a handler of its own around each test */
    assert_int_equal(truncate(path, 4096), 0);
    fails_with("that it had when it was opened", "second");
    assert_true(last_of_second() == 0);
    assert_true(last_of_second() == 0);
    fails_with("it was cut short while it was mapped", "second");
}

static void what_is_written_is_noticed(void **state)
{
    const int fd = open(path, O_WRONLY);

    (void)state;
    assert_int_equal(pwrite(fd, "x", 1, 1 << 20), 1);
    close(fd);
    fails_with("somebody has written to it", "second");
}

static void a_replaced_file_goes_on(void **state)
{
    char other[sizeof path + 4];
    FILE *file;

    (void)state;
    snprintf(other, sizeof other, "%s.new", path);
    file = fopen(other, "w");
    assert_non_null(file);
    fputs("another", file);
    fclose(file);
    assert_int_equal(rename(other, path), 0);
    what_stays_is_fine(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_stays_is_fine, start, stop),
        cmocka_unit_test_setup_teardown(a_cut_is_survived_and_named, start, stop),
        cmocka_unit_test_setup_teardown(what_is_written_is_noticed, start, stop),
        cmocka_unit_test_setup_teardown(a_replaced_file_goes_on, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
