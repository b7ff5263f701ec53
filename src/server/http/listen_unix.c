/* listen_unix.c: sockets with a path, or an abstract name. What lies at a path is somebody's: it is
 * replaced only where it is a socket that nobody answers, and removed at the end only where it is
 * still the one that was bound here. */
#include "listen_unix.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int cannot(const char *path, const char *why, struct moed_error *err)
{
    return moed_fail(err, MOED_E_IO, "--listen: cannot listen on unix:%s: %s", path, why);
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether the socket at the address refuses connections, as one does whose server has ended. One
 * that has no room for another connection right now is somebody's. */
static bool is_dead(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused;

    if (fd < 0)
        return false;
    refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
              errno == ECONNREFUSED;
    close(fd);
    return refused;
}

/* Makes room at the path, if what lies there may go. */
static int make_room(const char *path, const struct sockaddr_un *address, struct moed_error *err)
{
    struct stat found, again;

    if (lstat(path, &found) != 0)
        return errno == ENOENT ? 0 : cannot(path, strerror(errno), err);
    if (!S_ISSOCK(found.st_mode))
        return cannot(path,
                      S_ISLNK(found.st_mode)   ? "found a symbolic link there, expected nothing"
                      : S_ISREG(found.st_mode) ? "found a file there, expected nothing"
                      : S_ISDIR(found.st_mode) ? "found a directory there, expected nothing"
                                               : "found a pipe or a device there, expected nothing",
                      err);
    if (!is_dead(address))
        return cannot(path, "found a socket there that somebody listens on", err);
    if (lstat(path, &again) != 0)
        return errno == ENOENT ? 0 : cannot(path, strerror(errno), err);
    if (!same(&found, &again))
        return cannot(path, "somebody else has just begun to", err);
    return unlink(path) == 0 ? 0 : cannot(path, strerror(errno), err);
}

/* "@name" is no path: unix(7). */
static int address_of(const char *path, struct sockaddr_un *out, socklen_t *size,
                      struct moed_error *err)
{
    const bool abstract = path[0] == '@';
    const size_t length = strlen(path);

    if (length < (abstract ? 2 : 1) || length >= sizeof out->sun_path)
        return moed_fail(
            err, MOED_E_USAGE, "--listen: found a unix %s of %zu bytes, expected %d to %zu",
            abstract ? "name" : "path", length, abstract ? 2 : 1, sizeof out->sun_path - 1);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out->sun_path, path, length + 1);
    *size = sizeof *out;
    if (abstract) {
        out->sun_path[0] = '\0';
        *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    }
    return 0;
}

int listen_unix(const char *path, struct listener *out, struct moed_error *err)
{
    struct sockaddr_un address;
    struct stat made;
    socklen_t size = 0;
    int rc = address_of(path, &address, &size, err);

    if (rc == 0 && path[0] != '@')
        rc = make_room(path, &address, err);
    if (rc != 0)
        return rc;
    out->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (out->fd < 0 || bind(out->fd, (struct sockaddr *)&address, size) != 0 ||
        listen(out->fd, SOMAXCONN) != 0) {
        rc = cannot(path, strerror(errno), err);
        if (out->fd >= 0)
            close(out->fd);
        out->fd = -1;
        return rc;
    }
    snprintf(out->address, sizeof out->address, "unix:%s", path);
    if (path[0] != '@' && lstat(path, &made) == 0) {
        memcpy(out->path, path, strlen(path) + 1);
        out->device = made.st_dev;
        out->inode = made.st_ino;
    }
    return 0;
}

/* While the socket is open nobody else can get its inode. */
void listen_unix_remove(const struct listener *listener)
{
    const struct stat ours = {.st_dev = listener->device, .st_ino = listener->inode};
    struct stat now;

    if (listener->path[0] != '\0' && lstat(listener->path, &now) == 0 && same(&now, &ours))
        unlink(listener->path);
}
