/* fields: the names that clients write for modes, types and parts of an answer. */
#ifndef MOED_WIRE_FIELDS_H
#define MOED_WIRE_FIELDS_H

#include "src/wire/wire.h"

/* Each list ends in NULL; the index of a name is the value of its enum (of returns: the bit). */
extern const char *const field_dtypes[];
extern const char *const field_blocks[];
extern const char *const field_shared[];
extern const char *const field_missing[];
extern const char *const field_encodings[];
extern const char *const field_returns[];
extern const char *const field_routings[];

/* The index of `found` in `names` by out, or MOED_E_MALFORMED listing the names. */
int field_choose(const char *field, const char *const *names, const char *found, unsigned *out,
                 struct moed_error *err);

/* What a request means before any field of it was read. */
void request_init(struct moed_request *request);

/* Client text made fit for a message: printable ASCII, cut after some 40 characters. */
#define FIELD_QUOTE_MAX 48
const char *field_quote(const char *text, size_t size, char out[FIELD_QUOTE_MAX]);

#endif
