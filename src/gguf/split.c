/* split: models in several files, PREFIX-00001-of-00003.gguf and its siblings.
 * Siblings' names come from the name of the file that was asked for, never from what is written
 * in a file; what is written must agree. Keys of the llama.cpp splitter: split.no (from 0),
 * split.count, split.tensors.count (of all parts together). */
#include "file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX_LENGTH (sizeof("-00001-of-00003.gguf") - 1)
#define DIGITS        5

static bool read_digits(const char *text, uint32_t *out)
{
    uint32_t value = 0;

    for (int i = 0; i < DIGITS; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *out = value;
    return true;
}

int moed_gguf_split_name(const char *path, struct moed_gguf_split *out, struct moed_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *file = slash != NULL ? slash + 1 : path;
    const size_t length = strlen(file);
    struct moed_gguf_split name;

    *out = (struct moed_gguf_split){.number = 1, .count = 1};
    if (length < SUFFIX_LENGTH)
        return 0;
    const char *suffix = file + length - SUFFIX_LENGTH;
    if (suffix[0] != '-' || memcmp(suffix + 6, "-of-", 4) != 0 ||
        strcmp(suffix + 15, ".gguf") != 0 || !read_digits(suffix + 1, &name.number) ||
        !read_digits(suffix + 10, &name.count))
        return 0;
    if (name.number < 1 || name.number > name.count || name.count > GGUF_MAX_PARTS)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "%s: found the name of part %" PRIu32 " of %" PRIu32
                         ", expected a part from 1 to the count, and at most %u parts",
                         path, name.number, name.count, GGUF_MAX_PARTS);
    name.prefix = (size_t)(suffix - path);
    *out = name;
    return 0;
}

char *moed_gguf_split_path(const char *path, const struct moed_gguf_split *split, uint32_t number)
{
    char *sibling = NULL;

    if (split->count == 1)
        return strdup(path);
    if (asprintf(&sibling, "%.*s-%05" PRIu32 "-of-%05" PRIu32 ".gguf", (int)split->prefix, path,
                 number, split->count) < 0)
        return NULL;
    return sibling;
}

static bool is_there(const char *path, const struct moed_gguf_split *split, uint32_t number)
{
    char *sibling = moed_gguf_split_path(path, split, number);
    const bool there = sibling == NULL || access(sibling, F_OK) == 0;

    free(sibling);
    return there;
}

/* As merged from parts under the name of the first. */
bool moed_gguf_split_is_whole(const char *path, const struct moed_gguf_split *split)
{
    struct moed_gguf_part part;
    uint64_t count = 1;
    bool whole;

    for (uint32_t i = 1; i <= split->count; i++)
        if (i != split->number && is_there(path, split, i))
            return false;
    whole = moed_gguf_part_open(&part, strdup(path), NULL) == 0;
    if (whole) {
        const int rc = moed_gguf_part_u64(&part, "split.count", &count, NULL);

        whole = rc == MOED_E_NOT_FOUND || (rc == 0 && count <= 1);
    }
    moed_gguf_part_close(&part);
    return whole;
}

/* Whether a key of a part has the value that the part's name implies. */
static int check_key(const struct moed_gguf_part *part, const char *key, uint64_t expected,
                     struct moed_error *err)
{
    uint64_t found;
    const int rc = moed_gguf_part_u64(part, key, &found, err);

    if (rc == MOED_E_NOT_FOUND)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "key '%s': found none, expected %" PRIu64 " from the file's name", key,
                         expected);
    if (rc == 0 && found != expected)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "key '%s': found %" PRIu64 ", expected %" PRIu64 " from the file's name",
                         key, found, expected);
    return rc;
}

static bool same_text(const struct moed_gguf_key *a, const struct moed_gguf_key *b)
{
    return a->length == b->length && memcmp(a->at, b->at, a->length) == 0;
}

static int check_arch(const struct moed_gguf *gguf, const struct moed_gguf_part *part,
                      struct moed_error *err)
{
    static const char key[] = "general.architecture";
    const struct moed_gguf_key *first, *own;
    int rc = moed_gguf_part_string(part, key, &own, err);

    if (rc == MOED_E_NOT_FOUND)
        return 0; /* as parts after the first are written */
    if (rc == 0)
        rc = moed_gguf_part_string(&gguf->parts[0], key, &first, err);
    if (rc == MOED_E_NOT_FOUND || (rc == 0 && !same_text(first, own)))
        return moed_fail(err, MOED_E_BAD_FILE,
                         "key '%s': found another than in the first part, expected the same: this "
                         "part belongs to a different model",
                         key);
    return rc;
}

static int check_lone(const struct moed_gguf_part *part, struct moed_error *err)
{
    uint64_t count = 1;
    const int rc = moed_gguf_part_u64(part, "split.count", &count, err);

    if (rc != MOED_E_NOT_FOUND && rc != 0)
        return rc;
    if (count > 1)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "key 'split.count': found a part of %" PRIu64
                         ", expected its name to end in -NNNNN-of-%05" PRIu64
                         ".gguf so that the other parts can be found",
                         count, count);
    return 0;
}

int moed_gguf_split_check(const struct moed_gguf *gguf, const struct moed_gguf_split *split,
                          uint32_t index, struct moed_error *err)
{
    const struct moed_gguf_part *part = &gguf->parts[index];
    int rc;

    if (split->count == 1) {
        rc = check_lone(part, err);
    } else {
        rc = check_key(part, "split.count", split->count, err);
        if (rc == 0)
            rc = check_key(part, "split.no", index, err);
        if (rc == 0 && index > 0)
            rc = check_arch(gguf, part, err);
    }
    if (rc != 0)
        moed_error_prefix(err, "%s", part->path);
    return rc;
}

int moed_gguf_split_check_total(const struct moed_gguf *gguf, struct moed_error *err)
{
    for (uint32_t i = 0; gguf->n_parts > 1 && i < gguf->n_parts; i++) {
        uint64_t total = gguf->n_tensors;
        int rc = moed_gguf_part_u64(&gguf->parts[i], "split.tensors.count", &total, err);
        if (rc == MOED_E_NOT_FOUND)
            continue;
        if (rc == 0 && total != gguf->n_tensors)
            rc = moed_fail(err, MOED_E_BAD_FILE,
                           "key 'split.tensors.count': found %" PRIu64
                           ", expected the %zu tensors of all parts",
                           total, gguf->n_tensors);
        if (rc != 0) {
            moed_error_prefix(err, "%s", gguf->parts[i].path);
            return rc;
        }
    }
    return 0;
}
