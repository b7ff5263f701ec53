/* listen_unix.h: --listen unix:PATH and unix:@NAME. */
#ifndef MOED_SERVER_LISTEN_UNIX_H
#define MOED_SERVER_LISTEN_UNIX_H

#include "listen.h"

/* A socket at the path, or one of an abstract name. Neither waits. MOED_E_USAGE, MOED_E_IO. */
int listen_unix(const char *path, struct listener *out, struct moed_error *err);
/* Removes the path, if it is still that of this socket, which is open. */
void listen_unix_remove(const struct listener *listener);

#endif
