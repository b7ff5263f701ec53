/* Fuzzes the GGUF reader: whatever the bytes are, opening them succeeds or fails with a message,
 * and all that an open file offers can be read. */
#include "fuzz.h"

#include "src/gguf/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Keys of any type are asked for as each type: those of the corpus, and two that models need. */
static void ask_for(const struct moed_gguf *gguf, const char *key)
{
    struct moed_error err;
    uint64_t integer, length = 0;
    double real;
    bool flag;
    char *text;

    moed_gguf_get_u64(gguf, key, &integer, &err);
    moed_gguf_get_f64(gguf, key, &real, &err);
    moed_gguf_get_bool(gguf, key, &flag, &err);
    if (moed_gguf_copy_string(gguf, key, &text, &err) == MOED_OK) {
        FUZZ_CHECK(strlen(text) <= 3 * (16U << 20) && moed_is_utf8(text));
        free(text);
    }
    if (moed_gguf_get_length(gguf, key, &length, &err) == MOED_OK && length > 0)
        moed_gguf_get_element(gguf, key, length - 1, &real, &err);
    FUZZ_CHECK(moed_gguf_get_element(gguf, key, length, &real, &err) != MOED_OK);
}

static void walk(struct moed_gguf *gguf, size_t file_size)
{
    static const char *const keys[] = {"general.architecture", "general.alignment", "a", "b",
                                       "split.count"};
    struct moed_error err;

    for (size_t i = 0; i < MOED_ARRAY_LEN(keys); i++)
        ask_for(gguf, keys[i]);
    for (size_t i = 0; i < moed_gguf_tensor_count(gguf); i++) {
        const struct moed_gguf_tensor *t = moed_gguf_tensor_at(gguf, i);
        uint8_t first, last;
        const uint8_t *map;

        FUZZ_CHECK(moed_gguf_find(gguf, t->name) == t);
        FUZZ_CHECK((t->bytes > 0) == (moed_gguf_check(gguf, t, &err) == MOED_OK));
        FUZZ_CHECK(t->bytes <= file_size);
        if (t->bytes == 0)
            continue;
        FUZZ_CHECK(moed_gguf_read(gguf, t, 0, 1, &first, &err) == MOED_OK);
        FUZZ_CHECK(moed_gguf_read(gguf, t, t->bytes - 1, 1, &last, &err) == MOED_OK);
        FUZZ_CHECK(moed_gguf_map(gguf, t, &map, &err) == MOED_OK);
        FUZZ_CHECK(map[0] == first && map[t->bytes - 1] == last);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int fd = memfd_create("gguf", MFD_CLOEXEC);
    struct moed_gguf *gguf = NULL;
    struct moed_error err = {0};
    char path[64];

    FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (moed_gguf_open(path, &gguf, &err) == MOED_OK) {
        walk(gguf, size);
        moed_gguf_close(gguf);
    } else {
        FUZZ_CHECK(err.code < 0 && strstr(err.message, path) == err.message);
    }
    close(fd);
    return 0;
}
