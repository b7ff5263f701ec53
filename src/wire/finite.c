/* finite: a whole row is tested at once; only a row that fails is looked at closely. */
#include "finite.h"

int check_finite(const char *name, enum moed_dtype dtype, const void *data, uint32_t rows,
                 uint32_t columns, struct moed_error *err)
{
    const size_t size = moed_dtype_size(dtype);
    const uint8_t *row = data;

    for (uint32_t i = 0; i < rows; i++, row += size * columns) {
        uint32_t column = 0;

        if (moed_dtype_is_finite(dtype, row, columns))
            continue;
        while (moed_dtype_is_finite(dtype, row + size * column, 1))
            column++;
        return moed_fail(err, MOED_E_NOT_FINITE,
                         "%s: row %u, column %u is NaN or infinite, expected a finite number", name,
                         i, column);
    }
    return 0;
}
