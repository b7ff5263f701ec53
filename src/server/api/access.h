/* access.h: the access log: one line a request. */
#ifndef MOED_SERVER_ACCESS_H
#define MOED_SERVER_ACCESS_H

#include <stdint.h>

struct request;

/* Failed requests that nobody asked to see have a line each, but only so many a second: who is
 * refused comes back at once, and a log that takes every refusal makes an overload worse. */
struct access {
    uint64_t since_ns;   /* the second that is counted */
    uint32_t told, rest; /* in it: with a line of their own, and without */
};

/* The end of a request, `ns` after its headers, with the status that its client got; `route` is a
 * template. Logged at --log-requests, or at info where that is less and the request failed; that a
 * probe hears "not ready" is no failure. */
void access_log(struct access *access, const struct request *request, const char *route,
                unsigned status, uint64_t ns);
/* From time to time: ends the second if it is over, with a line for those that had none. */
void access_turn(struct access *access, uint64_t now_ns);

#endif
