/* gguf furniture: what an open model is made of, and what its files lend each other.
 *
 *   moed_gguf ── parts[] ── header bytes ◄── keys[] (sorted by name)
 *             │                          ◄─┐
 *             └─ tensors[] (all parts) ────┘ names point into the header bytes
 *
 * The header of a part is read once into private memory and stays there: names and string values
 * are C strings inside it, arrays are left where they lie. Offsets and sizes have been checked
 * against the real file before anything outside this room sees them. */
#ifndef MOED_GGUF_FURNITURE_H
#define MOED_GGUF_FURNITURE_H

#include "src/gguf/gguf.h"

#include <time.h>

#define GGUF_ALIGNMENT      32U /* where general.alignment is absent */
#define GGUF_MAX_ALIGNMENT  (1U << 20)
#define GGUF_MAX_KEYS       65536U
#define GGUF_MAX_TENSORS    1048576U
#define GGUF_MAX_KEY_LENGTH 65535U
#define GGUF_MAX_NAME       63U /* of a tensor: ggml's buffer holds 64 with the NUL */
#define GGUF_MAX_STRING     (16U << 20)
#define GGUF_MAX_DIM        (UINT64_C(1) << 40)
#define GGUF_MAX_HEADER     (256U << 20)
#define GGUF_MAX_PARTS      512U

struct moed_gguf_key {
    const char *name;
    uint32_t type;     /* moed_gguf_type */
    uint32_t element;  /* type of an array's elements */
    uint64_t length;   /* elements of an array, bytes of a string */
    const uint8_t *at; /* the value; of an array of numbers its first element */
};

struct moed_gguf_part {
    char *path; /* owned */
    int fd;
    uint32_t version;
    uint64_t size; /* of the file when it was opened */
    uint8_t *header;
    size_t header_size; /* bytes of the file in `header`: all of its header, and often more */
    struct moed_gguf_key *keys;
    size_t n_keys;
    struct moed_gguf_tensor *tensors; /* until open gathers those of all parts */
    size_t n_tensors;
    uint8_t *map;            /* the whole file, once asked for */
    int guard;               /* of the mapping */
    struct timespec changed; /* when the file was opened */
};

struct moed_gguf {
    struct moed_gguf_part *parts;
    uint32_t n_parts;
    struct moed_gguf_tensor *tensors; /* in the order of the files */
    const struct moed_gguf_tensor **by_name;
    size_t n_tensors;
};

/* ---- value types (value.c) ---- */
const char *moed_gguf_type_name(uint32_t type); /* "u32"; "unknown" */
size_t moed_gguf_type_size(uint32_t type);      /* 0: string, array or unknown */
/* One value of an integer type, sign-extended to 64 bits; false for any other type. */
bool moed_gguf_integer(uint32_t type, const uint8_t *at, uint64_t *out, bool *negative);
bool moed_gguf_float(uint32_t type, const uint8_t *at, double *out);

/* ---- one file (part.c) ----
 * Messages of a part begin with its path; those of the parsers below do not: part_open adds it. */
/* Opens `path`, which it owns from here on, even when it fails. close takes a zeroed part too. */
int moed_gguf_part_open(struct moed_gguf_part *part, char *path, struct moed_error *err);
void moed_gguf_part_close(struct moed_gguf_part *part);
/* Reads all of [offset, offset + size) of the file. */
int moed_gguf_part_read(const struct moed_gguf_part *part, uint64_t offset, uint64_t size,
                        void *dst, struct moed_error *err);

/* ---- its header (parse.c, tensors.c) ----
 * A parser that leaves `c->failed` set ran out of bytes: with more of the file it may succeed. */
int moed_gguf_parse(struct moed_gguf_part *part, struct moed_cursor *c, struct moed_error *err);
int moed_gguf_parse_tensors(struct moed_gguf_part *part, struct moed_cursor *c,
                            struct moed_error *err);
/* See moed_gguf_check(); the message begins with the tensor's name. */
int moed_gguf_check_tensor(const struct moed_gguf_tensor *tensor, struct moed_error *err);
/* Takes a string and terminates it where it lies. NULL if it is longer than `limit` or, with
 * `c->failed`, does not fit. Text may hold any bytes: compare *length with strlen. */
const char *moed_gguf_take_string(struct moed_gguf_part *part, struct moed_cursor *c,
                                  uint64_t limit, uint64_t *length);
/* Whether all bytes are printable ASCII: what a key and a tensor's name must be. */
bool moed_gguf_is_plain(const char *text, uint64_t length);

/* ---- its keys (keys.c): as the door's, without the path before the message ---- */
int moed_gguf_sort_keys(struct moed_gguf_part *part, struct moed_error *err);
int moed_gguf_part_u64(const struct moed_gguf_part *part, const char *key, uint64_t *out,
                       struct moed_error *err);
/* The key of a string: its bytes are key->at, key->length. */
int moed_gguf_part_string(const struct moed_gguf_part *part, const char *key,
                          const struct moed_gguf_key **out, struct moed_error *err);
/* The alignment of the part's data: general.alignment or the default. */
int moed_gguf_part_alignment(const struct moed_gguf_part *part, uint64_t *out,
                             struct moed_error *err);

/* ---- what is no GGUF file (foreign.c) ---- */
/* Refuses a file by its first bytes, at least 4, with what it is and what to do. */
int moed_gguf_refuse_foreign(const uint8_t *bytes, size_t size, struct moed_error *err);
/* Adds to a failure what the path gives away: a URL, a hub's name, a piece, half a download. */
void moed_gguf_advise(const char *path, struct moed_error *err);

/* ---- split models (split.c) ---- */
struct moed_gguf_split { /* PREFIX-00002-of-00003.gguf */
    size_t prefix;       /* length of PREFIX, directory and all */
    uint32_t number;     /* 2 */
    uint32_t count;      /* 3; 1 for a name without that form */
};
int moed_gguf_split_name(const char *path, struct moed_gguf_split *out, struct moed_error *err);
/* Whether a file with the name of a part is the whole: its keys know of no other part, and there is
 * no other beside it. A file that cannot be read is none. */
bool moed_gguf_split_is_whole(const char *path, const struct moed_gguf_split *split);
/* The path of a sibling, `number` from 1; freed by the caller; NULL: no memory. */
char *moed_gguf_split_path(const char *path, const struct moed_gguf_split *split, uint32_t number);
/* Whether part `index` is what its name says, and of one model with the first. */
int moed_gguf_split_check(const struct moed_gguf *gguf, const struct moed_gguf_split *split,
                          uint32_t index, struct moed_error *err);
/* Whether every part agrees with the number of tensors found. */
int moed_gguf_split_check_total(const struct moed_gguf *gguf, struct moed_error *err);

#endif
