/* secret.h: a small file that only its owner, and perhaps its group, may read. */
#ifndef MOED_SERVER_SECRET_H
#define MOED_SERVER_SECRET_H

#include "src/base/base.h"

struct secret {
    char *text; /* NUL-terminated */
    size_t size;
};

/* Reads all of the file. `flag` ("--tls-key") goes before every message. MOED_E_USAGE where others
 * than the owner and the group may read it, or others than the owner write it, or where it is no
 * regular file; MOED_E_IO where it cannot be read. */
int secret_read(const char *flag, const char *path, struct secret *out, struct moed_error *err);
/* Overwrites the text, then frees it. */
void secret_wipe(struct secret *secret);

#endif
