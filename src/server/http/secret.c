/* secret.c: reads files with keys in them, and leaves nothing of them behind in memory. */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SECRET_MAX = 1 << 20,
    NOT_FOR_SECRETS = S_IWGRP | S_IRWXO, /* a group may read: so containers hand secrets over */
};

static int check(const char *flag, const char *path, const struct stat *status,
                 struct moed_error *err)
{
    if (!S_ISREG(status->st_mode))
        return moed_fail(err, MOED_E_USAGE, "%s: %s is not a regular file", flag, path);
    if ((status->st_mode & NOT_FOR_SECRETS) != 0)
        return moed_fail(err, MOED_E_USAGE,
                         "%s: %s has mode %04o, expected one that lets nobody but the owner write "
                         "and nobody but owner and group read, as after: chmod 640 %s",
                         flag, path, (unsigned)status->st_mode & 07777U, path);
    if (status->st_size > SECRET_MAX)
        return moed_fail(err, MOED_E_USAGE, "%s: %s has %lld bytes, the limit is %d", flag, path,
                         (long long)status->st_size, SECRET_MAX);
    return 0;
}

static int read_all(int fd, struct secret *out)
{
    size_t capacity = out->size;

    out->size = 0;
    while (out->size < capacity) {
        ssize_t n = read(fd, out->text + out->size, capacity - out->size);

        if (n < 0 && errno != EINTR)
            return -1;
        if (n == 0)
            break;
        if (n > 0)
            out->size += (size_t)n;
    }
    return 0;
}

int secret_read(const char *flag, const char *path, struct secret *out, struct moed_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not keep us waiting */
    struct stat status;
    int rc = 0;

    *out = (struct secret){0};
    if (fd < 0 || fstat(fd, &status) != 0) {
        rc = moed_fail(err, MOED_E_IO, "%s: %s: %s", flag, path, strerror(errno));
        goto out;
    }
    rc = check(flag, path, &status, err);
    if (rc != 0)
        goto out;
    out->size = (size_t)status.st_size;
    out->text = moed_calloc(out->size + 1, 1);
    if (out->text == NULL)
        rc = moed_fail(err, MOED_E_NO_MEMORY, "%s: no memory for %s", flag, path);
    else if (read_all(fd, out) != 0)
        rc = moed_fail(err, MOED_E_IO, "%s: reading %s: %s", flag, path, strerror(errno));
out:
    if (fd >= 0)
        close(fd);
    if (rc != 0)
        secret_wipe(out);
    return rc;
}

void secret_wipe(struct secret *secret)
{
    if (secret->text != NULL)
        explicit_bzero(secret->text, secret->size);
    free(secret->text);
    *secret = (struct secret){0};
}
