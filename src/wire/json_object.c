/* json_object: an object read by a table of the fields that it may have. */
#include <stdio.h>
#include <string.h>

#include "fields.h"
#include "json_scan.h"

enum { NAME_MAX_SIZE = 64 };

/* A name with its escapes resolved, in `room` where it has any: "l\\u0061yer" is "layer". Names of
 * fields are short; what is too long for the room is none. */
static int read_name(struct json_scan *s, char room[NAME_MAX_SIZE], struct json_span *out)
{
    int status = json_read_string(s, out);
    cJSON *value;

    if (status != 0 || memchr(out->at, '\\', out->size) == NULL || out->size > JSON_SMALL)
        return status;
    value = cJSON_ParseWithLength(out->at - 1, out->size + 2); /* with its quotes */
    if (value == NULL)
        return json_cannot_read(s->err, "a name of a field has a lone surrogate");
    if (strlen(value->valuestring) < NAME_MAX_SIZE) {
        out->size = strlen(value->valuestring);
        out->at = memcpy(room, value->valuestring, out->size);
    }
    cJSON_Delete(value);
    return 0;
}

static size_t find_field(const struct json_field *fields, size_t n_fields, struct json_span name)
{
    size_t i = 0;

    while (i < n_fields &&
           (strlen(fields[i].name) != name.size || memcmp(fields[i].name, name.at, name.size) != 0))
        i++;
    return i;
}

/* Says which field it is, and which there are. */
static int refuse_unknown(const struct json_scan *s, const char *path,
                          const struct json_field *fields, size_t n_fields, struct json_span name)
{
    char list[512] = "", quoted[FIELD_QUOTE_MAX];

    for (size_t i = 0, used = 0; i < n_fields && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "",
                                 fields[i].name);
    return moed_fail(s->err, MOED_E_MALFORMED, "unknown field \"%s%s\", expected one of %s", path,
                     field_quote(name.at, name.size, quoted), list);
}

/* A small value by way of cJSON. */
static int read_small(struct json_scan *s, const char *path, const struct json_field *field,
                      void *context)
{
    struct json_span text;
    const char *parsed = NULL;
    cJSON *value;
    int status = json_read_value(s, &text);

    if (status != 0)
        return status;
    if (text.size > JSON_SMALL)
        return moed_fail(s->err, MOED_E_MALFORMED, "%s%s takes %zu bytes, expected at most %d",
                         path, field->name, text.size, JSON_SMALL);
    /* Some versions of cJSON read 63 characters of a number and leave the rest. */
    value = cJSON_ParseWithLengthOpts(text.at, text.size, &parsed, false);
    if (value == NULL || parsed != text.at + text.size)
        status =
            json_cannot_read(s->err, "%s%s cannot be read: a lone surrogate or too long a number",
                             path, field->name);
    else
        status = field->value(value, context, s->err);
    cJSON_Delete(value);
    return status;
}

int json_read_object(struct json_scan *s, const char *path, const struct json_field *fields,
                     size_t n_fields, void *context)
{
    char room[NAME_MAX_SIZE];
    struct json_span name;
    uint32_t seen = 0;
    int status;

    if (!json_take(s, '{'))
        return json_expected(s, "an object");
    if (json_take(s, '}'))
        goto missing;
    do {
        status = read_name(s, room, &name);
        if (status != 0)
            return status;
        const size_t i = find_field(fields, n_fields, name);

        if (i == n_fields)
            return refuse_unknown(s, path, fields, n_fields, name);
        if (seen & 1U << i)
            return moed_fail(s->err, MOED_E_MALFORMED, "%s%s is given twice", path, fields[i].name);
        seen |= 1U << i;
        if (!json_take(s, ':'))
            return json_expected(s, "':'");
        status = fields[i].read != NULL ? fields[i].read(s, context)
                                        : read_small(s, path, &fields[i], context);
        if (status != 0)
            return status;
    } while (json_take(s, ','));
    if (!json_take(s, '}'))
        return json_expected(s, "',' or '}'");
missing:
    for (size_t i = 0; i < n_fields; i++)
        if (fields[i].required && !(seen & 1U << i))
            return moed_fail(s->err, MOED_E_MALFORMED, "%s%s is missing", path, fields[i].name);
    return 0;
}
