/* table: aligned columns on standard output, a row as soon as it is known. */
#include "table.h"

#include <stdarg.h>
#include <string.h>

void table_begin(struct table *table, FILE *out, const struct table_column *columns, size_t n)
{
    *table = (struct table){.out = out, .columns = columns, .n = n};
    for (size_t i = 0; i < n; i++)
        table_cell(table, "%s", columns[i].title);
}

void table_cell(struct table *table, const char *format, ...)
{
    const struct table_column *column = &table->columns[table->next];
    const int gap = table->next == 0 ? 0 : 2;
    const int last = ++table->next == table->n;
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (last && column->width < 0)
        fprintf(table->out, "%*s%s", gap, "", text); /* no spaces at the end of a line */
    else
        fprintf(table->out, "%*s%*s", gap, "", column->width, text);
    if (last) {
        fputc('\n', table->out);
        fflush(table->out);
        table->next = 0;
    }
}

const char *format_size(unsigned long long bytes, char out[16])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (unit < 4 && value >= 1024) {
        value /= 1024;
        unit++;
    }
    snprintf(out, 16, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}
