/* finite: a whole row is tested at once, without a branch a number, so the compiler can use
 * vectors; only a row that fails is looked at closely. */
#include "finite.h"

#include <string.h>

static bool row_is_finite_32(const uint8_t *row, uint32_t columns)
{
    uint32_t bad = 0;

    for (uint32_t i = 0; i < columns; i++) {
        uint32_t bits;

        memcpy(&bits, row + (size_t)4 * i, sizeof bits);
        bad |= (bits & 0x7f800000) == 0x7f800000;
    }
    return bad == 0;
}

/* `exponent`: the bits that are all set in NaN and infinity. */
static bool row_is_finite_16(const uint8_t *row, uint32_t columns, uint16_t exponent)
{
    unsigned bad = 0;

    for (uint32_t i = 0; i < columns; i++) {
        uint16_t bits;

        memcpy(&bits, row + (size_t)2 * i, sizeof bits);
        bad |= (bits & exponent) == exponent;
    }
    return bad == 0;
}

static bool row_is_finite(enum moed_dtype dtype, const uint8_t *row, uint32_t columns)
{
    if (dtype == MOED_F32)
        return row_is_finite_32(row, columns);
    return row_is_finite_16(row, columns, dtype == MOED_F16 ? 0x7c00 : 0x7f80);
}

int check_finite(const char *name, enum moed_dtype dtype, const void *data, uint32_t rows,
                 uint32_t columns, struct moed_error *err)
{
    const size_t size = moed_dtype_size(dtype);
    const uint8_t *row = data;

    for (uint32_t i = 0; i < rows; i++, row += size * columns) {
        uint32_t column = 0;

        if (row_is_finite(dtype, row, columns))
            continue;
        while (row_is_finite(dtype, row + size * column, 1))
            column++;
        return moed_fail(err, MOED_E_NOT_FINITE,
                         "%s: row %u, column %u is NaN or infinite, expected a finite number", name,
                         i, column);
    }
    return 0;
}
