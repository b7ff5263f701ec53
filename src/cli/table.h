/* table: aligned columns on standard output, a row as soon as it is known. */
#ifndef MOED_CLI_TABLE_H
#define MOED_CLI_TABLE_H

#include <stddef.h>
#include <stdio.h>

struct table_column {
    const char *title;
    int width; /* at least; longer cells push the rest of their row. Negative: left-aligned */
};

struct table {
    FILE *out;
    const struct table_column *columns;
    size_t n;
    size_t next; /* column of the next cell */
};

void table_begin(struct table *table, FILE *out, const struct table_column *columns, size_t n);
/* The next cell; after the last column's the line ends and is flushed. */
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "1.2 GiB", for people. Returns `out`. */
const char *format_size(unsigned long long bytes, char out[16]);

#endif
