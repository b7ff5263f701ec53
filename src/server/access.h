/* access.h: the access log: one line a request. */
#ifndef MOED_SERVER_ACCESS_H
#define MOED_SERVER_ACCESS_H

#include <stdint.h>

struct request;

/* The end of a request, `ns` after its headers, with the status that its client got; `route` is a
 * template. Logged at --log-requests, or at info where that is less and the request failed; that a
 * probe hears "not ready" is no failure. */
void access_log(const struct request *request, const char *route, unsigned status, uint64_t ns);

#endif
