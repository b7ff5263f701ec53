/* keys.h: the API keys that --api-key-file lists, and whether a request shows one of them. */
#ifndef MOED_SERVER_KEYS_H
#define MOED_SERVER_KEYS_H

#include "src/base/base.h"

enum { KEY_MIN = 16, KEY_MAX = 256 }; /* characters */

struct key_digest { /* sha256: the keys themselves are not kept */
    char hex[65];
};

struct keys {
    struct key_digest *at;
    size_t n;
};

/* Reads a file of keys, one a line: printable ASCII without spaces. Empty lines and lines that
 * begin with # are passed over; there has to be a key. MOED_E_USAGE names the line (and never what
 * stands on it), MOED_E_IO, MOED_E_NO_MEMORY; `out` is only written on success. */
int keys_read(const char *path, struct keys *out, struct moed_error *err);
void keys_fini(struct keys *keys);

/* Whether one of two header values shows a key: `authorization` after "Bearer", `plain` as it is.
 * Either may be NULL. The time it takes tells nothing about the keys. */
bool keys_allow(const struct keys *keys, const char *authorization, const char *plain);

#endif
