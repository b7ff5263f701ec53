/* json_scan: a strict reader of JSON text (RFC 8259) that walks and never builds: whoever stands
 * at a large array takes its numbers straight from the bytes, and small values go to cJSON. */
#ifndef MOED_WIRE_JSON_SCAN_H
#define MOED_WIRE_JSON_SCAN_H

#include "src/wire/wire.h"
#include <cjson/cJSON.h>

/* A place in the text. Nothing past `end` is read; `err` receives every complaint. */
struct json_scan {
    const char *begin, *at, *end;
    struct moed_error *err;
};

struct json_span {
    const char *at;
    size_t size;
};

/* A member that an object may have; exactly one of `read` and `value` is set. */
struct json_field {
    const char *name;
    bool required;
    /* Stands at the value, of any kind, and must pass it. */
    int (*read)(struct json_scan *s, void *context);
    /* For small values: already checked, at most JSON_SMALL bytes of text. */
    int (*value)(const cJSON *value, void *context, struct moed_error *err);
};

#define JSON_SMALL 4096

/* Reads an object and its members. `path` stands before names in messages ("" or "routing.").
 * A member that is not in `fields`, comes twice or is required and missing is refused by name.
 * At most 32 fields. */
int json_read_object(struct json_scan *s, const char *path, const struct json_field *fields,
                     size_t n_fields, void *context);

/* Any value, checked to its end; `out` is its text. */
int json_read_value(struct json_scan *s, struct json_span *out);

/* A string, checked; `out` is what stands between its quotes, escapes as they are. */
int json_read_string(struct json_scan *s, struct json_span *out);

/* MOED_E_MALFORMED: byte, what was found at the cursor, what was expected. */
int json_expected(struct json_scan *s, const char *expected);

/* "an array", "a string", … by the first character of a value. */
const char *json_kind(char first);

static inline void json_space(struct json_scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

/* The next character that is not space, or NUL (which no JSON text contains) at the end. */
static inline char json_peek(struct json_scan *s)
{
    json_space(s);
    return (char)(s->at < s->end ? *s->at : '\0');
}

/* Passes `c` if it comes next, space aside. */
static inline bool json_take(struct json_scan *s, char c)
{
    if (json_peek(s) != c)
        return false;
    s->at++;
    return true;
}

/* cJSON read nothing: MOED_E_MALFORMED with the reason, or MOED_E_NO_MEMORY if that is why. */
int json_cannot_read(struct moed_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
