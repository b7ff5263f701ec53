/* writer: a GGUF file of version 3: keys and tensors are gathered in memory, the header is
 * written with the first data, and the temporary file takes its name when all is there.
 * The first failure is kept and reported by every later call, so keys can be added unchecked. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITTEN_VERSION 3

struct bytes {
    uint8_t *at;
    size_t size, capacity;
};

struct moed_gguf_writer {
    char *path, *temporary;
    FILE *file;
    struct moed_error failure;
    struct bytes keys, infos, sizes; /* of tensors, a u64 each */
    uint64_t n_keys, n_tensors;
    uint64_t next_offset; /* of the tensor that is declared next */
    bool started;         /* the header is written */
    uint64_t current;     /* the tensor that data goes to */
    uint64_t missing;     /* bytes of it that are still to come */
};

static void append(struct moed_gguf_writer *w, struct bytes *to, const void *data, size_t size)
{
    if (w->failure.code != 0)
        return;
    if (to->capacity - to->size < size) {
        const size_t capacity = 2 * (to->size + size);
        uint8_t *grown = realloc(to->at, capacity);
        if (grown == NULL) {
            moed_fail(&w->failure, MOED_E_NO_MEMORY, "%s: no memory for its header", w->path);
            return;
        }
        to->at = grown;
        to->capacity = capacity;
    }
    memcpy(to->at + to->size, data, size);
    to->size += size;
}

static void append_integer(struct moed_gguf_writer *w, struct bytes *to, uint64_t value,
                           size_t size)
{
    uint8_t bytes[sizeof value];

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    append(w, to, bytes, size);
}

static void append_string(struct moed_gguf_writer *w, struct bytes *to, const char *text)
{
    const size_t length = strlen(text);

    append_integer(w, to, length, sizeof(uint64_t));
    append(w, to, text, length);
}

static int refuse(struct moed_gguf_writer *w, const char *what, const char *name, const char *why)
{
    if (w->failure.code == 0)
        moed_fail(&w->failure, MOED_E_USAGE, "%s: %s '%.80s': %s", w->path, what, name, why);
    return w->failure.code;
}

/* Whether one more key or tensor may be declared under this name. */
static int admit(struct moed_gguf_writer *w, const char *what, const char *name, size_t limit)
{
    const size_t length = strlen(name);

    if (w->started)
        return refuse(w, what, name, "found it after data, expected it before");
    if (length == 0 || length > limit || !moed_gguf_is_plain(name, length))
        return refuse(w, what, name, "found such a name, expected a shorter one of ASCII");
    return w->failure.code;
}

int moed_gguf_writer_create(const char *path, struct moed_gguf_writer **out, struct moed_error *err)
{
    struct moed_gguf_writer *w = moed_calloc(1, sizeof *w);
    int fd = -1, rc = MOED_E_NO_MEMORY;

    if (w == NULL)
        return moed_fail(err, rc, "%s: no memory to write it", path);
    w->path = strdup(path);
    if (w->path == NULL || asprintf(&w->temporary, "%s.XXXXXX", path) < 0) {
        w->temporary = NULL;
        moed_fail(err, rc, "%s: no memory to write it", path);
        goto fail;
    }
    /* Made private; a model is for others to read, the service's own user among them. */
    fd = mkostemp(w->temporary, O_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0644) != 0 || (w->file = fdopen(fd, "wb")) == NULL) {
        rc = moed_fail(err, MOED_E_IO, "%s: cannot be created: %s", path, strerror(errno));
        goto fail;
    }
    *out = w;
    return 0;

fail:
    if (fd >= 0) {
        unlink(w->temporary);
        close(fd);
    }
    free(w->temporary);
    free(w->path);
    free(w);
    return rc;
}

static int add_key(struct moed_gguf_writer *w, const char *key, uint32_t type, uint64_t bits,
                   size_t size)
{
    if (admit(w, "key", key, GGUF_MAX_KEY_LENGTH) != 0)
        return w->failure.code;
    append_string(w, &w->keys, key);
    append_integer(w, &w->keys, type, sizeof type);
    append_integer(w, &w->keys, bits, size);
    w->n_keys++;
    return w->failure.code;
}

int moed_gguf_writer_u32(struct moed_gguf_writer *w, const char *key, uint32_t value)
{
    return add_key(w, key, MOED_GGUF_U32, value, sizeof value);
}

int moed_gguf_writer_f32(struct moed_gguf_writer *w, const char *key, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return add_key(w, key, MOED_GGUF_F32, bits, sizeof bits);
}

int moed_gguf_writer_bool(struct moed_gguf_writer *w, const char *key, bool value)
{
    return add_key(w, key, MOED_GGUF_BOOL, value, 1);
}

int moed_gguf_writer_string(struct moed_gguf_writer *w, const char *key, const char *value)
{
    const size_t length = strlen(value);

    if (add_key(w, key, MOED_GGUF_STRING, length, sizeof(uint64_t)) == 0)
        append(w, &w->keys, value, length);
    return w->failure.code;
}

int moed_gguf_writer_tensor(struct moed_gguf_writer *w, const char *name,
                            const struct moed_format *format, uint32_t n_dims, const uint64_t *dims)
{
    uint64_t bytes, end;

    if (admit(w, "tensor", name, GGUF_MAX_NAME) != 0)
        return w->failure.code;
    if (n_dims < 1 || n_dims > 4)
        return refuse(w, "tensor", name, "found other than 1 to 4 dimensions");
    if (!moed_format_row_bytes(format, dims[0], &bytes))
        return refuse(w, "tensor", name, "found a row that is no multiple of the type's block");
    append_string(w, &w->infos, name);
    append_integer(w, &w->infos, n_dims, sizeof n_dims);
    for (uint32_t d = 0; d < n_dims; d++) {
        if (dims[d] == 0 || (d > 0 && !moed_mul(bytes, dims[d], &bytes)))
            return refuse(w, "tensor", name, "found a dimension of 0 or a size over 2^64");
        append_integer(w, &w->infos, dims[d], sizeof dims[d]);
    }
    append_integer(w, &w->infos, format->id, sizeof format->id);
    append_integer(w, &w->infos, w->next_offset, sizeof w->next_offset);
    append(w, &w->sizes, &bytes, sizeof bytes);
    if (!moed_add(w->next_offset, bytes, &end) ||
        !moed_align_up(end, GGUF_ALIGNMENT, &w->next_offset))
        return refuse(w, "tensor", name, "found a size of all tensors over 2^64");
    w->n_tensors++;
    return w->failure.code;
}

/* ---- the file ---- */

static void put(struct moed_gguf_writer *w, const void *data, size_t size)
{
    if (w->failure.code == 0 && size > 0 && fwrite(data, 1, size, w->file) != size)
        moed_fail(&w->failure, MOED_E_IO, "%s: writing failed: %s", w->path, strerror(errno));
}

static void pad(struct moed_gguf_writer *w, uint64_t size)
{
    static const uint8_t zeros[GGUF_ALIGNMENT];

    put(w, zeros, (size_t)(-size % GGUF_ALIGNMENT));
}

/* The size of a declared tensor; 0 for the one behind the last. */
static uint64_t size_of(const struct moed_gguf_writer *w, uint64_t tensor)
{
    uint64_t size = 0;

    if (tensor < w->n_tensors)
        memcpy(&size, w->sizes.at + tensor * sizeof size, sizeof size);
    return size;
}

static void start(struct moed_gguf_writer *w)
{
    struct bytes head = {0};

    if (w->started)
        return;
    append(w, &head, "GGUF", 4);
    append_integer(w, &head, WRITTEN_VERSION, sizeof(uint32_t));
    append_integer(w, &head, w->n_tensors, sizeof w->n_tensors);
    append_integer(w, &head, w->n_keys, sizeof w->n_keys);
    put(w, head.at, head.size);
    put(w, w->keys.at, w->keys.size);
    put(w, w->infos.at, w->infos.size);
    pad(w, head.size + w->keys.size + w->infos.size);
    free(head.at);
    w->missing = size_of(w, 0);
    w->started = true;
}

static int report(const struct moed_gguf_writer *w, struct moed_error *err)
{
    if (w->failure.code != 0 && err != NULL)
        *err = w->failure;
    return w->failure.code;
}

int moed_gguf_writer_data(struct moed_gguf_writer *w, const void *data, uint64_t size,
                          struct moed_error *err)
{
    const uint8_t *at = data;

    start(w);
    while (size > 0 && w->failure.code == 0) {
        const uint64_t n = size < w->missing ? size : w->missing;
        if (n == 0) {
            moed_fail(&w->failure, MOED_E_USAGE,
                      "%s: found %" PRIu64 " bytes more than the declared tensors hold", w->path,
                      size);
            break;
        }
        put(w, at, (size_t)n);
        at += n;
        size -= n;
        w->missing -= n;
        if (w->missing == 0) {
            pad(w, size_of(w, w->current));
            w->missing = size_of(w, ++w->current);
        }
    }
    return report(w, err);
}

int moed_gguf_writer_finish(struct moed_gguf_writer *w, struct moed_error *err)
{
    start(w);
    if (w->failure.code == 0 && w->current < w->n_tensors)
        moed_fail(&w->failure, MOED_E_USAGE,
                  "%s: found the data of %" PRIu64 " tensors, expected that of %" PRIu64, w->path,
                  w->current, w->n_tensors);
    if (w->failure.code != 0)
        return report(w, err);

    FILE *file = w->file;
    w->file = NULL;
    if (fclose(file) != 0 || rename(w->temporary, w->path) != 0)
        moed_fail(&w->failure, MOED_E_IO, "%s: cannot be finished: %s", w->path, strerror(errno));
    else
        w->temporary[0] = '\0'; /* nothing left to remove */
    return report(w, err);
}

void moed_gguf_writer_destroy(struct moed_gguf_writer *w)
{
    if (w == NULL)
        return;
    if (w->file != NULL)
        fclose(w->file);
    if (w->temporary[0] != '\0')
        unlink(w->temporary);
    free(w->temporary);
    free(w->path);
    free(w->keys.at);
    free(w->infos.at);
    free(w->sizes.at);
    free(w);
}
