/* received.c: finds out what libmicrohttpd has written over. */
#include "received.h"

#include <string.h>

static const char odd_line[] =
    "found a request line that is not \"METHOD TARGET VERSION\" and CR LF, "
    "with one space between two";

void received_target_note(struct received_target *target, const char *text)
{
    size_t size = 0;

    *target = (struct received_target){.at = text, .plain = text != NULL};
    for (; text != NULL && text[size] != '\0'; size++)
        if ((unsigned char)text[size] <= ' ' || text[size] == 0x7f)
            target->plain = false;
    if (text != NULL)
        target->version = text + size + 1;
}

#if RECEIVED_KEEPS_PLACES

static const char *behind(const char *text)
{
    return text + strlen(text);
}

static bool was_line_end(const char *at)
{
    return at[0] == '\0' && at[1] == '\0';
}

int received_begin(struct received *walk, const struct request_line *line,
                   const struct received_target *target, struct moed_error *err)
{
    const char *end = behind(line->version);

    if (!target->plain || behind(line->method) + 1 != target->at || target->at != line->target ||
        target->version != line->version || !was_line_end(end))
        return moed_fail(err, MOED_E_MALFORMED, odd_line);
    walk->at = end + 2;
    return 0;
}

int received_field(struct received *walk, const char *name, const char *value,
                   struct moed_error *err)
{
    const char *end = behind(value);

    if (walk->at != NULL && name != walk->at)
        return moed_fail(err, MOED_E_MALFORMED,
                         "%.64s: found a header that is folded, or a line that is none", name);
    if (!was_line_end(end))
        return moed_fail(err, MOED_E_MALFORMED,
                         "%.64s: found a NUL, or a line feed without a carriage return, behind "
                         "\"%.64s\"",
                         name, value);
    walk->at = end + 2;
    return 0;
}

int received_end(const struct received *walk, const struct request_line *line, size_t size,
                 struct moed_error *err)
{
    if (walk->at + 2 == line->method + size && was_line_end(walk->at))
        return 0;
    return moed_fail(
        err, MOED_E_MALFORMED,
        "found a header that is folded or has no name, or no empty line of CR LF behind "
        "the last");
}

#else

int received_begin(struct received *walk, const struct request_line *line,
                   const struct received_target *target, struct moed_error *err)
{
    (void)walk, (void)line;
    return target->plain ? 0 : moed_fail(err, MOED_E_MALFORMED, odd_line);
}

int received_field(struct received *walk, const char *name, const char *value,
                   struct moed_error *err)
{
    (void)walk, (void)name, (void)value, (void)err;
    return 0;
}

int received_end(const struct received *walk, const struct request_line *line, size_t size,
                 struct moed_error *err)
{
    (void)walk, (void)line, (void)size, (void)err;
    return 0;
}

#endif

int received_check_chunk_line(const struct received_gap *gap, struct moed_error *err)
{
    for (const char *at = gap->from; at < gap->to; at++) {
        bool after_cr = (at > gap->from || !gap->first) && at[-1] == '\r';
        bool before_lf = at + 1 == gap->to || at[1] == '\n';

        if ((*at == '\n' && !after_cr) || (*at == '\r' && !before_lf) || *at == '\0')
            return moed_fail(err, MOED_E_MALFORMED,
                             "found a NUL, or half an end of a line, before the bytes of a chunk");
    }
    return 0;
}

void received_trim(const char *value)
{
    union { /* libmicrohttpd's own buffer, which it shows as const */
        const char *read_only;
        char *plain;
    } cast = {.read_only = value};
    size_t size = strlen(value);

    while (size > 0 && (value[size - 1] == ' ' || value[size - 1] == '\t'))
        cast.plain[--size] = '\0';
}
