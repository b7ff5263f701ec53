/* part: one file of a model: opening it, its header in memory, reading its bytes.
 * The header is read with pread and never mapped: a file that somebody truncates meanwhile gives
 * an error, not a SIGBUS. */
#include "file.h"
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Enough for the header of a model without a tokenizer; each further try reads four times more. */
#define FIRST_READ ((uint64_t)256 << 10)

static int open_file(struct moed_gguf_part *part, struct moed_error *err)
{
    struct stat st;

    /* O_NONBLOCK: opening a FIFO would wait for a writer; it means nothing for regular files. */
    part->fd = open(part->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (part->fd < 0 || fstat(part->fd, &st) != 0)
        return moed_fail(err, MOED_E_IO, "cannot be opened: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return moed_fail(err, MOED_E_BAD_FILE, "found a %s, expected a regular file",
                         S_ISDIR(st.st_mode) ? "directory" : "device, pipe or socket");
    part->size = (uint64_t)st.st_size;
    part->changed = st.st_mtim;
    return 0;
}

static int read_at(const struct moed_gguf_part *part, uint64_t offset, uint64_t size, uint8_t *dst,
                   struct moed_error *err)
{
    while (size > 0) {
        const ssize_t n = pread(part->fd, dst, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return moed_fail(err, MOED_E_IO, "reading at byte %" PRIu64 " failed: %s", offset,
                             strerror(errno));
        if (n == 0)
            return moed_fail(err, MOED_E_IO,
                             "found its end at byte %" PRIu64 ", expected %" PRIu64
                             " more: it was cut short after it was opened",
                             offset, size);
        dst += n;
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return 0;
}

static void forget_header(struct moed_gguf_part *part)
{
    free(part->header);
    free(part->keys);
    free(part->tensors);
    part->header = NULL;
    part->keys = NULL;
    part->tensors = NULL;
    part->n_keys = part->n_tensors = 0;
}

/* Parses the first `size` bytes. The parsers write into them, so every try reads them afresh. */
static int try_header(struct moed_gguf_part *part, size_t size, bool *ran_out,
                      struct moed_error *err)
{
    *ran_out = false;
    forget_header(part);
    part->header = malloc(size > 0 ? size : 1);
    part->header_size = size;
    if (part->header == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %zu bytes of header", size);

    int rc = read_at(part, 0, size, part->header, err);
    if (rc != 0)
        return rc;
    struct moed_cursor c = moed_cursor_init(part->header, size);
    rc = moed_gguf_parse(part, &c, err);
    *ran_out = c.failed;
    return rc;
}

static int load_header(struct moed_gguf_part *part, struct moed_error *err)
{
    const uint64_t most = part->size < GGUF_MAX_HEADER ? part->size : GGUF_MAX_HEADER;
    struct moed_error last = {0}; /* `err` stays untouched by tries that only ran out of bytes */
    uint64_t size = FIRST_READ;
    bool ran_out;
    int rc;

    do {
        rc = try_header(part, size < most ? size : most, &ran_out, &last);
        size *= 4;
    } while (ran_out && part->header_size < most);
    if (ran_out && most < part->size)
        return moed_fail(err, MOED_E_UNSUPPORTED,
                         "found a header of more than %u MiB, expected a shorter one",
                         GGUF_MAX_HEADER >> 20);
    if (rc != 0 && err != NULL)
        *err = last;
    return rc;
}

int moed_gguf_part_open(struct moed_gguf_part *part, char *path, struct moed_error *err)
{
    *part = (struct moed_gguf_part){.path = path, .fd = -1};
    if (path == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for a file's name");

    int rc = open_file(part, err);
    if (rc == 0)
        rc = load_header(part, err);
    if (rc != 0)
        moed_error_prefix(err, "%s", path);
    return rc;
}

void moed_gguf_part_close(struct moed_gguf_part *part)
{
    if (part->path == NULL)
        return; /* never opened: its descriptor is not ours to close */
    guard_remove(part->map != NULL ? part->guard : -1);
    if (part->map != NULL)
        munmap(part->map, part->size);
    if (part->fd >= 0)
        close(part->fd);
    forget_header(part);
    free(part->path);
}

int moed_gguf_part_read(const struct moed_gguf_part *part, uint64_t offset, uint64_t size,
                        void *dst, struct moed_error *err)
{
    const int rc = read_at(part, offset, size, dst, err);
    if (rc != 0)
        moed_error_prefix(err, "%s", part->path);
    return rc;
}
