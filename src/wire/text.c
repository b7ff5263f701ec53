/* text: growth by half keeps the copies few and the slack of a large body small. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_MAX 256

char *text_reserve(struct text *text, size_t size)
{
    uint64_t needed;
    char *data = NULL;

    if (text->failed)
        return NULL;
    if (size <= text->capacity - text->size)
        return text->data + text->size;
    if (moed_add(text->size, size, &needed) && moed_add(needed, needed / 2, &needed))
        data = realloc(text->data, needed);
    if (data == NULL) {
        text->failed = true;
        return NULL;
    }
    text->data = data;
    text->capacity = needed;
    return data + text->size;
}

void text_advance(struct text *text, size_t size)
{
    text->size += size;
}

void text_format(struct text *text, const char *format, ...)
{
    char *at = text_reserve(text, FORMAT_MAX);
    va_list args;
    int written;

    if (at == NULL)
        return;
    va_start(args, format);
    written = vsnprintf(at, FORMAT_MAX, format, args);
    va_end(args);
    text->size += written > 0 && written < FORMAT_MAX ? (size_t)written : 0;
}

void text_put(struct text *text, const void *data, size_t size)
{
    char *at = text_reserve(text, size);

    if (at == NULL || size == 0)
        return;
    memcpy(at, data, size);
    text->size += size;
}
