/* log_line: builds the line of an event. One that would be too long is cut between characters and
 * stays a well-formed line or JSON object. */
#include "log_line.h"

#include "src/base/base.h"
#include "utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CLOSING_BYTES = 8, /* always left free for a closing quote, brace and newline */
    NUMBER_BYTES = 32,
};

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

static size_t room(const struct log_line *line)
{
    const size_t limit = LOG_LINE_BYTES - CLOSING_BYTES;

    return line->size < limit ? limit - line->size : 0;
}

/* All of `text` or nothing: false when it does not fit. */
static bool put(struct log_line *line, const char *text, size_t size)
{
    if (size > room(line))
        return false;
    memcpy(line->data + line->size, text, size);
    line->size += size;
    return true;
}

/* For what closes a string, an object or the line: CLOSING_BYTES are kept for it. */
static void put_closing(struct log_line *line, char c)
{
    line->data[line->size++] = c;
}

/* The code of a control character, of which some terminals know U+0080 to U+009F too; else -1. */
static int control_code(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    if (at[0] < 0x20 || at[0] == 0x7F)
        return at[0];
    return at[0] == 0xC2 && at[1] < 0xA0 ? at[1] : -1;
}

/* The characters of `text`, with control characters escaped as in JSON; quotes and backslashes
 * too if `quoted`. Bytes that are not UTF-8 become '?'. Stops where the line is full. */
static void put_escaped(struct log_line *line, const char *text, bool quoted)
{
    while (*text != '\0') {
        char escape[8];
        size_t length = moed_utf8_length(text);
        bool fits;

        if (length == 0) {
            length = 1;
            fits = put(line, "?", 1);
        } else if (*text == '\n') {
            fits = put(line, "\\n", 2);
        } else if (control_code(text) >= 0) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)control_code(text));
            fits = put(line, escape, 6);
        } else if (quoted && (*text == '"' || *text == '\\')) {
            fits = put(line, (char[2]){'\\', *text}, 2);
        } else {
            fits = put(line, text, length);
        }
        if (!fits)
            return;
        text += length;
    }
}

static void put_quoted(struct log_line *line, const char *text)
{
    if (put(line, "\"", 1)) {
        put_escaped(line, text, true);
        put_closing(line, '"');
    }
}

/* The shorter of two forms that read back as the same double. */
static void put_number(struct log_line *line, double number, bool json)
{
    char text[NUMBER_BYTES];

    if (json && !isfinite(number)) {
        put(line, "null", 4);
        return;
    }
    snprintf(text, sizeof text, "%.15g", number);
    if (strtod(text, NULL) != number)
        snprintf(text, sizeof text, "%.17g", number);
    put(line, text, strlen(text));
}

static void put_time(struct log_line *line)
{
    const uint64_t now = moed_wall_ms();
    const time_t seconds = (time_t)(now / 1000);
    struct tm utc;
    char text[64];
    int length;

    gmtime_r(&seconds, &utc);
    length = snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", utc.tm_year + 1900,
                      utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                      (unsigned)(now % 1000));
    put(line, text, (size_t)length);
}

/* A field goes in with its name and at least the start of its value, or not at all. */
static bool field_fits(const struct log_line *line, const struct moed_log_field *field)
{
    return strlen(field->name) + NUMBER_BYTES + sizeof ", \"\":\"\"" <= room(line);
}

static void put_text_field(struct log_line *line, const struct moed_log_field *field)
{
    put(line, " ", 1);
    put(line, field->name, strlen(field->name));
    put(line, "=", 1);
    if (field->text == NULL)
        put_number(line, field->number, false);
    else if (*field->text == '\0' || strpbrk(field->text, " =\"") != NULL)
        put_quoted(line, field->text);
    else
        put_escaped(line, field->text, false);
}

static void put_json_field(struct log_line *line, const struct moed_log_field *field)
{
    put(line, ",", 1);
    put_quoted(line, field->name);
    put(line, ":", 1);
    if (field->text == NULL)
        put_number(line, field->number, true);
    else
        put_quoted(line, field->text);
}

static void begin_text(struct log_line *line, enum moed_log_level level, const char *message)
{
    put_time(line);
    put(line, " ", 1);
    put(line, level_names[level], strlen(level_names[level]));
    put(line, " ", 1);
    put_escaped(line, message, false);
}

static void begin_json(struct log_line *line, enum moed_log_level level, const char *message)
{
    put(line, "{\"time\":\"", 9);
    put_time(line);
    put(line, "\",\"level\":", 10);
    put_quoted(line, level_names[level]);
    put(line, ",\"message\":", 11);
    put_quoted(line, message);
}

void log_line_make(struct log_line *line, const struct log_event *event)
{
    const bool json = event->format == MOED_LOG_JSON;

    line->size = 0;
    if (json)
        begin_json(line, event->level, event->message);
    else
        begin_text(line, event->level, event->message);
    for (size_t i = 0; i < event->n_fields && field_fits(line, &event->fields[i]); i++)
        if (json)
            put_json_field(line, &event->fields[i]);
        else
            put_text_field(line, &event->fields[i]);
    if (json)
        put_closing(line, '}');
    put_closing(line, '\n');
}
