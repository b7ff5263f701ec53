/* notify.h: what the service manager is told, by systemd's sd_notify protocol (sd_notify(3)). */
#ifndef MOED_SERVER_NOTIFY_H
#define MOED_SERVER_NOTIFY_H

#include "src/base/base.h"
#include <sys/un.h>

struct notify {
    int fd; /* -1: nobody listens */
    struct sockaddr_un address;
    uint32_t address_size;
};

/* `where` is NOTIFY_SOCKET: a path, "@" and an abstract name, or NULL. MOED_E_USAGE, MOED_E_IO. */
int notify_init(struct notify *notify, const char *where, struct moed_error *err);
void notify_fini(struct notify *notify);

/* One datagram: lines of VARIABLE=value ("READY=1\nSTATUS=serving"), without a newline inside what
 * is filled in. Never blocks: what finds no room is lost. */
void notify_send(const struct notify *notify, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
