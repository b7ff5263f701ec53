/* listen.h: bound, listening sockets from the text of --listen. */
#ifndef MOED_SERVER_LISTEN_H
#define MOED_SERVER_LISTEN_H

#include "src/base/base.h"

#define LISTENERS_MAX 8 /* of one name */

struct listener {
    int fd;                 /* -1: closed */
    char address[160];      /* "http://127.0.0.1:8080" or "unix:/run/moed.sock", as it was bound */
    char path[108];         /* of a unix socket that we made, removed on closing; "" otherwise */
    uint64_t device, inode; /* of that path, which may be another's by then */
};

struct listeners {
    struct listener at[LISTENERS_MAX];
    uint32_t n;
};

/* "HOST:PORT", "[v6]:PORT" (port 0: any free one), "unix:PATH", "unix:@NAME" (an abstract socket),
 * or "fd:NUMBER": a socket that somebody else has bound and handed over, like systemd. A name gives
 * a socket for each of its addresses that this machine has, all with one port. Never waits, but for
 * the name's resolution. MOED_E_USAGE, MOED_E_IO. */
int listeners_open(const char *spec, struct listeners *out, struct moed_error *err);
/* Of what has one address: anything but a name. */
int listener_open(const char *spec, struct listener *out, struct moed_error *err);
void listeners_close(struct listeners *listeners);
/* Makes the address one of https, unless it is that of a unix socket: false. */
bool listener_use_tls(struct listener *listener);
void listener_close(struct listener *listener);

#endif
