/* value: one option's value: text to a field of the arguments, and back. */
#include "value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int wrong(struct moed_error *err, const char *what, const char *expected, const char *found)
{
    return moed_fail(err, MOED_E_USAGE, "%s: expected %s, found \"%s\"", what, expected, found);
}

static bool read_bytes(const char *text, uint64_t *out)
{
    static const struct {
        const char *suffix;
        uint64_t unit;
    } units[] = {{"", 1},
                 {"KiB", UINT64_C(1) << 10},
                 {"MiB", UINT64_C(1) << 20},
                 {"GiB", UINT64_C(1) << 30}};
    const char *end = text;
    uint64_t number;

    if (!moed_read_u64(&end, &number))
        return false;
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < MOED_ARRAY_LEN(units); i++)
        if (strcasecmp(end, units[i].suffix) == 0)
            return moed_mul(number, units[i].unit, out);
    return false;
}

static void format_bytes(uint64_t bytes, char *out, size_t size)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB"};
    size_t unit = 0;

    while (unit < 3 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    snprintf(out, size, "%llu%s", (unsigned long long)bytes, units[unit]);
}

static int parse_bytes(const struct option *option, const char *text, uint64_t *out,
                       const char *what, struct moed_error *err)
{
    const uint64_t max = option->max > 0 ? option->max : UINT64_MAX;
    char expected[96], least[32], most[32];
    uint64_t bytes;

    if (!read_bytes(text, &bytes))
        return wrong(err, what, "bytes, like 4096 or 256MiB", text);
    if (bytes < option->min || bytes > max) {
        format_bytes(option->min, least, sizeof least);
        format_bytes(max, most, sizeof most);
        snprintf(expected, sizeof expected, "bytes from %s to %s", least, most);
        return wrong(err, what, expected, text);
    }
    *out = bytes;
    return 0;
}

static bool read_switch(const char *text, bool *out)
{
    static const char *const words[2][4] = {{"no", "false", "off", "0"},
                                            {"yes", "true", "on", "1"}};

    for (size_t i = 0; i < 8; i++) {
        if (strcasecmp(text, words[i / 4][i % 4]) == 0) {
            *out = i >= 4;
            return true;
        }
    }
    return false;
}

static int parse_number(const struct option *option, const char *text, uint32_t *out,
                        const char *what, struct moed_error *err)
{
    const uint64_t max = option->max > 0 ? option->max : UINT32_MAX;
    char expected[64];
    const char *end = text;
    uint32_t number;

    if (!moed_read_u32(&end, &number) || *end != '\0' || number < option->min || number > max) {
        snprintf(expected, sizeof expected, "a whole number from %u to %llu", option->min,
                 (unsigned long long)max);
        return wrong(err, what, expected, text);
    }
    *out = number;
    return 0;
}

/* The `index`th of "text|json": its start, and its length in *size; NULL past the end. */
static const char *choice_at(const char *choices, uint32_t index, size_t *size)
{
    for (; index > 0; index--) {
        choices = strchr(choices, '|');
        if (choices == NULL)
            return NULL;
        choices++;
    }
    *size = strcspn(choices, "|");
    return choices;
}

static int parse_choice(const struct option *option, const char *text, uint32_t *out,
                        const char *what, struct moed_error *err)
{
    const char *choice;
    size_t size = 0;
    char expected[128];

    for (uint32_t i = 0; (choice = choice_at(option->value, i, &size)); i++) {
        if (strlen(text) == size && strncmp(text, choice, size) == 0) {
            *out = i;
            return 0;
        }
    }
    snprintf(expected, sizeof expected, "one of %s", option->value);
    return wrong(err, what, expected, text);
}

static int parse_numbers(const struct option *option, const char *text, struct option_numbers *out,
                         const char *what, struct moed_error *err)
{
    char word[16];
    int status;

    out->n = 0;
    for (;;) {
        size_t size = strcspn(text, ",");

        if (out->n == OPTION_LIST_MAX)
            return moed_fail(err, MOED_E_USAGE, "%s: more than %d numbers", what, OPTION_LIST_MAX);
        snprintf(word, sizeof word, "%.*s", (int)(size < 15 ? size : 15), text);
        status = parse_number(option, word, &out->at[out->n], what, err);
        if (status != 0)
            return status;
        out->n++;
        if (text[size] == '\0')
            return 0;
        text += size + 1;
    }
}

static int append_text(struct option_texts *texts, const char *text, const char *what,
                       struct moed_error *err)
{
    if (texts->n == OPTION_LIST_MAX)
        return moed_fail(err, MOED_E_USAGE, "%s: given more than %d times", what, OPTION_LIST_MAX);
    texts->at[texts->n++] = text;
    return 0;
}

static int parse_seconds(const char *text, double *out, const char *what, struct moed_error *err)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end != '\0' || !isfinite(seconds) || seconds <= 0)
        return wrong(err, what, "a number of seconds above 0", text);
    *out = seconds;
    return 0;
}

int value_parse(const struct option *option, void *field, const char *text, bool append,
                const char *what, struct moed_error *err)
{
    const char *end = text;

    switch (option->kind) {
    case OPTION_SWITCH:
        return read_switch(text, field) ? 0 : wrong(err, what, "yes or no", text);
    case OPTION_NUMBER:
        return parse_number(option, text, field, what, err);
    case OPTION_BYTES:
        return parse_bytes(option, text, field, what, err);
    case OPTION_SEED:
        if (moed_read_u64(&end, field) && *end == '\0')
            return 0;
        return wrong(err, what, "a whole number below 2^64", text);
    case OPTION_SECONDS:
        return parse_seconds(text, field, what, err);
    case OPTION_TEXT:
        if (*text == '\0')
            return moed_fail(err, MOED_E_USAGE, "%s: the value is empty", what);
        *(const char **)field = text;
        return 0;
    case OPTION_CHOICE:
        return parse_choice(option, text, field, what, err);
    case OPTION_TEXTS:
        if (!append)
            ((struct option_texts *)field)->n = 0;
        return append_text(field, text, what, err);
    case OPTION_NUMBERS:
        return parse_numbers(option, text, field, what, err);
    }
    return moed_fail(err, MOED_E_INTERNAL, "%s: option kind %d", what, (int)option->kind);
}

int value_parse_variable(const struct option *option, void *field, const char *text,
                         const char *what, struct moed_error *err)
{
    struct option_texts *texts = field;
    char *rest, *word;
    int status = 0;

    if (option->kind != OPTION_TEXTS)
        return value_parse(option, field, text, false, what, err);
    if (strlen(text) >= sizeof texts->copy)
        return moed_fail(err, MOED_E_USAGE, "%s: %zu bytes, the limit is %zu", what, strlen(text),
                         sizeof texts->copy - 1);
    snprintf(texts->copy, sizeof texts->copy, "%s", text);
    rest = texts->copy;
    texts->n = 0;
    while (status == 0 && (word = strsep(&rest, ",")))
        status = append_text(texts, word, what, err);
    return status;
}

static void format_list(const struct option *option, const void *field, char *out, size_t size)
{
    const struct option_texts *texts = field;
    const struct option_numbers *numbers = field;
    const bool is_text = option->kind == OPTION_TEXTS;
    const uint32_t n = is_text ? texts->n : numbers->n;
    size_t used = 0;

    snprintf(out, size, "%s", n > 0 ? "" : option->unset != NULL ? option->unset : "none");
    for (uint32_t i = 0; i < n && used < size; i++) {
        const char *comma = i == 0 ? "" : ",";

        if (is_text)
            used += (size_t)snprintf(out + used, size - used, "%s%s", comma, texts->at[i]);
        else
            used += (size_t)snprintf(out + used, size - used, "%s%u", comma, numbers->at[i]);
    }
}

void value_format(const struct option *option, const void *field, char *out, size_t size)
{
    const char *unset = option->unset != NULL ? option->unset : "none";
    const char *text;
    size_t length = 0;

    switch (option->kind) {
    case OPTION_SWITCH:
        snprintf(out, size, "%s", *(const bool *)field ? "yes" : "no");
        return;
    case OPTION_NUMBER:
        if (*(const uint32_t *)field == 0 && option->unset != NULL)
            snprintf(out, size, "%s", unset);
        else
            snprintf(out, size, "%u", *(const uint32_t *)field);
        return;
    case OPTION_BYTES:
        format_bytes(*(const uint64_t *)field, out, size);
        return;
    case OPTION_SEED:
        snprintf(out, size, "%llu", (unsigned long long)*(const uint64_t *)field);
        return;
    case OPTION_SECONDS:
        snprintf(out, size, "%g", *(const double *)field);
        return;
    case OPTION_TEXT:
        text = *(const char *const *)field;
        snprintf(out, size, "%s", text != NULL ? text : unset);
        return;
    case OPTION_CHOICE:
        text = choice_at(option->value, *(const uint32_t *)field, &length);
        snprintf(out, size, "%.*s", (int)length, text != NULL ? text : "");
        return;
    case OPTION_TEXTS:
    case OPTION_NUMBERS:
        format_list(option, field, out, size);
        return;
    }
}

/* A line break would make one header two, or end the headers. */
int value_check_headers(const struct option_texts *texts, struct moed_error *err)
{
    for (uint32_t i = 0; i < texts->n; i++)
        if (strchr(texts->at[i], ':') == NULL || strpbrk(texts->at[i], "\r\n") != NULL)
            return moed_fail(err, MOED_E_USAGE, "--header: expected one line like 'Name: value'");
    return 0;
}
