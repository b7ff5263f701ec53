/* json_rows: large arrays of numbers, straight from the text into one buffer. */
#ifndef MOED_WIRE_JSON_ROWS_H
#define MOED_WIRE_JSON_ROWS_H

#include "json_scan.h"

enum json_element { JSON_F32, JSON_I32 }; /* both 4 bytes */

struct json_rows {
    const char *name; /* of the field, for messages */
    enum json_element element;
    uint32_t max_rows;
    uint32_t rows, columns; /* columns that are not 0 before reading are what rows must have */
    void *data;             /* [rows, columns], the caller's to free, after a failure too */
    size_t count, capacity; /* elements */
};

/* Reads an array of rows of equal length, or one flat row; [] is zero rows. MOED_E_MALFORMED and
 * MOED_E_SHAPE, MOED_E_TOO_LARGE over max_rows, MOED_E_UNPROCESSABLE for a number out of range:
 * row and column are named, from 0. */
int json_rows_read(struct json_scan *s, struct json_rows *r);

#endif
