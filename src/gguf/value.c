/* value: the value types of keys: names, sizes, and one number from its bytes. */
#include "file.h"

#include <endian.h>
#include <string.h>

enum kind { OTHER, UNSIGNED, SIGNED };

static const struct {
    const char *name;
    unsigned size;
    enum kind kind;
} types[] = {
    [MOED_GGUF_U8] = {"u8", 1, UNSIGNED},      [MOED_GGUF_I8] = {"i8", 1, SIGNED},
    [MOED_GGUF_U16] = {"u16", 2, UNSIGNED},    [MOED_GGUF_I16] = {"i16", 2, SIGNED},
    [MOED_GGUF_U32] = {"u32", 4, UNSIGNED},    [MOED_GGUF_I32] = {"i32", 4, SIGNED},
    [MOED_GGUF_F32] = {"f32", 4, OTHER},       [MOED_GGUF_BOOL] = {"bool", 1, OTHER},
    [MOED_GGUF_STRING] = {"string", 0, OTHER}, [MOED_GGUF_ARRAY] = {"array", 0, OTHER},
    [MOED_GGUF_U64] = {"u64", 8, UNSIGNED},    [MOED_GGUF_I64] = {"i64", 8, SIGNED},
    [MOED_GGUF_F64] = {"f64", 8, OTHER},
};

const char *moed_gguf_type_name(uint32_t type)
{
    return type < MOED_ARRAY_LEN(types) ? types[type].name : "unknown";
}

size_t moed_gguf_type_size(uint32_t type)
{
    return type < MOED_ARRAY_LEN(types) ? types[type].size : 0;
}

bool moed_gguf_integer(uint32_t type, const uint8_t *at, uint64_t *out, bool *negative)
{
    uint64_t value = 0;

    if (type >= MOED_ARRAY_LEN(types) || types[type].kind == OTHER)
        return false;
    memcpy(&value, at, types[type].size);
    value = le64toh(value);
    if (types[type].kind == SIGNED) { /* up to the top bit and, arithmetically, back */
        const unsigned above = 64 - 8 * types[type].size;
        value = (uint64_t)((int64_t)(value << above) >> above);
    }
    *out = value;
    *negative = types[type].kind == SIGNED && (int64_t)value < 0;
    return true;
}

bool moed_gguf_float(uint32_t type, const uint8_t *at, double *out)
{
    struct moed_cursor c = moed_cursor_init(at, moed_gguf_type_size(type));

    if (type != MOED_GGUF_F32 && type != MOED_GGUF_F64)
        return false;
    *out = type == MOED_GGUF_F32 ? (double)moed_cursor_f32(&c) : moed_cursor_f64(&c);
    return true;
}
