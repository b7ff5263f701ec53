/* reload.h: SIGHUP: read again what may change while the server runs. */
#ifndef MOED_SERVER_RELOAD_H
#define MOED_SERVER_RELOAD_H

#include "src/server/server.h"

struct server;

/* Whether there is anything to read again, or a service manager, which may send SIGHUP anyway;
 * otherwise the signal ends the process, as when its terminal closes. */
bool reload_is_wanted(const struct moed_server_options *options);
/* Reads the log's file, keys and certificates again. */
void reload(struct server *server);

#endif
