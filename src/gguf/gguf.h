/* gguf: the container. Parses, validates and writes GGUF files (versions 2 and 3, little-endian,
 * single or split); trusts nothing that it reads. Knows tensors and keys, not models.
 * Format: the GGUF specification of the ggml project. */
#ifndef MOED_GGUF_H
#define MOED_GGUF_H

#include "src/base/base.h"

#include "kernels/formats.h"

struct moed_gguf; /* one model: one file, or all parts of a split one. Read-only once open */

struct moed_gguf_tensor {
    const char *name;                 /* unique over all parts */
    const struct moed_format *format; /* NULL: of a type that is not known here */
    uint32_t type;                    /* its number in the file */
    uint32_t n_dims;                  /* 0..4 */
    uint64_t dims[4]; /* dims[0] varies fastest: the row length; absent ones are 1 */
    uint64_t bytes;   /* of the data, without padding; 0 where nothing can be read of it */
    uint64_t offset;  /* of the data in its file */
    uint32_t part;    /* which file, from 0 */
};

enum moed_gguf_type { /* value types of keys, the numbers of the format */
                      MOED_GGUF_U8,
                      MOED_GGUF_I8,
                      MOED_GGUF_U16,
                      MOED_GGUF_I16,
                      MOED_GGUF_U32,
                      MOED_GGUF_I32,
                      MOED_GGUF_F32,
                      MOED_GGUF_BOOL,
                      MOED_GGUF_STRING,
                      MOED_GGUF_ARRAY,
                      MOED_GGUF_U64,
                      MOED_GGUF_I64,
                      MOED_GGUF_F64
};

/* Opens `path` and, where it is part of a split model, its siblings (the names are derived from
 * the path alone). Reads headers only. MOED_E_IO, MOED_E_BAD_FILE, MOED_E_UNSUPPORTED,
 * MOED_E_NO_MEMORY; the message names the file, the key or tensor, found and expected. */
int moed_gguf_open(const char *path, struct moed_gguf **out, struct moed_error *err);
void moed_gguf_close(struct moed_gguf *gguf); /* NULL is fine; all borrowed pointers die */

/* How many files, and so descriptors, the model of this name takes: by the name alone. */
uint32_t moed_gguf_count_parts(const char *path);

uint32_t moed_gguf_version(const struct moed_gguf *gguf);
uint32_t moed_gguf_parts(const struct moed_gguf *gguf);
const char *moed_gguf_path(const struct moed_gguf *gguf, uint32_t part); /* NULL past the end */

size_t moed_gguf_tensor_count(const struct moed_gguf *gguf);
const struct moed_gguf_tensor *moed_gguf_tensor_at(const struct moed_gguf *gguf, size_t i);
const struct moed_gguf_tensor *moed_gguf_find(const struct moed_gguf *gguf, const char *name);
/* Whether a tensor can be read. A file may hold some that cannot, of an unknown type, without
 * dimensions, empty, or with rows of part of a block: that is for those to refuse who need them.
 * MOED_E_UNSUPPORTED, MOED_E_BAD_FILE: names the tensor, what was found and expected. */
int moed_gguf_check(const struct moed_gguf *gguf, const struct moed_gguf_tensor *tensor,
                    struct moed_error *err);

/* ---- keys ----
 * Each returns 0 and writes *out; MOED_E_NOT_FOUND, writing nothing and leaving `err` alone,
 * where the key is absent; MOED_E_BAD_FILE where its type does not fit (integers of any width
 * fit u64 when not negative; F32 and F64 fit f64; nothing else converts). */
int moed_gguf_get_u64(const struct moed_gguf *gguf, const char *key, uint64_t *out,
                      struct moed_error *err);
int moed_gguf_get_f64(const struct moed_gguf *gguf, const char *key, double *out,
                      struct moed_error *err);
int moed_gguf_get_bool(const struct moed_gguf *gguf, const char *key, bool *out,
                       struct moed_error *err);
/* The text as moed_clean_text leaves it, whatever bytes the file has there; freed by the caller.
 * Also MOED_E_NO_MEMORY. */
int moed_gguf_copy_string(const struct moed_gguf *gguf, const char *key, char **out,
                          struct moed_error *err);
/* Length of an array key of any element type, and one element of a numeric array by the rules
 * above (bool counts as 0 or 1). An index past the end is MOED_E_BAD_FILE. */
int moed_gguf_get_length(const struct moed_gguf *gguf, const char *key, uint64_t *out,
                         struct moed_error *err);
int moed_gguf_get_element(const struct moed_gguf *gguf, const char *key, uint64_t index,
                          double *out, struct moed_error *err);
bool moed_gguf_is_array(const struct moed_gguf *gguf, const char *key); /* false if absent */

/* ---- data ---- */
/* Copies bytes [offset, offset + size) of a tensor's data to `dst`. Any thread. MOED_E_IO names
 * the file, also where it was cut short after it was opened. */
int moed_gguf_read(const struct moed_gguf *gguf, const struct moed_gguf_tensor *tensor,
                   uint64_t offset, uint64_t size, void *dst, struct moed_error *err);
/* Borrows the tensor's bytes from a read-only mapping that lives until close. Who writes to the
 * file changes them, and where it is cut short reading them is SIGBUS, or zeros (below). */
int moed_gguf_map(struct moed_gguf *gguf, const struct moed_gguf_tensor *tensor,
                  const uint8_t **out, struct moed_error *err);

/* From now on reading behind the end of a mapped file that was cut short gives zeros instead of
 * ending the process: for programs, since a process has one handler of SIGBUS. */
void moed_gguf_survive_cuts(void);
/* Whether the mapped file that holds the tensor still is what it was when it was opened, by its
 * size and the time of its last change, and nothing behind its end was read: MOED_E_IO names the
 * file, the tensor and what happened. 0 where it is not mapped. Cheap; any thread. */
int moed_gguf_check_mapping(const struct moed_gguf *gguf, const struct moed_gguf_tensor *tensor,
                            struct moed_error *err);

/* ---- writing ----
 * create, add keys, declare tensors, then write each tensor's bytes in the order declared (in
 * one or many pieces), then finish, which fails if bytes are missing. Alignment 32, version 3.
 * The file appears under its name only on finish (temporary file and rename). */
struct moed_gguf_writer;
int moed_gguf_writer_create(const char *path, struct moed_gguf_writer **out,
                            struct moed_error *err);
int moed_gguf_writer_u32(struct moed_gguf_writer *w, const char *key, uint32_t value);
int moed_gguf_writer_f32(struct moed_gguf_writer *w, const char *key, float value);
int moed_gguf_writer_bool(struct moed_gguf_writer *w, const char *key, bool value);
int moed_gguf_writer_string(struct moed_gguf_writer *w, const char *key, const char *value);
int moed_gguf_writer_tensor(struct moed_gguf_writer *w, const char *name,
                            const struct moed_format *format, uint32_t n_dims,
                            const uint64_t *dims);
int moed_gguf_writer_data(struct moed_gguf_writer *w, const void *data, uint64_t size,
                          struct moed_error *err);
int moed_gguf_writer_finish(struct moed_gguf_writer *w, struct moed_error *err);
void moed_gguf_writer_destroy(struct moed_gguf_writer *w); /* unfinished: removes the file */

#endif
