/* peers.h: how many connections each client has. */
#ifndef MOED_SERVER_PEERS_H
#define MOED_SERVER_PEERS_H

#include "src/base/base.h"
#include <sys/socket.h>

enum { PEER_BUCKETS = 1024 };

struct peer; /* one address that has a connection */

struct peers {
    struct peer *buckets[PEER_BUCKETS];
};

/* Counts one more connection from `address`: an IPv4 address, or the first 64 bits of an IPv6 one,
 * which is what one client may have all of. `*open` is how many it has now. NULL, and 0, where
 * there is nothing to tell clients apart by (unix sockets), or no memory. */
struct peer *peers_enter(struct peers *peers, const struct sockaddr *address, uint32_t *open);
/* One less; NULL is fine. */
void peers_leave(struct peers *peers, struct peer *peer);

#endif
