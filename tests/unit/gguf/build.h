/* build: GGUF bytes for tests, field by field, so that any of them can be wrong. */
#ifndef MOED_TEST_GGUF_BUILD_H
#define MOED_TEST_GGUF_BUILD_H

#include "src/gguf/gguf.h"

/* ggml's numbers of the types that the tests use, written out: not the code under test's. */
#define TYPE_F32  0
#define TYPE_F16  1
#define TYPE_Q8_0 8

struct build {
    uint8_t *at;
    size_t size, capacity;
};

void build_bytes(struct build *b, const void *data, size_t size);
void build_integer(struct build *b, uint64_t value, size_t size); /* little-endian */
void build_u32(struct build *b, uint32_t value);
void build_u64(struct build *b, uint64_t value);
void build_string(struct build *b, const char *text);
void build_head(struct build *b, uint32_t version, uint64_t tensors, uint64_t keys);
/* The name and type of a key; its value is to follow. */
void build_key(struct build *b, const char *name, uint32_t type);
void build_key_u32(struct build *b, const char *name, uint32_t value);
void build_key_string(struct build *b, const char *name, const char *value);
void build_array(struct build *b, const char *name, uint32_t element, uint64_t length);
void build_tensor(struct build *b, const char *name, uint32_t n_dims, const uint64_t *dims,
                  uint32_t type, uint64_t offset);
void build_vector(struct build *b, const char *name, uint64_t n, uint64_t offset); /* F32 [n] */
void build_zeros(struct build *b, size_t size);
void build_align(struct build *b, size_t to);
void build_free(struct build *b);

/* One key and two tensors, x F32 [8, 2] = 1, 2, … 16 and y Q8_0 [32]: 64 and 34 bytes of data. */
void build_small(struct build *b, uint32_t version);

/* Opens the bytes as a file under /proc/self/fd, which stays open when `fd` is not NULL. */
int build_open(const struct build *b, struct moed_gguf **out, int *fd, struct moed_error *err);
/* Writes the bytes to a file. */
void build_save(const struct build *b, const char *path);

#endif
