/* json_scan: the grammar of JSON, with nothing added: no trailing commas, no leading zeros, no
 * NaN, no comments. Depth is bounded, since values nest on the stack. */
#include "json_scan.h"

#include <stdio.h>
#include <string.h>

#include "fields.h"

#define MAX_DEPTH 16 /* no field of the API nests deeper than 3 */

static bool is_digit(const struct json_scan *s)
{
    return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

const char *json_kind(char first)
{
    switch (first) {
    case '[':
        return "an array";
    case '{':
        return "an object";
    case '"':
        return "a string";
    case 't':
    case 'f':
        return "a boolean";
    case 'n':
        return "null";
    case '\0':
        return "the end of the body";
    default:
        return first == '-' || (first >= '0' && first <= '9') ? "a number" : "not JSON";
    }
}

int json_expected(struct json_scan *s, const char *expected)
{
    char found[32] = "the end of the body";

    if (s->at < s->end && (*s->at > ' ') && *s->at <= '~')
        snprintf(found, sizeof found, "'%c'", *s->at);
    else if (s->at < s->end)
        snprintf(found, sizeof found, "0x%02x", (unsigned char)*s->at);
    return moed_fail(s->err, MOED_E_MALFORMED, "JSON, byte %zu: found %s, expected %s",
                     (size_t)(s->at - s->begin), found, expected);
}

/* Stands after the backslash. */
static int read_escape(struct json_scan *s)
{
    static const char escapes[] = "\"\\/bfnrtu";
    unsigned code = 0;

    if (s->at == s->end || memchr(escapes, *s->at, sizeof escapes - 1) == NULL)
        return json_expected(s, "one of \"\\/bfnrtu after a backslash");
    if (*s->at++ != 'u')
        return 0;
    for (int i = 0; i < 4; i++, s->at++) {
        const char lower = (char)(s->at < s->end ? *s->at | 0x20 : 0);

        if (is_digit(s))
            code = code * 16 + (unsigned)(*s->at - '0');
        else if (lower >= 'a' && lower <= 'f')
            code = code * 16 + (unsigned)(lower - 'a') + 10;
        else
            return json_expected(s, "4 hexadecimal digits after \\u");
    }
    /* cJSON ends its strings there, and "ffn\u0000x" would pass for "ffn". */
    if (code == 0)
        return json_expected(s, "no \\u0000 in a string");
    return 0;
}

int json_read_string(struct json_scan *s, struct json_span *out)
{
    if (!json_take(s, '"'))
        return json_expected(s, "a string");
    out->at = s->at;
    while (s->at < s->end && *s->at != '"') {
        if ((unsigned char)*s->at < ' ')
            return json_expected(s, "no control characters in a string");
        if (*s->at++ == '\\') {
            const int status = read_escape(s);

            if (status != 0)
                return status;
        }
    }
    if (s->at == s->end)
        return json_expected(s, "'\"' at the end of a string");
    out->size = (size_t)(s->at - out->at);
    s->at++;
    return 0;
}

static int read_digits(struct json_scan *s)
{
    if (!is_digit(s))
        return json_expected(s, "a digit");
    while (is_digit(s))
        s->at++;
    return 0;
}

static int read_number(struct json_scan *s)
{
    int status = 0;

    if (*s->at == '-')
        s->at++;
    if (s->at < s->end && *s->at == '0')
        s->at++;
    else
        status = read_digits(s);
    if (status == 0 && s->at < s->end && *s->at == '.') {
        s->at++;
        status = read_digits(s);
    }
    if (status == 0 && s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        status = read_digits(s);
    }
    return status;
}

static int read_word(struct json_scan *s, const char *word)
{
    const size_t size = strlen(word);

    if ((size_t)(s->end - s->at) < size || memcmp(s->at, word, size) != 0)
        return json_expected(s, "true, false, null, a number, a string, an array or an object");
    s->at += size;
    return 0;
}

static int read_nested(struct json_scan *s, int depth);

static int read_any(struct json_scan *s, int depth)
{
    struct json_span ignored;

    switch (json_peek(s)) {
    case '[':
    case '{':
        return read_nested(s, depth + 1);
    case '"':
        return json_read_string(s, &ignored);
    case 't':
        return read_word(s, "true");
    case 'f':
        return read_word(s, "false");
    case '-':
    case '0' ... '9':
        return read_number(s);
    default:
        return read_word(s, "null");
    }
}

/* An array or an object; they differ in the bracket and in having keys. */
static int read_nested(struct json_scan *s, int depth)
{
    const bool object = *s->at++ == '{';
    const char close = object ? '}' : ']';
    struct json_span key;
    int status;

    if (depth > MAX_DEPTH)
        return moed_fail(s->err, MOED_E_MALFORMED, "JSON, byte %zu: nested deeper than %d levels",
                         (size_t)(s->at - 1 - s->begin), MAX_DEPTH);
    if (json_take(s, close))
        return 0;
    do {
        status = object ? json_read_string(s, &key) : 0;
        if (status == 0 && object && !json_take(s, ':'))
            status = json_expected(s, "':'");
        if (status == 0)
            status = read_any(s, depth);
        if (status != 0)
            return status;
    } while (json_take(s, ','));
    return json_take(s, close) ? 0 : json_expected(s, object ? "',' or '}'" : "',' or ']'");
}

int json_read_value(struct json_scan *s, struct json_span *out)
{
    json_space(s);
    out->at = s->at;

    const int status = read_any(s, 0);

    out->size = (size_t)(s->at - out->at);
    return status;
}
