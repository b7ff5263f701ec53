/* log_writer: where lines go, and who writes them. */
#ifndef MOED_BASE_LOG_WRITER_H
#define MOED_BASE_LOG_WRITER_H

#include "log_line.h"

/* At most LOG_LINE_BYTES. */
void log_writer_put(const char *line, size_t size);

/* log.c's: the line that tells how many were lost. */
void log_line_of_lost(struct log_line *line, uint64_t lost);

#endif
