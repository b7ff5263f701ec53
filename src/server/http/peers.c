/* peers.c: a table of addresses, by hash. It is as large as there are connections, so what an
 * attacker can make long by choosing addresses is bounded, too. */
#include "peers.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct key {
    uint64_t bits;
    bool four; /* of IPv4 */
};

struct peer {
    struct peer *next;
    struct key key;
    uint32_t open;
};

/* False where the family has no addresses. */
static bool read_key(const struct sockaddr *address, struct key *key)
{
    const struct sockaddr_in *four = (const void *)address;
    const struct sockaddr_in6 *six = (const void *)address;
    bool mapped = address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
    uint32_t low = 0;

    if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
        return false;
    key->four = address->sa_family == AF_INET || mapped;
    if (mapped)
        memcpy(&low, six->sin6_addr.s6_addr + 12, sizeof low);
    if (key->four)
        key->bits = mapped ? low : four->sin_addr.s_addr;
    else
        memcpy(&key->bits, six->sin6_addr.s6_addr, sizeof key->bits);
    return true;
}

static struct peer **find(struct peers *peers, const struct key *key)
{
    uint64_t mixed = key->bits * UINT64_C(0x9e3779b97f4a7c15);
    struct peer **at = &peers->buckets[(mixed >> 32) % PEER_BUCKETS];

    while (*at != NULL && ((*at)->key.bits != key->bits || (*at)->key.four != key->four))
        at = &(*at)->next;
    return at;
}

struct peer *peers_enter(struct peers *peers, const struct sockaddr *address, uint32_t *open)
{
    struct peer **at;
    struct key key;

    *open = 0;
    if (!read_key(address, &key))
        return NULL;
    at = find(peers, &key);
    if (*at == NULL) {
        *at = moed_calloc(1, sizeof **at);
        if (*at == NULL)
            return NULL;
        (*at)->key = key;
    }
    *open = ++(*at)->open;
    return *at;
}

void peers_leave(struct peers *peers, struct peer *peer)
{
    struct peer **at;

    if (peer == NULL || --peer->open > 0)
        return;
    at = find(peers, &peer->key);
    *at = peer->next;
    free(peer);
}
