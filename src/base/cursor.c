/* cursor: bounded little-endian reads from bytes that are not trusted. */
#include "src/base/base.h"

#include <endian.h>
#include <string.h>

struct moed_cursor moed_cursor_init(const void *data, size_t size)
{
    static const uint8_t nothing;
    struct moed_cursor c = {.at = &nothing, .end = &nothing};

    /* No data may be NULL, on which C allows no arithmetic, not even adding 0. */
    if (data != NULL) {
        c.at = data;
        c.end = c.at + size;
    }
    return c;
}

size_t moed_cursor_remaining(const struct moed_cursor *c)
{
    return c->failed ? 0 : (size_t)(c->end - c->at);
}

const uint8_t *moed_cursor_take(struct moed_cursor *c, uint64_t size)
{
    const uint8_t *taken = c->at;

    if (c->failed || size > (uint64_t)(c->end - c->at)) {
        c->failed = true;
        return NULL;
    }
    c->at += size;
    return taken;
}

uint8_t moed_cursor_u8(struct moed_cursor *c)
{
    const uint8_t *bytes = moed_cursor_take(c, 1);

    return bytes != NULL ? *bytes : 0;
}

/* Copies `size` bytes into a zeroed value, so that a read that does not fit gives 0. */
static void read_into(struct moed_cursor *c, void *value, size_t size)
{
    const uint8_t *bytes = moed_cursor_take(c, size);

    if (bytes != NULL)
        memcpy(value, bytes, size);
}

uint16_t moed_cursor_u16(struct moed_cursor *c)
{
    uint16_t value = 0;

    read_into(c, &value, sizeof value);
    return le16toh(value);
}

uint32_t moed_cursor_u32(struct moed_cursor *c)
{
    uint32_t value = 0;

    read_into(c, &value, sizeof value);
    return le32toh(value);
}

uint64_t moed_cursor_u64(struct moed_cursor *c)
{
    uint64_t value = 0;

    read_into(c, &value, sizeof value);
    return le64toh(value);
}

float moed_cursor_f32(struct moed_cursor *c)
{
    const uint32_t bits = moed_cursor_u32(c);
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

double moed_cursor_f64(struct moed_cursor *c)
{
    const uint64_t bits = moed_cursor_u64(c);
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}
