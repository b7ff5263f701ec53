/* keys: finding a key and reading its value as the type that the caller wants.
 * Keys are sorted by name once: duplicates show as neighbours, and however a hostile file names
 * its keys, sorting and finding take n log n and log n steps. */
#include "file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    const struct moed_gguf_key *x = a, *y = b;

    return strcmp(x->name, y->name);
}

int moed_gguf_sort_keys(struct moed_gguf_part *part, struct moed_error *err)
{
    qsort(part->keys, part->n_keys, sizeof *part->keys, by_name);
    for (size_t i = 1; i < part->n_keys; i++)
        if (strcmp(part->keys[i - 1].name, part->keys[i].name) == 0)
            return moed_fail(err, MOED_E_BAD_FILE,
                             "key '%.80s': found it twice (a duplicate), expected it once",
                             part->keys[i].name);
    return 0;
}

static const struct moed_gguf_key *find(const struct moed_gguf_part *part, const char *name)
{
    const struct moed_gguf_key wanted = {.name = name};

    return bsearch(&wanted, part->keys, part->n_keys, sizeof *part->keys, by_name);
}

static int wrong_type(const struct moed_gguf_key *key, const char *expected, struct moed_error *err)
{
    const bool array = key->type == MOED_GGUF_ARRAY;

    return moed_fail(err, MOED_E_BAD_FILE, "key '%.80s': found type %s%s, expected %s", key->name,
                     array ? "array of " : "",
                     moed_gguf_type_name(array ? key->element : key->type), expected);
}

int moed_gguf_part_u64(const struct moed_gguf_part *part, const char *name, uint64_t *out,
                       struct moed_error *err)
{
    const struct moed_gguf_key *key = find(part, name);
    uint64_t value;
    bool negative;

    if (key == NULL)
        return MOED_E_NOT_FOUND;
    if (!moed_gguf_integer(key->type, key->at, &value, &negative))
        return wrong_type(key, "an integer", err);
    if (negative)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "key '%.80s': found %" PRId64 ", expected an integer that is not negative",
                         name, (int64_t)value);
    *out = value;
    return 0;
}

int moed_gguf_part_string(const struct moed_gguf_part *part, const char *name,
                          const struct moed_gguf_key **out, struct moed_error *err)
{
    const struct moed_gguf_key *key = find(part, name);

    if (key == NULL)
        return MOED_E_NOT_FOUND;
    if (key->type != MOED_GGUF_STRING)
        return wrong_type(key, "a string", err);
    *out = key;
    return 0;
}

int moed_gguf_part_alignment(const struct moed_gguf_part *part, uint64_t *out,
                             struct moed_error *err)
{
    const struct moed_gguf_key *key = find(part, "general.alignment");

    *out = GGUF_ALIGNMENT;
    if (key == NULL)
        return 0;
    if (key->type != MOED_GGUF_U32)
        return wrong_type(key, "u32", err);
    const int rc = moed_gguf_part_u64(part, key->name, out, err);
    if (rc == 0 && (*out == 0 || (*out & (*out - 1)) != 0 || *out > GGUF_MAX_ALIGNMENT))
        return moed_fail(err, MOED_E_BAD_FILE,
                         "key '%s': found %" PRIu64 ", expected a power of two from 1 to %u",
                         key->name, *out, GGUF_MAX_ALIGNMENT);
    return rc;
}

/* ---- the door: the keys of the first part, and messages that begin with its path ---- */

static int in_file(const struct moed_gguf *gguf, int rc, struct moed_error *err)
{
    if (rc != 0 && rc != MOED_E_NOT_FOUND)
        moed_error_prefix(err, "%s", gguf->parts[0].path);
    return rc;
}

int moed_gguf_get_u64(const struct moed_gguf *gguf, const char *key, uint64_t *out,
                      struct moed_error *err)
{
    return in_file(gguf, moed_gguf_part_u64(&gguf->parts[0], key, out, err), err);
}

int moed_gguf_copy_string(const struct moed_gguf *gguf, const char *name, char **out,
                          struct moed_error *err)
{
    const struct moed_gguf_key *key = NULL;
    int rc = moed_gguf_part_string(&gguf->parts[0], name, &key, err);

    if (rc != 0 || key == NULL)
        return in_file(gguf, rc, err);
    *out = malloc(3 * (size_t)key->length + 1);
    if (*out == NULL)
        return in_file(gguf, moed_fail(err, MOED_E_NO_MEMORY, "no memory for key '%.80s'", name),
                       err);
    moed_clean_text(*out, (const char *)key->at, key->length);
    return 0;
}

int moed_gguf_get_f64(const struct moed_gguf *gguf, const char *name, double *out,
                      struct moed_error *err)
{
    const struct moed_gguf_key *key = find(&gguf->parts[0], name);

    if (key == NULL)
        return MOED_E_NOT_FOUND;
    if (!moed_gguf_float(key->type, key->at, out))
        return in_file(gguf, wrong_type(key, "f32 or f64", err), err);
    return 0;
}

/* Whoever wrote another byte than 0 and 1 did not write a bool. */
static int read_bool(const struct moed_gguf_key *key, uint64_t index, bool *out,
                     struct moed_error *err)
{
    if (key->at[index] > 1)
        return moed_fail(err, MOED_E_BAD_FILE, "key '%.80s': found a bool of %u, expected 0 or 1",
                         key->name, key->at[index]);
    *out = key->at[index] != 0;
    return 0;
}

int moed_gguf_get_bool(const struct moed_gguf *gguf, const char *name, bool *out,
                       struct moed_error *err)
{
    const struct moed_gguf_key *key = find(&gguf->parts[0], name);

    if (key == NULL)
        return MOED_E_NOT_FOUND;
    if (key->type != MOED_GGUF_BOOL)
        return in_file(gguf, wrong_type(key, "bool", err), err);
    return in_file(gguf, read_bool(key, 0, out, err), err);
}

bool moed_gguf_is_array(const struct moed_gguf *gguf, const char *name)
{
    const struct moed_gguf_key *key = find(&gguf->parts[0], name);

    return key != NULL && key->type == MOED_GGUF_ARRAY;
}

int moed_gguf_get_length(const struct moed_gguf *gguf, const char *name, uint64_t *out,
                         struct moed_error *err)
{
    const struct moed_gguf_key *key = find(&gguf->parts[0], name);

    if (key == NULL)
        return MOED_E_NOT_FOUND;
    if (key->type != MOED_GGUF_ARRAY)
        return in_file(gguf, wrong_type(key, "an array", err), err);
    *out = key->length;
    return 0;
}

static int read_element(const struct moed_gguf_key *key, uint64_t index, double *out,
                        struct moed_error *err)
{
    uint64_t integer;
    bool negative;

    if (key->type != MOED_GGUF_ARRAY || moed_gguf_type_size(key->element) == 0)
        return wrong_type(key, "an array of numbers", err);
    if (index >= key->length)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "key '%.80s': found an array of %" PRIu64
                         " values, expected at least %" PRIu64,
                         key->name, key->length, index + 1);
    const uint8_t *at = key->at + index * moed_gguf_type_size(key->element);
    if (key->element == MOED_GGUF_BOOL) {
        bool flag = false;
        const int rc = read_bool(key, index, &flag, err);
        *out = flag;
        return rc;
    }
    if (moed_gguf_integer(key->element, at, &integer, &negative))
        *out = negative ? (double)(int64_t)integer : (double)integer;
    else
        moed_gguf_float(key->element, at, out);
    return 0;
}

int moed_gguf_get_element(const struct moed_gguf *gguf, const char *name, uint64_t index,
                          double *out, struct moed_error *err)
{
    const struct moed_gguf_key *key = find(&gguf->parts[0], name);

    return key != NULL ? in_file(gguf, read_element(key, index, out, err), err) : MOED_E_NOT_FOUND;
}
