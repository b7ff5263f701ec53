/* notify.c: datagrams to the service manager; the protocol is too small for a library. */
#include "notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_MAX = 2048 };

int notify_init(struct notify *notify, const char *where, struct moed_error *err)
{
    const size_t length = where != NULL ? strlen(where) : 0;

    *notify = (struct notify){.fd = -1, .address = {.sun_family = AF_UNIX}};
    if (where == NULL)
        return 0;
    if ((where[0] != '/' && where[0] != '@') || length < 2 ||
        length >= sizeof notify->address.sun_path)
        return moed_fail(
            err, MOED_E_USAGE,
            "NOTIFY_SOCKET: found \"%s\", expected a path or @NAME of at most %zu bytes", where,
            sizeof notify->address.sun_path - 1);
    memcpy(notify->address.sun_path, where, length + 1);
    if (where[0] == '@')
        notify->address.sun_path[0] = '\0'; /* how Linux marks a name that is no path: unix(7) */
    notify->address_size = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + length);
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (notify->fd < 0)
        return moed_fail(err, MOED_E_IO, "NOTIFY_SOCKET: %s", strerror(errno));
    return 0;
}

void notify_fini(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

void notify_send(const struct notify *notify, const char *format, ...)
{
    char text[MESSAGE_MAX];
    va_list args;

    if (notify->fd < 0)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL,
               (const struct sockaddr *)&notify->address, notify->address_size) < 0)
        moed_log(MOED_LOG_WARN, "NOTIFY_SOCKET: %s", strerror(errno));
}
