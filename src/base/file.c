/* file: opens and reads files that a person names. */
#include "src/base/file.h"

#include "src/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NOT_FOR_SECRETS = S_IWGRP | S_IRWXO, /* a group may read: so containers hand secrets over */
    FIRST_READ = 4096
};

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode)    ? "a directory"
           : S_ISFIFO(mode) ? "a pipe"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

/* A pipe would keep open(2) waiting for the other side, and a terminal could become ours. */
static int open_regular(const char *what, const char *path, int flags, int *fd,
                        struct moed_error *err)
{
    struct stat status;
    int rc = 0;

    *fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    if (*fd >= 0 && fstat(*fd, &status) == 0 && S_ISREG(status.st_mode))
        return 0;
    if (*fd < 0 && errno != ENXIO) /* a pipe without a reader */
        return moed_fail(err, MOED_E_IO, "%s %s: %s", what, path, strerror(errno));
    rc = moed_fail(err, MOED_E_USAGE, "%s %s: found %s, expected a regular file", what, path,
                   *fd < 0 ? "a pipe or a device that nobody is behind" : kind_of(status.st_mode));
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return rc;
}

static int too_large(const struct moed_file_rule *rule, const char *path, uint64_t size,
                     struct moed_error *err)
{
    return moed_fail(err, MOED_E_USAGE, "%s %s: found %llu bytes, expected at most %zu", rule->flag,
                     path, (unsigned long long)size, rule->most);
}

static int check(const struct moed_file_rule *rule, const char *path, int fd,
                 struct moed_error *err)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return moed_fail(err, MOED_E_IO, "%s %s: %s", rule->flag, path, strerror(errno));
    if (rule->secret && (status.st_mode & NOT_FOR_SECRETS) != 0)
        return moed_fail(
            err, MOED_E_USAGE,
            "%s %s: found mode %04o, expected one that lets nobody but the owner write "
            "and nobody but owner and group read, as after: chmod 640 %s",
            rule->flag, path, (unsigned)status.st_mode & 07777U, path);
    if ((uint64_t)status.st_size > rule->most)
        return too_large(rule, path, (uint64_t)status.st_size, err);
    return 0;
}

/* Room for `capacity` bytes and a NUL; what was there is moved and wiped. */
static bool grow(struct moed_text *text, size_t capacity)
{
    char *grown = calloc(1, capacity + 1);

    if (grown == NULL)
        return false;
    if (text->size > 0)
        memcpy(grown, text->text, text->size);
    moed_text_wipe(&(struct moed_text){text->text, text->size});
    text->text = grown;
    return true;
}

/* Up to the end, or one byte more than may be. False: errno. */
static bool read_all(int fd, size_t most, struct moed_text *out)
{
    size_t capacity = 0;

    for (;;) {
        ssize_t n;

        if (out->size == capacity) {
            capacity = capacity == 0 ? FIRST_READ : 2 * capacity;
            if (!grow(out, capacity))
                return false;
        }
        n = read(fd, out->text + out->size, capacity - out->size);
        if (n > 0)
            out->size += (size_t)n;
        else if (n == 0 || errno != EINTR)
            return n == 0;
        if (out->size > most)
            return true;
    }
}

int moed_file_read(const struct moed_file_rule *rule, const char *path, struct moed_text *out,
                   struct moed_error *err)
{
    int fd, rc = open_regular(rule->flag, path, O_RDONLY, &fd, err);

    *out = (struct moed_text){0};
    if (rc != 0)
        return rc;
    rc = check(rule, path, fd, err);
    errno = 0;
    if (rc == 0 && !read_all(fd, rule->most, out))
        rc = moed_fail(err, errno == ENOMEM ? MOED_E_NO_MEMORY : MOED_E_IO, "%s %s: %s", rule->flag,
                       path, strerror(errno));
    if (rc == 0 && out->size > rule->most)
        rc = too_large(rule, path, out->size, err); /* it grew meanwhile */
    close(fd);
    if (rc != 0)
        moed_text_wipe(out);
    return rc;
}

void moed_text_wipe(struct moed_text *text)
{
    if (text->text != NULL)
        explicit_bzero(text->text, text->size);
    free(text->text);
    *text = (struct moed_text){0};
}

int moed_file_append(const char *what, const char *path, int *fd, struct moed_error *err)
{
    return open_regular(what, path, O_WRONLY | O_APPEND | O_CREAT, fd, err);
}
