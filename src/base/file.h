/* file.h: files that a person names: keys, certificates, descriptions, the log. Whatever a name
 * leads to, opening and reading it neither waits nor goes on for ever: only regular files will do.
 * Any thread. */
#ifndef MOED_BASE_FILE_H
#define MOED_BASE_FILE_H

#include "src/base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct moed_text {
    char *text; /* NUL-terminated, and maybe with NULs in it; NULL: none */
    size_t size;
};

struct moed_file_rule {
    const char *flag; /* goes before every message: "--tls-key" */
    size_t most;      /* bytes that it may have */
    bool secret;      /* nobody but the owner may write it, nobody but owner and group read it */
};

/* Reads all of the file. MOED_E_USAGE where it is no regular file, is larger than the rule lets it
 * be, or where others may read or write a secret; MOED_E_IO where it cannot be read,
 * MOED_E_NO_MEMORY. Messages begin with the flag and the path. */
int moed_file_read(const struct moed_file_rule *rule, const char *path, struct moed_text *out,
                   struct moed_error *err);
/* Overwrites the text, then frees it. */
void moed_text_wipe(struct moed_text *text);

/* Opens the file to append to it, made if it is not there (0640). MOED_E_USAGE where it is no
 * regular file, MOED_E_IO; messages begin with `what` and the path. */
int moed_file_append(const char *what, const char *path, int *fd, struct moed_error *err);

#endif
