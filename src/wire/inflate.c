/* inflate: bodies that came compressed (RFC 1950 to 1952), into memory that grows with what they
 * turn out to hold, never beyond a limit: a few bytes may stand for a thousand times as many. */
#include "src/wire/coding.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ZLIB_CONST
#include <zlib.h>

enum {
    FIRST_CAPACITY = 64 << 10,
    STEP_MAX = 1 << 30, /* zlib counts in 32 bits */
    WINDOW = 15,
    GZIP = 16,     /* added to the window: a gzip header is expected */
    CM_DEFLATE = 8 /* of zlib's first byte */
};

struct inflating {
    const struct moed_inflate *how;
    z_stream z;
    const uint8_t *in;
    size_t in_left;
    char *out;
    size_t capacity, size;
};

bool moed_coding_from_name(const char *name, enum moed_coding *out)
{
    static const struct {
        const char *name;
        enum moed_coding coding;
    } names[] = {{"identity", MOED_CODING_IDENTITY},
                 {"gzip", MOED_CODING_GZIP},
                 {"x-gzip", MOED_CODING_GZIP},
                 {"deflate", MOED_CODING_DEFLATE}};

    for (size_t i = 0; i < MOED_ARRAY_LEN(names); i++) {
        if (strcasecmp(name, names[i].name) == 0) {
            *out = names[i].coding;
            return true;
        }
    }
    return false;
}

/* "deflate" is zlib's format, but half the world sends the bare stream, whose first byte cannot be
 * mistaken: it would be a stored block whose padding is not zero. */
static int window_bits(enum moed_coding coding, const uint8_t *data, size_t size)
{
    if (coding == MOED_CODING_GZIP)
        return WINDOW + GZIP;
    if (size >= 2 && (data[0] & 0x0F) == CM_DEFLATE && data[0] >> 4 <= 7 &&
        (data[0] * 256 + data[1]) % 31 == 0)
        return WINDOW;
    return -WINDOW;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int too_large(const struct inflating *i, struct moed_error *err)
{
    return moed_fail(err, MOED_E_TOO_LARGE,
                     "the body inflates to more than %zu bytes, which is the limit", i->how->limit);
}

/* One byte more than the limit may be written, to see that there is one. */
static int grow(struct inflating *i, struct moed_error *err)
{
    const struct moed_inflate *how = i->how;
    size_t capacity = i->capacity > 0 ? i->capacity * 2 : FIRST_CAPACITY;
    char *out;
    int rc;

    capacity = smaller(capacity, how->limit < SIZE_MAX ? how->limit + 1 : how->limit);
    rc = how->take != NULL ? how->take(how->context, capacity - i->capacity, err) : 0;
    if (rc != 0)
        return rc;
    out = realloc(i->out, capacity);
    if (out == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a body of %zu bytes", capacity);
    i->out = out;
    i->capacity = capacity;
    return 0;
}

/* One call of zlib's; its result. */
static int step(struct inflating *i)
{
    size_t in = smaller(i->in_left, STEP_MAX), room = smaller(i->capacity - i->size, STEP_MAX);
    int rc;

    i->z.next_in = i->in;
    i->z.avail_in = (uInt)in;
    i->z.next_out = (Bytef *)i->out + i->size;
    i->z.avail_out = (uInt)room;
    rc = inflate(&i->z, Z_NO_FLUSH);
    i->in += in - i->z.avail_in;
    i->in_left -= in - i->z.avail_in;
    i->size += room - i->z.avail_out;
    return rc;
}

static int explain(const struct inflating *i, int rc, struct moed_error *err)
{
    if (rc == Z_MEM_ERROR)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory to inflate the body");
    if (rc == Z_BUF_ERROR || rc == Z_OK)
        return moed_fail(err, MOED_E_MALFORMED,
                         "the compressed body ends too early, after %zu bytes of what is in it",
                         i->size);
    if (rc == Z_STREAM_END)
        return moed_fail(err, MOED_E_MALFORMED,
                         "the compressed body goes on for %zu bytes after its end", i->in_left);
    return moed_fail(err, MOED_E_MALFORMED, "the compressed body is damaged: %s",
                     i->z.msg != NULL ? i->z.msg : "it needs a dictionary");
}

/* Until the end of the stream, or of all members of a gzip file. */
static int run(struct inflating *i, struct moed_error *err)
{
    int rc = 0;

    for (;;) {
        int z;

        if (i->size == i->capacity && (rc = grow(i, err)) != 0)
            return rc;
        z = step(i);
        if (i->size > i->how->limit)
            return too_large(i, err);
        if (z == Z_STREAM_END && i->in_left == 0)
            return 0;
        if (z == Z_STREAM_END && i->how->coding == MOED_CODING_GZIP && *i->in == 0x1F)
            z = inflateReset(&i->z);
        if (z != Z_OK || (i->in_left == 0 && i->size < i->capacity))
            return explain(i, z, err);
    }
}

int moed_wire_inflate(const struct moed_inflate *how, const void *data, size_t size, char **out,
                      size_t *out_size, struct moed_error *err)
{
    struct inflating i = {.how = how, .in = data, .in_left = size};
    int rc;

    if (inflateInit2(&i.z, window_bits(how->coding, data, size)) != Z_OK)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory to inflate the body");
    rc = run(&i, err);
    inflateEnd(&i.z);
    if (rc != 0) {
        free(i.out);
        return rc;
    }
    *out = i.out;
    *out_size = i.size;
    return 0;
}
