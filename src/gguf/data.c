/* data: the bytes of tensors, copied out or borrowed from a mapping. */
#include "file.h"
#include "guard.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int moed_gguf_read(const struct moed_gguf *gguf, const struct moed_gguf_tensor *tensor,
                   uint64_t offset, uint64_t size, void *dst, struct moed_error *err)
{
    const struct moed_gguf_part *part = &gguf->parts[tensor->part];
    uint64_t end;

    if (!moed_add(offset, size, &end) || end > tensor->bytes)
        return moed_fail(err, MOED_E_INTERNAL,
                         "%s: tensor '%s': asked for %" PRIu64 " bytes at %" PRIu64
                         ", expected a range within its %" PRIu64,
                         part->path, tensor->name, size, offset, tensor->bytes);
    return moed_gguf_part_read(part, tensor->offset + offset, size, dst, err);
}

static int map_part(struct moed_gguf_part *part, struct moed_error *err)
{
    void *map = mmap(NULL, part->size, PROT_READ, MAP_SHARED, part->fd, 0);

    if (map == MAP_FAILED)
        return moed_fail(err, MOED_E_IO, "%s: cannot be mapped: %s", part->path, strerror(errno));
    part->map = map;
    part->guard = guard_add(map, part->size);
    return 0;
}

int moed_gguf_map(struct moed_gguf *gguf, const struct moed_gguf_tensor *tensor,
                  const uint8_t **out, struct moed_error *err)
{
    struct moed_gguf_part *part = &gguf->parts[tensor->part];
    struct stat st;

    /* Spares the careless a SIGBUS where the harm is done already. */
    if (fstat(part->fd, &st) != 0 || (uint64_t)st.st_size < tensor->offset + tensor->bytes)
        return moed_fail(err, MOED_E_IO,
                         "%s: found it shorter than tensor '%s' needs, expected the %" PRIu64
                         " bytes that it had when it was opened",
                         part->path, tensor->name, part->size);
    const int rc = part->map != NULL ? MOED_OK : map_part(part, err);
    if (rc == 0)
        *out = part->map + tensor->offset;
    return rc;
}

/* The tensor of that part in which an offset lies, for messages. */
static const char *name_at(const struct moed_gguf *gguf, uint32_t part, uint64_t offset)
{
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        const struct moed_gguf_tensor *t = &gguf->tensors[i];

        if (t->part == part && offset >= t->offset && offset - t->offset < t->bytes)
            return t->name;
    }
    return "none";
}

int moed_gguf_check_mapping(const struct moed_gguf *gguf, const struct moed_gguf_tensor *tensor,
                            struct moed_error *err)
{
    const struct moed_gguf_part *part = &gguf->parts[tensor->part];
    uint64_t offset;
    struct stat st;

    if (part->map == NULL)
        return 0;
    if (guard_hit(part->guard, &offset))
        return moed_fail(err, MOED_E_IO,
                         "%s: found its end before byte %" PRIu64
                         " of tensor '%s': it was cut short while it was mapped",
                         part->path, offset, name_at(gguf, tensor->part, offset));
    if (fstat(part->fd, &st) != 0)
        return moed_fail(err, MOED_E_IO, "%s: %s", part->path, strerror(errno));
    if ((uint64_t)st.st_size != part->size)
        return moed_fail(err, MOED_E_IO,
                         "%s: found %" PRIu64 " bytes, expected the %" PRIu64
                         " that it had when it was opened, for tensor '%s' among others",
                         part->path, (uint64_t)st.st_size, part->size, tensor->name);
    if (st.st_mtim.tv_sec != part->changed.tv_sec || st.st_mtim.tv_nsec != part->changed.tv_nsec)
        return moed_fail(err, MOED_E_IO,
                         "%s: somebody has written to it while it was mapped, tensor '%s' may have "
                         "changed",
                         part->path, tensor->name);
    return 0;
}
