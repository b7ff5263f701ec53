/* framing.h: whether everybody on the way would see the same request. */
#ifndef MOED_SERVER_FRAMING_H
#define MOED_SERVER_FRAMING_H

#include "src/base/base.h"

struct request;

/* MOED_E_MALFORMED where a proxy and we might disagree on where the request ends or whom it is for:
 * more than one length, a length beside a transfer coding, a coding other than chunked, header
 * names that are none, a line that may be two, no Host or several (RFC 9112, 3.2, 5.1, 6.1, 6.3).
 */
int framing_check(const struct request *request, const char *version, struct moed_error *err);

/* The path of a target that may be in absolute form ("http://host/path"); a part of it. */
const char *framing_path(const char *target);

#endif
