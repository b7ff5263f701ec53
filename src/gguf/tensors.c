/* tensors: the descriptions of a part's tensors, and whether its data can be where they say.
 *
 *   string name | u32 n_dims | u64 dims[n_dims] | u32 type | u64 offset from the data's start
 *
 * Tensors may lie in any order and leave gaps; they may not overlap or leave the file. The last
 * one needs its own bytes only: the padding behind it is often missing. */
#include "file.h"

#include <inttypes.h>
#include <stdlib.h>

/* What a tensor may be that nobody needs: such a one has no bytes that could be read. */
static int check_use(const struct moed_gguf_tensor *t, struct moed_error *err)
{
    if (t->format == NULL)
        return moed_fail(err, MOED_E_UNSUPPORTED,
                         "found tensor type %" PRIu32 ", expected one that this program knows",
                         t->type);
    if (t->n_dims < 1)
        return moed_fail(err, MOED_E_BAD_FILE, "found 0 dimensions, expected 1 to %zu",
                         MOED_ARRAY_LEN(t->dims));
    for (uint32_t d = 0; d < t->n_dims; d++)
        if (t->dims[d] == 0)
            return moed_fail(err, MOED_E_BAD_FILE,
                             "found dimension %u of 0, expected 1 to %" PRIu64, d, GGUF_MAX_DIM);
    if (t->dims[0] % t->format->block != 0)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "found rows of %" PRIu64
                         " elements, expected a multiple of %s's block, "
                         "%" PRIu32,
                         t->dims[0], t->format->name, t->format->block);
    return 0;
}

int moed_gguf_check_tensor(const struct moed_gguf_tensor *tensor, struct moed_error *err)
{
    const int rc = check_use(tensor, err);

    if (rc != 0)
        moed_error_prefix(err, "tensor '%s'", tensor->name);
    return rc;
}

/* Sizes that no file can have mean that the header is not what it was, whoever needs the tensor. */
static int measure(struct moed_gguf_tensor *t, struct moed_error *err)
{
    uint64_t elements = 1, row_bytes;

    for (uint32_t d = 0; d < t->n_dims; d++) {
        if (t->dims[d] > GGUF_MAX_DIM)
            return moed_fail(err, MOED_E_BAD_FILE,
                             "found dimension %u of %" PRIu64 ", expected 1 to %" PRIu64, d,
                             t->dims[d], GGUF_MAX_DIM);
        if (!moed_mul(elements, t->dims[d], &elements))
            return moed_fail(err, MOED_E_BAD_FILE,
                             "found dimensions whose product overflows at dimension %u, expected "
                             "one under 2^64",
                             d);
    }
    t->bytes = 0;
    if (check_use(t, NULL) != 0)
        return 0;
    if (!moed_format_row_bytes(t->format, t->dims[0], &row_bytes) ||
        !moed_mul(row_bytes, elements / t->dims[0], &t->bytes))
        return moed_fail(err, MOED_E_BAD_FILE,
                         "found a size in bytes that overflows, expected one under 2^64");
    return 0;
}

/* What follows a tensor's name. */
static int parse_body(struct moed_gguf_tensor *t, struct moed_cursor *c, struct moed_error *err)
{
    t->n_dims = moed_cursor_u32(c);
    if (!c->failed && t->n_dims > MOED_ARRAY_LEN(t->dims))
        return moed_fail(err, MOED_E_BAD_FILE, "found %" PRIu32 " dimensions, expected 1 to %zu",
                         t->n_dims, MOED_ARRAY_LEN(t->dims));
    for (uint32_t d = 0; d < MOED_ARRAY_LEN(t->dims); d++)
        t->dims[d] = d < t->n_dims ? moed_cursor_u64(c) : 1;

    t->type = moed_cursor_u32(c);
    t->offset = moed_cursor_u64(c);
    t->format = moed_format_by_id(t->type);
    return measure(t, err);
}

static int parse_tensor(struct moed_gguf_part *part, size_t i, struct moed_cursor *c,
                        struct moed_error *err)
{
    struct moed_gguf_tensor *t = &part->tensors[i];
    uint64_t length;

    t->name = moed_gguf_take_string(part, c, GGUF_MAX_NAME, &length);
    if (t->name == NULL || length == 0 || !moed_gguf_is_plain(t->name, length))
        return moed_fail(err, MOED_E_BAD_FILE,
                         "tensor %zu of %zu: found a name of %" PRIu64
                         " bytes, expected 1 to %u of printable ASCII",
                         i + 1, part->n_tensors, length, GGUF_MAX_NAME);
    const int rc = parse_body(t, c, err);
    if (rc != 0)
        moed_error_prefix(err, "tensor '%s'", t->name);
    return rc;
}

/* Turns an offset from the data's start into one from the file's, if the data is there. */
static int place(const struct moed_gguf_part *part, struct moed_gguf_tensor *t, uint64_t alignment,
                 uint64_t data_start, struct moed_error *err)
{
    uint64_t end;

    if (t->offset % alignment != 0)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "tensor '%s': found offset %" PRIu64
                         ", expected a multiple of the alignment, %" PRIu64,
                         t->name, t->offset, alignment);
    if (!moed_add(t->offset, data_start, &t->offset) || !moed_add(t->offset, t->bytes, &end))
        return moed_fail(err, MOED_E_BAD_FILE,
                         "tensor '%s': found an offset that overflows, expected one in the file",
                         t->name);
    if (end > part->size)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "tensor '%s': found its data at bytes %" PRIu64 " to %" PRIu64
                         ", expected it within the file's %" PRIu64 " bytes",
                         t->name, t->offset, end, part->size);
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct moed_gguf_tensor *x = *(const struct moed_gguf_tensor *const *)a;
    const struct moed_gguf_tensor *y = *(const struct moed_gguf_tensor *const *)b;

    return (x->offset > y->offset) - (x->offset < y->offset);
}

static int check_overlap(const struct moed_gguf_part *part, struct moed_error *err)
{
    const size_t size = sizeof(struct moed_gguf_tensor *);
    const struct moed_gguf_tensor **sorted = moed_calloc(part->n_tensors, size);
    size_t n = 0; /* that have bytes */
    int rc = MOED_OK;

    if (sorted == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %zu tensors", part->n_tensors);
    for (size_t i = 0; i < part->n_tensors; i++)
        if (part->tensors[i].bytes > 0)
            sorted[n++] = &part->tensors[i];
    qsort(sorted, n, size, by_offset);
    for (size_t i = 1; i < n && rc == 0; i++) {
        const uint64_t end = sorted[i - 1]->offset + sorted[i - 1]->bytes;
        if (sorted[i]->offset < end)
            rc = moed_fail(err, MOED_E_BAD_FILE,
                           "tensor '%s': found its data at byte %" PRIu64
                           ", expected it behind the end of tensor '%s' at %" PRIu64,
                           sorted[i]->name, sorted[i]->offset, sorted[i - 1]->name, end);
    }
    free(sorted);
    return rc;
}

static int place_all(struct moed_gguf_part *part, uint64_t header_end, struct moed_error *err)
{
    uint64_t alignment, data_start;
    int rc = moed_gguf_part_alignment(part, &alignment, err);

    if (rc != 0 || part->n_tensors == 0)
        return rc;
    if (!moed_align_up(header_end, alignment, &data_start))
        return moed_fail(err, MOED_E_BAD_FILE,
                         "found a header that ends at byte %" PRIu64
                         ", expected one that can be aligned",
                         header_end);
    for (size_t i = 0; i < part->n_tensors; i++)
        if ((rc = place(part, &part->tensors[i], alignment, data_start, err)) != 0)
            return rc;
    return check_overlap(part, err);
}

int moed_gguf_parse_tensors(struct moed_gguf_part *part, struct moed_cursor *c,
                            struct moed_error *err)
{
    part->tensors = moed_calloc(part->n_tensors, sizeof *part->tensors);
    if (part->tensors == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %zu tensors", part->n_tensors);
    for (size_t i = 0; i < part->n_tensors; i++) {
        const int rc = parse_tensor(part, i, c, err);
        if (c->failed)
            return moed_fail(err, MOED_E_BAD_FILE,
                             "cut short: found its end at byte %" PRIu64
                             " inside tensor %zu of %zu ('%s'), expected all descriptions",
                             part->size, i + 1, part->n_tensors,
                             part->tensors[i].name != NULL ? part->tensors[i].name : "");
        if (rc != 0)
            return rc;
    }
    return place_all(part, (uint64_t)(c->at - part->header), err);
}
