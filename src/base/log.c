/* log: what is logged, and in which form; log_writer.c has where it goes. */
#include "src/base/log.h"

#include "log_line.h"
#include "log_writer.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int active_level = MOED_LOG_INFO;
static atomic_int active_format = MOED_LOG_TEXT;

void moed_log_configure(enum moed_log_level level, enum moed_log_format format)
{
    atomic_store_explicit(&active_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&active_format, (int)format, memory_order_relaxed);
}

bool moed_log_enabled(enum moed_log_level level)
{
    return level < MOED_LOG_OFF &&
           (int)level >= atomic_load_explicit(&active_level, memory_order_relaxed);
}

static void make(struct log_line *line, struct log_event event)
{
    event.format = (enum moed_log_format)atomic_load_explicit(&active_format, memory_order_relaxed);
    log_line_make(line, &event);
}

void moed_log_event(enum moed_log_level level, const char *message,
                    const struct moed_log_field *fields, size_t n_fields)
{
    struct log_line line;

    if (!moed_log_enabled(level))
        return;
    make(&line, (struct log_event){
                    .level = level, .message = message, .fields = fields, .n_fields = n_fields});
    log_writer_put(line.data, line.size);
}

void moed_log(enum moed_log_level level, const char *format, ...)
{
    char message[LOG_LINE_BYTES];
    va_list args;

    if (!moed_log_enabled(level))
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    moed_log_event(level, message, NULL, 0);
}

void moed_log_print(const char *text, size_t size)
{
    log_writer_put(text, size < LOG_LINE_BYTES ? size : LOG_LINE_BYTES);
}

void log_line_of_lost(struct log_line *line, uint64_t lost)
{
    const struct moed_log_field field = {"lines", NULL, (double)lost};

    make(line, (struct log_event){.level = MOED_LOG_WARN,
                                  .message = "lines of the log were lost: nobody read them in "
                                             "time, or they could not be written",
                                  .fields = &field,
                                  .n_fields = 1});
}
