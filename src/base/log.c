/* log: builds one line an event and hands it to the kernel in one write(2), so that lines of
 * several threads never mix. A line that would be too long is cut between characters and stays
 * a well-formed line or JSON object. */
#include "src/base/base.h"

#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_BYTES = 4096,
    CLOSING_BYTES = 8, /* always left free for a closing quote, brace and newline */
    NUMBER_BYTES = 32,
};

static atomic_int active_level = MOED_LOG_INFO;
static atomic_int active_format = MOED_LOG_TEXT;
static atomic_int descriptor = STDERR_FILENO;

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

struct line {
    char data[LINE_BYTES];
    size_t size;
};

static size_t room(const struct line *line)
{
    const size_t limit = LINE_BYTES - CLOSING_BYTES;

    return line->size < limit ? limit - line->size : 0;
}

/* All of `text` or nothing: false when it does not fit. */
static bool put(struct line *line, const char *text, size_t size)
{
    if (size > room(line))
        return false;
    memcpy(line->data + line->size, text, size);
    line->size += size;
    return true;
}

/* For what closes a string, an object or the line: CLOSING_BYTES are kept for it. */
static void put_closing(struct line *line, char c)
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
static void put_escaped(struct line *line, const char *text, bool quoted)
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

static void put_quoted(struct line *line, const char *text)
{
    if (put(line, "\"", 1)) {
        put_escaped(line, text, true);
        put_closing(line, '"');
    }
}

/* The shorter of two forms that read back as the same double. */
static void put_number(struct line *line, double number, bool json)
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

static void put_time(struct line *line)
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
static bool field_fits(const struct line *line, const struct moed_log_field *field)
{
    return strlen(field->name) + NUMBER_BYTES + sizeof(", \"\":\"\"") <= room(line);
}

static void put_text_field(struct line *line, const struct moed_log_field *field)
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

static void put_json_field(struct line *line, const struct moed_log_field *field)
{
    put(line, ",", 1);
    put_quoted(line, field->name);
    put(line, ":", 1);
    if (field->text == NULL)
        put_number(line, field->number, true);
    else
        put_quoted(line, field->text);
}

static void begin_text(struct line *line, enum moed_log_level level, const char *message)
{
    put_time(line);
    put(line, " ", 1);
    put(line, level_names[level], strlen(level_names[level]));
    put(line, " ", 1);
    put_escaped(line, message, false);
}

static void begin_json(struct line *line, enum moed_log_level level, const char *message)
{
    put(line, "{\"time\":\"", 9);
    put_time(line);
    put(line, "\",\"level\":", 10);
    put_quoted(line, level_names[level]);
    put(line, ",\"message\":", 11);
    put_quoted(line, message);
}

void moed_log_configure(enum moed_log_level level, enum moed_log_format format)
{
    atomic_store_explicit(&active_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&active_format, (int)format, memory_order_relaxed);
}

int moed_log_open(const char *path, struct moed_error *err)
{
    const int current = atomic_load(&descriptor);
    const int opened = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

    int rc = 0;

    if (opened < 0)
        return moed_fail(err, MOED_E_IO, "log file %s: %s", path, strerror(errno));
    if (current == STDERR_FILENO) {
        atomic_store(&descriptor, opened);
        return 0;
    }
    /* The number stays and changes its file at once, so that a writer in between is in no danger.
     */
    if (dup3(opened, current, O_CLOEXEC) < 0)
        rc = moed_fail(err, MOED_E_IO, "log file %s: %s", path, strerror(errno));
    close(opened);
    return rc;
}

bool moed_log_enabled(enum moed_log_level level)
{
    return level < MOED_LOG_OFF &&
           (int)level >= atomic_load_explicit(&active_level, memory_order_relaxed);
}

void moed_log_event(enum moed_log_level level, const char *message,
                    const struct moed_log_field *fields, size_t n_fields)
{
    const bool json =
        atomic_load_explicit(&active_format, memory_order_relaxed) == (int)MOED_LOG_JSON;
    struct line line;
    ssize_t written;

    if (!moed_log_enabled(level))
        return;
    line.size = 0;
    if (json)
        begin_json(&line, level, message);
    else
        begin_text(&line, level, message);
    for (size_t i = 0; i < n_fields && field_fits(&line, &fields[i]); i++)
        if (json)
            put_json_field(&line, &fields[i]);
        else
            put_text_field(&line, &fields[i]);
    if (json)
        put_closing(&line, '}');
    put_closing(&line, '\n');
    /* Nobody is left to tell that the log cannot be written. */
    written = write(atomic_load(&descriptor), line.data, line.size);
    (void)written;
}

void moed_log(enum moed_log_level level, const char *format, ...)
{
    char message[LINE_BYTES];
    va_list args;

    if (!moed_log_enabled(level))
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    moed_log_event(level, message, NULL, 0);
}
