/* open: a model from its one or several files, and finding tensors in it. */
#include "file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int open_parts(struct moed_gguf *gguf, const char *path, const struct moed_gguf_split *split,
                      struct moed_error *err)
{
    gguf->parts = moed_calloc(split->count, sizeof *gguf->parts);
    if (gguf->parts == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "%s: no memory for %" PRIu32 " parts", path,
                         split->count);
    gguf->n_parts = split->count;
    for (uint32_t i = 0; i < split->count; i++) {
        char *own_path = moed_gguf_split_path(path, split, i + 1);
        int rc = moed_gguf_part_open(&gguf->parts[i], own_path, err);
        if (rc == 0)
            rc = moed_gguf_split_check(gguf, split, i, err);
        if (rc != 0) {
            if (split->count > 1)
                moed_error_prefix(err, "part %" PRIu32 " of %" PRIu32, i + 1, split->count);
            return rc;
        }
    }
    return 0;
}

/* Moves the tensors of all parts into one array. */
static int gather(struct moed_gguf *gguf, struct moed_error *err)
{
    for (uint32_t i = 0; i < gguf->n_parts; i++)
        gguf->n_tensors += gguf->parts[i].n_tensors;
    gguf->tensors = moed_calloc(gguf->n_tensors, sizeof *gguf->tensors);
    gguf->by_name = moed_calloc(gguf->n_tensors, sizeof(struct moed_gguf_tensor *));
    if (gguf->tensors == NULL || gguf->by_name == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "%s: no memory for %zu tensors",
                         gguf->parts[0].path, gguf->n_tensors);

    struct moed_gguf_tensor *to = gguf->tensors;
    for (uint32_t i = 0; i < gguf->n_parts; i++) {
        struct moed_gguf_part *part = &gguf->parts[i];
        for (size_t t = 0; t < part->n_tensors; t++) {
            *to = part->tensors[t];
            to->part = i;
            to++;
        }
        free(part->tensors);
        part->tensors = NULL;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct moed_gguf_tensor *x = *(const struct moed_gguf_tensor *const *)a;
    const struct moed_gguf_tensor *y = *(const struct moed_gguf_tensor *const *)b;

    return strcmp(x->name, y->name);
}

/* Sorted like the keys, and for the same reason: n log n whatever the names are. */
static int index_names(struct moed_gguf *gguf, struct moed_error *err)
{
    for (size_t i = 0; i < gguf->n_tensors; i++)
        gguf->by_name[i] = &gguf->tensors[i];
    qsort(gguf->by_name, gguf->n_tensors, sizeof(struct moed_gguf_tensor *), by_name);
    for (size_t i = 1; i < gguf->n_tensors; i++) {
        const struct moed_gguf_tensor *a = gguf->by_name[i - 1], *b = gguf->by_name[i];
        if (strcmp(a->name, b->name) == 0)
            return moed_fail(err, MOED_E_BAD_FILE,
                             "%s: tensor '%s': found it twice (a duplicate, in parts %" PRIu32
                             " and %" PRIu32 "), expected it once",
                             gguf->parts[b->part].path, b->name, a->part + 1, b->part + 1);
    }
    return 0;
}

static int open_all(const char *path, struct moed_gguf **out, struct moed_error *err)
{
    struct moed_gguf_split split;
    int rc = moed_gguf_split_name(path, &split, err);

    if (rc != 0)
        return rc;
    if (split.count > 1 && moed_gguf_split_is_whole(path, &split))
        split = (struct moed_gguf_split){.number = 1, .count = 1};
    struct moed_gguf *gguf = moed_calloc(1, sizeof *gguf);
    if (gguf == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "%s: no memory to open it", path);
    rc = open_parts(gguf, path, &split, err);
    if (rc == 0)
        rc = gather(gguf, err);
    if (rc == 0)
        rc = moed_gguf_split_check_total(gguf, err);
    if (rc == 0)
        rc = index_names(gguf, err);
    if (rc != 0) {
        moed_gguf_close(gguf);
        return rc;
    }
    *out = gguf;
    return 0;
}

int moed_gguf_open(const char *path, struct moed_gguf **out, struct moed_error *err)
{
    const int rc = open_all(path, out, err);

    if (rc != 0)
        moed_gguf_advise(path, err);
    return rc;
}

void moed_gguf_close(struct moed_gguf *gguf)
{
    if (gguf == NULL)
        return;
    for (uint32_t i = 0; i < gguf->n_parts; i++)
        moed_gguf_part_close(&gguf->parts[i]);
    free(gguf->parts);
    free(gguf->tensors);
    free(gguf->by_name);
    free(gguf);
}

uint32_t moed_gguf_count_parts(const char *path)
{
    struct moed_gguf_split split;
    struct moed_error ignored;

    return moed_gguf_split_name(path, &split, &ignored) == 0 ? split.count : 1;
}

uint32_t moed_gguf_version(const struct moed_gguf *gguf)
{
    return gguf->parts[0].version;
}

uint32_t moed_gguf_parts(const struct moed_gguf *gguf)
{
    return gguf->n_parts;
}

const char *moed_gguf_path(const struct moed_gguf *gguf, uint32_t part)
{
    return part < gguf->n_parts ? gguf->parts[part].path : NULL;
}

size_t moed_gguf_tensor_count(const struct moed_gguf *gguf)
{
    return gguf->n_tensors;
}

const struct moed_gguf_tensor *moed_gguf_tensor_at(const struct moed_gguf *gguf, size_t i)
{
    return i < gguf->n_tensors ? &gguf->tensors[i] : NULL;
}

int moed_gguf_check(const struct moed_gguf *gguf, const struct moed_gguf_tensor *tensor,
                    struct moed_error *err)
{
    const int rc = moed_gguf_check_tensor(tensor, err);

    if (rc != 0)
        moed_error_prefix(err, "%s", gguf->parts[tensor->part].path);
    return rc;
}

const struct moed_gguf_tensor *moed_gguf_find(const struct moed_gguf *gguf, const char *name)
{
    size_t low = 0, high = gguf->n_tensors;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name, gguf->by_name[middle]->name);
        if (order == 0)
            return gguf->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
