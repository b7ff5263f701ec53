/* base: what every room may lean on: checked sizes, a bounded cursor, clocks; and the log, which
 * has a door of its own. Errors are in error.h. Nothing here allocates. */
#ifndef MOED_BASE_H
#define MOED_BASE_H

#include "src/base/error.h"

#include "src/base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOED_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- checked arithmetic: true and *out on success, false if it would wrap ---- */
static inline bool moed_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool moed_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* Rounds up to a multiple of `to`, a power of two; false if it would wrap. */
bool moed_align_up(uint64_t value, uint64_t to, uint64_t *out);

/* ---- bounded cursor over bytes that are not trusted ----
 * Reads are little-endian and never pass `end`. The first read that does not fit sets `failed`
 * and leaves the position; every later read returns 0, so callers may check once a group. */
struct moed_cursor {
    const uint8_t *at, *end;
    bool failed;
};

struct moed_cursor moed_cursor_init(const void *data, size_t size);
size_t moed_cursor_remaining(const struct moed_cursor *c);
uint8_t moed_cursor_u8(struct moed_cursor *c);
uint16_t moed_cursor_u16(struct moed_cursor *c);
uint32_t moed_cursor_u32(struct moed_cursor *c);
uint64_t moed_cursor_u64(struct moed_cursor *c);
float moed_cursor_f32(struct moed_cursor *c);
double moed_cursor_f64(struct moed_cursor *c);
/* Borrowed bytes, or NULL (and `failed`) when fewer than `size` remain. */
const uint8_t *moed_cursor_take(struct moed_cursor *c, uint64_t size);

/* ---- numbers in text ---- */
/* Reads the decimal digits at *at, without sign or spaces, and passes them. False, moving nothing,
 * where there is none or where the number does not fit. */
bool moed_read_u32(const char **at, uint32_t *out);
bool moed_read_u64(const char **at, uint64_t *out);

/* ---- text from outside ---- */
/* Whether all of a text is well-formed UTF-8 (RFC 3629). */
bool moed_is_utf8(const char *text);
/* Copies `length` bytes as UTF-8 that terminals, logs and JSON can hold: U+FFFD for each byte that
 * is malformed, a NUL, or (each byte of) a control character, a space for a tab or a line's end.
 * `dst` has room for 3 * length + 1; returns how many bytes stand before the NUL. */
size_t moed_clean_text(char *dst, const char *src, size_t length);

/* ---- memory ---- */
/* calloc with the product checked; NULL for a product that wraps. Free with free(). */
void *moed_calloc(uint64_t count, uint64_t size);
/* Zeroed memory aligned to 64 bytes, count × size; NULL if it wraps or there is none. free(). */
void *moed_aligned_alloc(uint64_t count, uint64_t size);

/* How much more memory this process may take, and what says so: the machine's MemAvailable and free
 * swap, the limit of a control group (v1, v2) that it is in, itself or within others, or its own
 * limit of addresses or data (ulimit -v, -d). */
struct moed_memory_free {
    uint64_t bytes; /* UINT64_MAX: nobody says */
    char by[160];
};
void moed_memory_free(struct moed_memory_free *out);

/* ---- processors: what the calling thread may run on, by its affinity ---- */
/* Hardware threads of one core count once; no more than the cgroup's quota of time; at least 1. */
uint32_t moed_physical_cores(void);
/* NUMA nodes that have some of its processors; 1 where nodes are not told apart. */
uint32_t moed_numa_nodes(void);
/* Keeps the calling thread, and those that it starts, to the `index`th of these nodes. False where
 * that has fewer than `cores` cores, or it is forbidden: the thread runs where it did. */
bool moed_run_on_node(uint32_t index, uint32_t cores);
/* Spreads what the calling thread, and those that it starts, touch first, over these nodes, page by
 * page; or puts it on the toucher's own node again. False where there is one node, or the kernel
 * does not let us (containers). */
bool moed_spread_memory(bool spread);
/* How many of `wanted` threads could be made beside those that there are, each with a stack of so
 * many bytes (0: the usual). They are made, and end at once. */
uint32_t moed_threads_possible(uint32_t wanted, size_t stack);

/* ---- clocks ---- */
uint64_t moed_now_ns(void);  /* monotonic, for durations and deadlines */
uint64_t moed_wall_ms(void); /* since 1970, for logs only */

/* ---- sets of small numbers: the layers of a server, the experts of a layer ---- */
struct moed_set {
    bool (*has)(const void *of, uint32_t number);
    const void *of;
    uint32_t n; /* members are below */
};
/* The first run of members from *first on, as [*first, *last]; false if there is none. */
bool moed_set_run(const struct moed_set *set, uint32_t *first, uint32_t *last);
/* "0-23, 40", for people; cut short with "…" where it does not fit (size at least 64). */
void moed_set_print(const struct moed_set *set, char *out, size_t size);

/* ---- sha256, for fingerprints (FIPS 180-4) ---- */
struct moed_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
};
void moed_sha256_init(struct moed_sha256 *s);
void moed_sha256_update(struct moed_sha256 *s, const void *data, size_t size);
void moed_sha256_final(struct moed_sha256 *s, char hex[65]);

#endif
