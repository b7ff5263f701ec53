/* build: GGUF bytes for tests. */
#include "build.h"

#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void build_bytes(struct build *b, const void *data, size_t size)
{
    if (b->capacity - b->size < size) {
        b->capacity = 2 * (b->size + size);
        b->at = realloc(b->at, b->capacity);
        assert_non_null(b->at);
    }
    if (size > 0) /* an empty builder has no memory yet */
        memcpy(b->at + b->size, data, size);
    b->size += size;
}

void build_integer(struct build *b, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        build_bytes(b, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

void build_u32(struct build *b, uint32_t value)
{
    build_integer(b, value, sizeof(value));
}

void build_u64(struct build *b, uint64_t value)
{
    build_integer(b, value, sizeof(value));
}

void build_string(struct build *b, const char *text)
{
    build_u64(b, strlen(text));
    build_bytes(b, text, strlen(text));
}

void build_head(struct build *b, uint32_t version, uint64_t tensors, uint64_t keys)
{
    build_bytes(b, "GGUF", 4);
    build_u32(b, version);
    build_u64(b, tensors);
    build_u64(b, keys);
}

void build_key(struct build *b, const char *name, uint32_t type)
{
    build_string(b, name);
    build_u32(b, type);
}

void build_key_u32(struct build *b, const char *name, uint32_t value)
{
    build_key(b, name, MOED_GGUF_U32);
    build_u32(b, value);
}

void build_key_string(struct build *b, const char *name, const char *value)
{
    build_key(b, name, MOED_GGUF_STRING);
    build_string(b, value);
}

void build_array(struct build *b, const char *name, uint32_t element, uint64_t length)
{
    build_key(b, name, MOED_GGUF_ARRAY);
    build_u32(b, element);
    build_u64(b, length);
}

void build_tensor(struct build *b, const char *name, uint32_t n_dims, const uint64_t *dims,
                  uint32_t type, uint64_t offset)
{
    build_string(b, name);
    build_u32(b, n_dims);
    for (uint32_t d = 0; d < n_dims; d++)
        build_u64(b, dims[d]);
    build_u32(b, type);
    build_u64(b, offset);
}

void build_vector(struct build *b, const char *name, uint64_t n, uint64_t offset)
{
    build_tensor(b, name, 1, &n, TYPE_F32, offset);
}

void build_zeros(struct build *b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        build_bytes(b, "", 1);
}

void build_align(struct build *b, size_t to)
{
    build_zeros(b, (to - b->size % to) % to);
}

void build_free(struct build *b)
{
    free(b->at);
    *b = (struct build){0};
}

void build_small(struct build *b, uint32_t version)
{
    build_head(b, version, 2, 1);
    build_key_string(b, "general.architecture", "qwen3moe");
    build_tensor(b, "x", 2, (const uint64_t[]){8, 2}, TYPE_F32, 0);
    build_tensor(b, "y", 1, (const uint64_t[]){32}, TYPE_Q8_0, 64);
    build_align(b, 32);
    for (int i = 1; i <= 16; i++) {
        const float value = (float)i;
        build_bytes(b, &value, sizeof(value));
    }
    build_zeros(b, 34);
}

int build_open(const struct build *b, struct moed_gguf **out, int *fd, struct moed_error *err)
{
    const int file = memfd_create("gguf", MFD_CLOEXEC);
    char path[64];

    assert_true(file >= 0);
    assert_int_equal(write(file, b->at, b->size), b->size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    const int rc = moed_gguf_open(path, out, err);
    if (rc != MOED_OK && err != NULL)
        assert_ptr_equal(strstr(err->message, path), err->message);
    if (fd != NULL)
        *fd = file;
    else
        close(file);
    return rc;
}

void build_save(const struct build *b, const char *path)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(b->at, 1, b->size, file), b->size);
    assert_int_equal(fclose(file), 0);
}
