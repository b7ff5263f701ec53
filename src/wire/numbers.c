/* numbers: a chunk at a time, so that what is reserved in advance stays small. */
#include "numbers.h"

#define I32_MAX 11  /* "-2147483648" */
#define CHUNK   256 /* numbers converted to float32 and reserved for at a time */

static char *write_i32(int32_t value, char *out)
{
    char digits[I32_MAX];
    uint32_t left = value < 0 ? 0U - (uint32_t)value : (uint32_t)value;
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0)
        *out++ = '-';
    while (n > 0)
        *out++ = digits[--n];
    return out;
}

/* Each number with a comma behind it. */
static char *write_floats(const float *values, size_t n, char *at)
{
    for (size_t i = 0; i < n; i++) {
        at += moed_wire_write_f32(values[i], at);
        *at++ = ',';
    }
    return at;
}

static char *write_ints(const int32_t *values, size_t n, char *at)
{
    for (size_t i = 0; i < n; i++) {
        at = write_i32(values[i], at);
        *at++ = ',';
    }
    return at;
}

static void close_array(struct text *text, size_t count)
{
    if (count == 0)
        text_format(text, "]");
    else if (!text->failed)
        text->data[text->size - 1] = ']'; /* over the last comma */
}

void text_floats(struct text *text, enum moed_dtype dtype, const void *data, size_t count)
{
    const size_t size = moed_dtype_size(dtype);
    float values[CHUNK];

    text_format(text, "[");
    for (size_t i = 0, n; i < count; i += n) {
        char *at;

        n = count - i < CHUNK ? count - i : CHUNK;
        at = text_reserve(text, n * (MOED_WIRE_F32_MAX + 1));
        if (at == NULL)
            return;
        moed_dtype_to_f32(dtype, (const char *)data + size * i, values, n);
        text_advance(text, (size_t)(write_floats(values, n, at) - at));
    }
    close_array(text, count);
}

void text_ints(struct text *text, const int32_t *data, size_t count)
{
    text_format(text, "[");
    for (size_t i = 0, n; i < count; i += n) {
        char *at;

        n = count - i < CHUNK ? count - i : CHUNK;
        at = text_reserve(text, n * (I32_MAX + 1));
        if (at == NULL)
            return;
        text_advance(text, (size_t)(write_ints(data + i, n, at) - at));
    }
    close_array(text, count);
}
