/* finite: rows that hold NaN or infinity, found by their exponent bits. */
#ifndef MOED_WIRE_FINITE_H
#define MOED_WIRE_FINITE_H

#include "src/wire/wire.h"

/* 0, or MOED_E_NOT_FINITE naming row and column. `data` [rows, columns], any alignment. */
int check_finite(const char *name, enum moed_dtype dtype, const void *data, uint32_t rows,
                 uint32_t columns, struct moed_error *err);

#endif
