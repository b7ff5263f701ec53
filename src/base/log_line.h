/* log_line: an event as a line of text or a JSON object. */
#ifndef MOED_BASE_LOG_LINE_H
#define MOED_BASE_LOG_LINE_H

#include "src/base/log.h"

enum { LOG_LINE_BYTES = 4096 }; /* a pipe takes so much at once, or nothing: PIPE_BUF */

struct log_line {
    char data[LOG_LINE_BYTES];
    size_t size;
};

struct log_event {
    enum moed_log_format format;
    enum moed_log_level level;
    const char *message;
    const struct moed_log_field *fields;
    size_t n_fields;
};

/* The line, its end included. */
void log_line_make(struct log_line *line, const struct log_event *event);

#endif
