/* error: codes to their texts, and messages that are safe to print whatever is quoted in them. */
#include "error.h"
#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct moed_error_info infos[MOED_ERROR_COUNT] = {
    [MOED_INDEX_OK] = {"ok", "Success", 200},
#define MOED_X(number, name, code, title, http) [MOED_INDEX_##name] = {code, title, http},
    MOED_ERRORS(MOED_X)
#undef MOED_X
};

/* The headers and the table say the same of each number. */
#define MOED_X(number, name, code, title, http) \
    _Static_assert(MOED_E_##name == -(number) && (int)MOED_INDEX_##name == (number), #name);
MOED_ERRORS(MOED_X)
#undef MOED_X

const struct moed_error_info *moed_error_info(int code)
{
    if (code > 0 || code <= -(int)MOED_ERROR_COUNT)
        return &infos[MOED_INDEX_INTERNAL];
    return &infos[-code];
}

const char *moed_error_name(int code)
{
    return moed_error_info(code)->code;
}

/* Messages quote names out of files and requests: control characters and bytes that are not
 * UTF-8 (also a sequence that truncation cut) become '?', so that any log or body can hold them. */
static void make_printable(char *text)
{
    while (*text != '\0') {
        const size_t length = moed_utf8_length(text);

        if (length == 0 || moed_utf8_is_control(text))
            *text++ = '?';
        else
            text += length;
    }
}

int moed_fail(struct moed_error *err, int code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;

        err->code = code;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        make_printable(err->message);
    }
    return code;
}

int moed_error_prefix(struct moed_error *err, const char *format, ...)
{
    char before[sizeof err->message];
    va_list args;
    size_t used;
    int written;

    if (err == NULL)
        return MOED_E_INTERNAL;
    memcpy(before, err->message, sizeof before);
    va_start(args, format);
    written = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    used = written < 0 ? 0 : (size_t)written;
    if (used + sizeof ": " <= sizeof err->message) {
        const size_t room = sizeof err->message - used - sizeof ": ";
        const size_t length = strnlen(before, room);

        memcpy(err->message + used, ": ", 2);
        memcpy(err->message + used + 2, before, length);
        err->message[used + 2 + length] = '\0';
    }
    make_printable(err->message);
    return err->code;
}
