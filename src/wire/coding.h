/* coding: bodies that come compressed (RFC 1950 to 1952). A part of wire. */
#ifndef MOED_CODING_H
#define MOED_CODING_H

#include "src/base/base.h"

enum moed_coding { MOED_CODING_IDENTITY, MOED_CODING_GZIP, MOED_CODING_DEFLATE };

/* By its name in Content-Encoding, without case; false for one that we do not know. */
bool moed_coding_from_name(const char *name, enum moed_coding *out);

struct moed_inflate {
    enum moed_coding coding; /* not IDENTITY; deflate with zlib's header or without */
    size_t limit;            /* bytes that may come out */
    /* Asked before each growth by `more` bytes, and may refuse with an error; may be NULL. */
    int (*take)(void *context, size_t more, struct moed_error *err);
    void *context;
};

/* A whole body, into a buffer that the caller frees. MOED_E_MALFORMED where it is damaged, ends
 * early or goes on after its end; MOED_E_TOO_LARGE as soon as the limit is passed;
 * MOED_E_NO_MEMORY, or what `take` said. Any thread. */
int moed_wire_inflate(const struct moed_inflate *how, const void *data, size_t size, char **out,
                      size_t *out_size, struct moed_error *err);

#endif
