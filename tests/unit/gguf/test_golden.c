/* Files of another writer: every golden case opens, and its experts' shapes and bytes are there. */
#include "build.h"
#include "check.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

static void open_one(const char *path)
{
    struct moed_gguf *gguf = NULL;
    struct moed_error err = {0};
    char *arch;

    if (moed_gguf_open(path, &gguf, &err) != MOED_OK)
        fail_msg("%s", err.message);
    assert_int_equal(moed_gguf_copy_string(gguf, "general.architecture", &arch, NULL), MOED_OK);
    free(arch);
    assert_true(moed_gguf_tensor_count(gguf) > 0);
    for (size_t i = 0; i < moed_gguf_tensor_count(gguf); i++) {
        const struct moed_gguf_tensor *t = moed_gguf_tensor_at(gguf, i);
        uint8_t first, last, rest;

        assert_ptr_equal(moed_gguf_find(gguf, t->name), t);
        assert_int_equal(moed_gguf_read(gguf, t, 0, 1, &first, NULL), MOED_OK);
        assert_int_equal(moed_gguf_read(gguf, t, t->bytes - 1, 1, &last, NULL), MOED_OK);
        assert_int_equal(moed_gguf_read(gguf, t, t->bytes, 1, &rest, NULL), MOED_E_INTERNAL);
        const uint8_t *map;
        assert_int_equal(moed_gguf_map(gguf, t, &map, NULL), MOED_OK);
        assert_int_equal(map[0], first);
        assert_int_equal(map[t->bytes - 1], last);
    }
    moed_gguf_close(gguf);
}

static size_t open_all(const char *pattern)
{
    glob_t found;
    size_t n = 0;

    if (glob(pattern, 0, NULL, &found) == 0) {
        for (; n < found.gl_pathc; n++)
            open_one(found.gl_pathv[n]);
        globfree(&found);
    }
    return n;
}

static void golden_cases_open(void **state)
{
    (void)state;
    assert_true(open_all(MOED_GOLDEN_DIR "/*/model*.gguf") >= 30);
    assert_true(open_all(MOED_GOLDEN_DIR "/arch/*/model*.gguf") >= 15);
}

static void split_case_is_one_model(void **state)
{
    struct moed_gguf *gguf = NULL;
    uint64_t count;

    (void)state;
    assert_int_equal(
        moed_gguf_open(MOED_GOLDEN_DIR "/split/model-00002-of-00003.gguf", &gguf, NULL), MOED_OK);
    assert_int_equal(moed_gguf_parts(gguf), 3);
    assert_int_equal(moed_gguf_get_u64(gguf, "split.tensors.count", &count, NULL), MOED_OK);
    assert_int_equal(moed_gguf_tensor_count(gguf), count);
    assert_non_null(moed_gguf_find(gguf, "blk.0.ffn_gate_inp.weight"));
    assert_non_null(moed_gguf_find(gguf, "blk.1.ffn_down_exps.weight"));
    moed_gguf_close(gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_cases_open),
        cmocka_unit_test(split_case_is_one_model),
    };

    return cmocka_run_group_tests_name("gguf golden", tests, NULL, NULL);
}
