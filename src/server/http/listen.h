/* listen.h: a bound, listening socket from the text of --listen. */
#ifndef MOED_SERVER_LISTEN_H
#define MOED_SERVER_LISTEN_H

#include "src/base/base.h"

struct listener {
    int fd;            /* -1: closed */
    char address[160]; /* "http://127.0.0.1:8080" or "unix:/run/moed.sock", as it was bound */
    char path[108];    /* of a unix socket that we made, removed on closing; "" otherwise */
};

/* "HOST:PORT", "[v6]:PORT" (port 0: any free one), "unix:PATH", or "fd:NUMBER": a socket that
 * somebody else has bound and handed over, like systemd. MOED_E_USAGE, MOED_E_IO. */
int listener_open(const char *spec, struct listener *out, struct moed_error *err);
/* Makes the address one of https, unless it is that of a unix socket: false. */
bool listener_use_tls(struct listener *listener);
void listener_close(struct listener *listener);

#endif
