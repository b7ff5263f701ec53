/* parse: a part's header: magic, version, counts and keys; tensors.c goes on from there.
 *
 *   'G' 'G' 'U' 'F' | u32 version | u64 n_tensors | u64 n_keys | keys… | tensors… | padding | data
 *   string: u64 bytes, text            key:   string name, u32 type, value
 *   array:  u32 type, u64 n, elements  All little-endian and packed, without padding.
 *
 * Counts and lengths are compared with what the file can hold before anything is allocated. */
#include "file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES       24U
#define LEAST_KEY_BYTES  14U /* a name of one byte and a value of one */
#define LEAST_INFO_BYTES 25U /* a name of one byte and no dimension */
#define SHOWN_KEY        80  /* bytes of a key's name in a message */
#define MAX_DEPTH        8   /* of arrays in arrays */

bool moed_gguf_is_plain(const char *text, uint64_t length)
{
    for (uint64_t i = 0; i < length; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    return true;
}

const char *moed_gguf_take_string(struct moed_gguf_part *part, struct moed_cursor *c,
                                  uint64_t limit, uint64_t *length)
{
    *length = moed_cursor_u64(c);
    if (c->failed || *length > limit)
        return NULL;
    const uint8_t *bytes = moed_cursor_take(c, *length);
    if (bytes == NULL)
        return NULL;
    /* The length before the text has been read: the text moves one byte into its place, which
     * leaves one behind it for the NUL. */
    char *text = (char *)part->header + (bytes - part->header) - 1;
    memmove(text, text + 1, *length);
    text[*length] = '\0';
    return text;
}

static int check_version(uint32_t version, struct moed_error *err)
{
    if (version == 2 || version == 3)
        return 0;
    if (version == 0)
        return moed_fail(err, MOED_E_BAD_FILE, "found GGUF version 0, expected 2 or 3");
    if ((version & 0xffff) == 0)
        return moed_fail(err, MOED_E_UNSUPPORTED,
                         "found a big-endian GGUF (its version reads 0x%08" PRIx32
                         "), expected a little-endian one",
                         version);
    if (version == 1)
        return moed_fail(err, MOED_E_UNSUPPORTED,
                         "found GGUF version 1, which is obsolete, expected 2 or 3: convert the "
                         "model again");
    return moed_fail(err, MOED_E_UNSUPPORTED,
                     "found GGUF version %" PRIu32
                     ", which is newer than this program, expected "
                     "2 or 3",
                     version);
}

static int check_count(const struct moed_gguf_part *part, const char *what, uint64_t count,
                       uint64_t limit, struct moed_error *err)
{
    const uint64_t least = *what == 'k' ? LEAST_KEY_BYTES : LEAST_INFO_BYTES;
    const uint64_t room = (part->size - HEAD_BYTES) / least;

    if (count > limit)
        return moed_fail(err, MOED_E_BAD_FILE, "found %" PRIu64 " %s, expected at most %" PRIu64,
                         count, what, limit);
    if (count > room)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "found %" PRIu64 " %s, expected at most the %" PRIu64
                         " that fit the file's %" PRIu64 " bytes",
                         count, what, room, part->size);
    return 0;
}

static int parse_head(struct moed_gguf_part *part, struct moed_cursor *c, struct moed_error *err)
{
    const uint8_t *magic = moed_cursor_take(c, 4);
    int rc;

    if (magic != NULL && memcmp(magic, "GGUF", 4) != 0)
        return moed_gguf_refuse_foreign(magic, part->header_size, err);
    part->version = moed_cursor_u32(c);
    if (!c->failed && (rc = check_version(part->version, err)) != 0)
        return rc;
    part->n_tensors = moed_cursor_u64(c);
    part->n_keys = moed_cursor_u64(c);
    if (c->failed)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "cut short: found %" PRIu64 " bytes, expected at least the %u of a header",
                         part->size, HEAD_BYTES);
    rc = check_count(part, "tensors", part->n_tensors, GGUF_MAX_TENSORS, err);
    return rc != 0 ? rc : check_count(part, "keys", part->n_keys, GGUF_MAX_KEYS, err);
}

/* Strings of an array are stepped over: a vocabulary is of no use to us. */
static int skip_strings(uint64_t n, struct moed_cursor *c, struct moed_error *err)
{
    for (uint64_t i = 0; i < n && !c->failed; i++) {
        const uint64_t length = moed_cursor_u64(c);
        if (length > GGUF_MAX_STRING)
            return moed_fail(err, MOED_E_BAD_FILE,
                             "element %" PRIu64 ": found a string of %" PRIu64
                             " bytes, expected at most %u",
                             i, length, GGUF_MAX_STRING);
        moed_cursor_take(c, length);
    }
    return 0;
}

static int parse_array(const struct moed_gguf_part *part, struct moed_gguf_key *key, unsigned depth,
                       struct moed_cursor *c, struct moed_error *err);

/* Arrays of an array are stepped over too. */
static int skip_arrays(const struct moed_gguf_part *part, uint64_t n, unsigned depth,
                       struct moed_cursor *c, struct moed_error *err)
{
    struct moed_gguf_key inner = {0};
    int rc = MOED_OK;

    if (depth == MAX_DEPTH)
        return moed_fail(err, MOED_E_UNSUPPORTED,
                         "found arrays nested more than %d deep, expected fewer", MAX_DEPTH);
    for (uint64_t i = 0; i < n && !c->failed && rc == 0; i++)
        rc = parse_array(part, &inner, depth + 1, c, err);
    return rc;
}

static uint64_t least_size(uint32_t element)
{
    if (element == MOED_GGUF_STRING)
        return sizeof(uint64_t);
    if (element == MOED_GGUF_ARRAY)
        return sizeof(uint32_t) + sizeof(uint64_t);
    return moed_gguf_type_size(element);
}

static int parse_array(const struct moed_gguf_part *part, struct moed_gguf_key *key, unsigned depth,
                       struct moed_cursor *c, struct moed_error *err)
{
    key->element = moed_cursor_u32(c);
    key->length = moed_cursor_u64(c);

    const uint64_t least = least_size(key->element);
    const uint64_t left = part->size - (uint64_t)(c->at - part->header);
    uint64_t bytes;
    if (least == 0)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "found an array of value type %" PRIu32 ", expected a type of 0 to %d",
                         key->element, MOED_GGUF_F64);
    if (!moed_mul(key->length, least, &bytes) || bytes > left)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "found an array of %" PRIu64 " %s values, expected at most the %" PRIu64
                         " that fit the rest of the file",
                         key->length, moed_gguf_type_name(key->element), left / least);
    if (key->element == MOED_GGUF_STRING)
        return skip_strings(key->length, c, err);
    if (key->element == MOED_GGUF_ARRAY)
        return skip_arrays(part, key->length, depth, c, err);
    key->at = moed_cursor_take(c, bytes);
    return 0;
}

static int parse_string(struct moed_gguf_part *part, struct moed_gguf_key *key,
                        struct moed_cursor *c, struct moed_error *err)
{
    const char *text = moed_gguf_take_string(part, c, GGUF_MAX_STRING, &key->length);

    if (text == NULL)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "found a string of %" PRIu64 " bytes, expected at most %u", key->length,
                         GGUF_MAX_STRING);
    key->at = (const uint8_t *)text;
    return 0;
}

static int parse_value(struct moed_gguf_part *part, struct moed_gguf_key *key,
                       struct moed_cursor *c, struct moed_error *err)
{
    key->type = moed_cursor_u32(c);
    if (key->type == MOED_GGUF_STRING)
        return parse_string(part, key, c, err);
    if (key->type == MOED_GGUF_ARRAY)
        return parse_array(part, key, 1, c, err);

    const size_t size = moed_gguf_type_size(key->type);
    if (size == 0)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "found value type %" PRIu32 ", expected a type of 0 to %d", key->type,
                         MOED_GGUF_F64);
    key->at = moed_cursor_take(c, size);
    return 0;
}

static int parse_key(struct moed_gguf_part *part, size_t i, struct moed_cursor *c,
                     struct moed_error *err)
{
    struct moed_gguf_key *key = &part->keys[i];
    uint64_t length;

    key->name = moed_gguf_take_string(part, c, GGUF_MAX_KEY_LENGTH, &length);
    if (key->name == NULL || length == 0 || !moed_gguf_is_plain(key->name, length))
        return moed_fail(err, MOED_E_BAD_FILE,
                         "key %zu of %zu: found a name of %" PRIu64
                         " bytes, expected 1 to %u of printable ASCII",
                         i + 1, part->n_keys, length, GGUF_MAX_KEY_LENGTH);
    const int rc = parse_value(part, key, c, err);
    if (rc != 0)
        moed_error_prefix(err, "key '%.*s'", SHOWN_KEY, key->name);
    return rc;
}

static int parse_keys(struct moed_gguf_part *part, struct moed_cursor *c, struct moed_error *err)
{
    part->keys = moed_calloc(part->n_keys, sizeof *part->keys);
    if (part->keys == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %zu keys", part->n_keys);
    for (size_t i = 0; i < part->n_keys; i++) {
        const int rc = parse_key(part, i, c, err);
        if (c->failed)
            return moed_fail(err, MOED_E_BAD_FILE,
                             "cut short: found its end at byte %" PRIu64
                             " inside key %zu of %zu ('%.*s'), expected all keys",
                             part->size, i + 1, part->n_keys, SHOWN_KEY,
                             part->keys[i].name != NULL ? part->keys[i].name : "");
        if (rc != 0)
            return rc;
    }
    return moed_gguf_sort_keys(part, err);
}

int moed_gguf_parse(struct moed_gguf_part *part, struct moed_cursor *c, struct moed_error *err)
{
    int rc = parse_head(part, c, err);

    if (rc == 0)
        rc = parse_keys(part, c, err);
    return rc == 0 ? moed_gguf_parse_tensors(part, c, err) : rc;
}
