/* framing.h: whether everybody on the way would see the same request. */
#ifndef MOED_SERVER_FRAMING_H
#define MOED_SERVER_FRAMING_H

#include "src/base/base.h"

#include <stddef.h>

struct request;
struct request_line;

/* MOED_E_MALFORMED where a proxy and we might disagree on where the request ends or whom it is for:
 * more than one length, a length beside a transfer coding, a coding other than chunked, header
 * names that are none, a NUL, half a line end, a line that continues another, a Host that is none,
 * none or several (RFC 9112, 2.2, 3, 3.2, 5.1, 5.2, 6.1, 6.3; RFC 9110, 5.5, 7.2). White space
 * behind a value is taken off it. */
int framing_check(const struct request *request, const struct request_line *line,
                  struct moed_error *err);
/* The same of what stands before some bytes of a chunk, which are the body's next. */
int framing_check_chunk(struct request *request, const char *data, size_t size,
                        struct moed_error *err);
/* The same of the fields behind the last chunk. */
int framing_check_trailers(const struct request *request, struct moed_error *err);

/* The path of a target that may be in absolute form ("http://host/path"); a part of it. */
const char *framing_path(const char *target);

#endif
