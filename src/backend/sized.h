/* sized: structs of programs that were compiled with another version of <moed/moed.h>. Each begins
 * with its size, and versions differ only by fields at its end. */
#ifndef MOED_BACKEND_SIZED_H
#define MOED_BACKEND_SIZED_H

#include "src/base/base.h"

struct sized {
    const char *name;
    size_t known, least; /* bytes: of this library's struct; of the first version's */
};

/* Every version has the field that was the first version's last: a struct that holds its first byte
 * holds all of it. */
#define SIZED(type, last) \
    ((struct sized){#type, sizeof(struct type), offsetof(struct type, last) + 1})

/* Copies a program's struct into ours of `sized->known` bytes; fields that it lacks are zero.
 * MOED_E_USAGE for a size that no version has, or fields that this library does not know and that
 * are not zero. */
int sized_read(const struct sized *sized, const void *theirs, void *ours, struct moed_error *err);
/* Copies ours into a program's, as far as that reaches, and leaves its size. MOED_E_USAGE. */
int sized_write(const struct sized *sized, const void *ours, void *theirs, struct moed_error *err);

#endif
