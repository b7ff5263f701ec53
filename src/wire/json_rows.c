/* json_rows: one pass over the text. A number takes two characters at least and four bytes, and the
 * buffer doubles: it stays within four times the body. */
#include "json_rows.h"

#include <stdlib.h>

#include "fields.h"

#define ELEMENT_SIZE   4
#define FIRST_ELEMENTS 64

static bool grow(struct json_rows *r)
{
    const size_t capacity = r->capacity == 0 ? FIRST_ELEMENTS : r->capacity * 2;
    void *data =
        capacity <= SIZE_MAX / ELEMENT_SIZE ? realloc(r->data, capacity * ELEMENT_SIZE) : NULL;

    if (data == NULL)
        return false;
    r->data = data;
    r->capacity = capacity;
    return true;
}

/* As moed_wire_read_f32, for integers: no fraction, no exponent. */
static int read_i32(const char **at, const char *end, int32_t *out)
{
    const char *p = *at;
    const bool negative = p < end && *p == '-';
    int64_t value = 0;

    p += negative;
    if (p == end || *p < '0' || *p > '9')
        return MOED_E_MALFORMED;
    if (*p == '0')
        p++;
    else
        for (; p < end && *p >= '0' && *p <= '9'; p++)
            value = value <= INT32_MAX ? value * 10 + (*p - '0') : value;
    if (p < end && (*p == '.' || *p == 'e' || *p == 'E'))
        return MOED_E_MALFORMED;
    value = negative ? -value : value;
    if (value < INT32_MIN || value > INT32_MAX)
        return MOED_E_UNPROCESSABLE;
    *out = (int32_t)value;
    *at = p;
    return 0;
}

/* Says what is wrong with the number at the cursor, the `column`th of its row. */
static int bad_number(struct json_scan *s, const struct json_rows *r, size_t column, int code)
{
    const char *expected = r->element == JSON_F32 ? "a number" : "an integer";
    const char first = json_peek(s);
    const char *end = s->at;
    char quoted[FIELD_QUOTE_MAX];

    while (end < s->end && (*end > ' ') && *end != ',' && *end != ']')
        end++;
    field_quote(s->at, (size_t)(end - s->at), quoted);
    if (code == MOED_E_UNPROCESSABLE)
        return moed_fail(s->err, code, "%s: row %u, column %zu is %s, out of the range of %s",
                         r->name, r->rows, column, quoted,
                         r->element == JSON_F32 ? "float32" : "int32");
    if (first == '[' || first == '{' || first == '"' || first == '\0')
        return moed_fail(s->err, MOED_E_MALFORMED, "%s: row %u, column %zu is %s, expected %s",
                         r->name, r->rows, column, json_kind(first), expected);
    return moed_fail(s->err, MOED_E_MALFORMED, "%s: row %u, column %zu is \"%s\", expected %s",
                     r->name, r->rows, column, quoted, expected);
}

/* The numbers of one row; the bracket before them is passed already. */
static int read_numbers(struct json_scan *s, struct json_rows *r)
{
    const size_t first = r->count;

    if (json_take(s, ']'))
        return 0;
    do {
        int status;

        if (r->count == r->capacity && !grow(r))
            return moed_fail(s->err, MOED_E_NO_MEMORY, "%s: no memory after %zu numbers", r->name,
                             r->count);
        json_space(s);
        if (r->element == JSON_F32)
            status = moed_wire_read_f32(&s->at, s->end, (float *)r->data + r->count);
        else
            status = read_i32(&s->at, s->end, (int32_t *)r->data + r->count);
        if (status != 0)
            return bad_number(s, r, r->count - first, status);
        /* At once: what follows could be as long as the body. */
        if (r->columns != 0 && r->count - first == r->columns)
            return moed_fail(s->err, MOED_E_SHAPE,
                             "%s: row %u has more than %u numbers, expected %u", r->name, r->rows,
                             r->columns, r->columns);
        r->count++;
    } while (json_take(s, ','));
    return json_take(s, ']') ? 0 : json_expected(s, "',' or ']' after a number");
}

static int read_row(struct json_scan *s, struct json_rows *r)
{
    const size_t first = r->count;
    int status;

    if (r->rows == r->max_rows)
        return moed_fail(s->err, MOED_E_TOO_LARGE, "%s has more than %u rows, the limit is %u",
                         r->name, r->max_rows, r->max_rows);
    status = read_numbers(s, r);
    if (status != 0)
        return status;

    const size_t columns = r->count - first;

    if (columns == 0 && r->columns == 0)
        return moed_fail(s->err, MOED_E_SHAPE, "%s: row %u is empty, expected numbers", r->name,
                         r->rows);
    if (r->columns == 0 && columns <= UINT32_MAX)
        r->columns = (uint32_t)columns;
    if (columns != r->columns)
        return moed_fail(s->err, MOED_E_SHAPE, "%s: row %u has %zu numbers, expected %u", r->name,
                         r->rows, columns, r->columns);
    r->rows++;
    return 0;
}

int json_rows_read(struct json_scan *s, struct json_rows *r)
{
    char first = json_peek(s);

    if (!json_take(s, '['))
        return moed_fail(s->err, MOED_E_MALFORMED, "%s is %s, expected an array of rows", r->name,
                         json_kind(first));
    if (json_take(s, ']'))
        return 0;
    if (json_peek(s) != '[')
        return read_row(s, r);
    do {
        first = json_peek(s);
        if (!json_take(s, '['))
            return moed_fail(s->err, MOED_E_MALFORMED, "%s: row %u is %s, expected an array",
                             r->name, r->rows, json_kind(first));

        const int status = read_row(s, r);

        if (status != 0)
            return status;
    } while (json_take(s, ','));
    return json_take(s, ']') ? 0 : json_expected(s, "',' or ']' after a row");
}
