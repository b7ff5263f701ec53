/* accept.h: what a client would rather read (RFC 9110, 12.5.1). */
#ifndef MOED_SERVER_ACCEPT_H
#define MOED_SERVER_ACCEPT_H

/* How much an Accept header wants a media type that it names: 0 to 1, and 0 where it does not name
 * it. NULL: there is no such header. Ranges such as "text/" and a star are not looked into. */
double accept_weight(const char *header, const char *type);

#endif
