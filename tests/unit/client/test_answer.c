/* Responses as they arrive: whole, a byte at a time, and such as are none. */
#include "src/client/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct kept {
    char text[256];
    size_t size;
};

static void keep(void *context, const char *data, size_t size)
{
    struct kept *kept = context;

    assert_true(kept->size + size < sizeof kept->text);
    memcpy(kept->text + kept->size, data, size);
    kept->size += size;
}

/* Feeds `text` in pieces of `piece` bytes. */
static int take(struct moed_answer *answer, const char *text, size_t piece, struct moed_error *err)
{
    size_t left = strlen(text);
    int rc = 0;

    while (rc == 0 && left > 0) {
        size_t size = left < piece ? left : piece;

        rc = moed_answer_take(answer, text, size, err);
        text += size;
        left -= size;
    }
    return rc;
}

static const char whole[] =
    "HTTP/1.1 200 OK\r\nX-Empty:\r\n"
    "Server-Timing: queue;dur=0.041, compute;dur=1.5\r\n"
    "A-Header-With-A-Long-Name: x\r\nContent-Length: 5\r\n\r\nhello";

static void test_any_cut(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= sizeof whole; piece++) {
        struct kept kept = {0};
        struct moed_answer *answer = moed_answer_create(keep, &kept);
        struct moed_error err;

        assert_int_equal(take(answer, whole, piece, &err), 0);
        assert_true(moed_answer_complete(answer));
        assert_true(moed_answer_keeps_alive(answer));
        assert_int_equal(moed_answer_status(answer), 200);
        assert_int_equal(moed_answer_timing(answer, "queue"), 41000);
        assert_int_equal(moed_answer_timing(answer, "compute"), 1500000);
        assert_int_equal(moed_answer_timing(answer, "comp"), 0);
        assert_memory_equal(kept.text, "hello", 5);
        assert_int_equal(kept.size, 5);
        moed_answer_destroy(answer);
    }
}

static void test_one_after_the_other(void **state)
{
    struct kept kept = {0};
    struct moed_answer *answer = moed_answer_create(keep, &kept);
    struct moed_error err;

    (void)state;
    assert_int_equal(take(answer, whole, 1000, &err), 0);
    moed_answer_begin(answer);
    assert_false(moed_answer_complete(answer));
    assert_int_equal(take(answer,
                          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Too Many Requests\r\n"
                          "Connection: close\r\nContent-Length: 0\r\n\r\n",
                          7, &err),
                     0);
    assert_true(moed_answer_complete(answer));
    assert_false(moed_answer_keeps_alive(answer));
    assert_int_equal(moed_answer_status(answer), 429);
    assert_int_equal(moed_answer_timing(answer, "compute"), 0);
    moed_answer_destroy(answer);
}

static void test_length_by_the_end(void **state)
{
    struct kept kept = {0};
    struct moed_answer *answer = moed_answer_create(keep, &kept);
    struct moed_error err;

    (void)state;
    assert_int_equal(take(answer, "HTTP/1.0 200 OK\r\n\r\nrest", 1000, &err), 0);
    assert_false(moed_answer_complete(answer));
    assert_int_equal(moed_answer_take(answer, "", 0, &err), 0);
    assert_true(moed_answer_complete(answer));
    assert_memory_equal(kept.text, "rest", 4);
    moed_answer_destroy(answer);
}

/* What `text`, and then the end of the connection if `ends`, is refused with. */
static void check_wrong(const char *text, bool ends, const char *message)
{
    struct kept kept = {0};
    struct moed_answer *answer = moed_answer_create(keep, &kept);
    struct moed_error err = {0};
    int rc = take(answer, text, 1000, &err);

    if (ends && rc == 0)
        rc = moed_answer_take(answer, "", 0, &err);
    assert_int_equal(rc, MOED_E_MALFORMED);
    assert_non_null(strstr(err.message, message));
    moed_answer_destroy(answer);
}

static void test_wrong(void **state)
{
    (void)state;
    check_wrong("SSH-2.0-OpenSSH\r\n", false, "expected an HTTP response");
    check_wrong("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n", false, "expected an HTTP");
    check_wrong("", true, "ended before the answer");
    check_wrong("HTTP/1.1 200 OK\r\nContent-Le", true, "ended before the answer");
    check_wrong("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", true, "ended before");
    check_wrong("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200", false,
                "bytes after its end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_cut),
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_length_by_the_end),
        cmocka_unit_test(test_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
