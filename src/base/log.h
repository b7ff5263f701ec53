/* log.h: one line an event, on stderr or in a file; any thread. A line leaves in one write(2), so
 * that lines of several threads never mix. */
#ifndef MOED_BASE_LOG_H
#define MOED_BASE_LOG_H

#include "src/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum moed_log_level { MOED_LOG_DEBUG, MOED_LOG_INFO, MOED_LOG_WARN, MOED_LOG_ERROR, MOED_LOG_OFF };
enum moed_log_format { MOED_LOG_TEXT, MOED_LOG_JSON };

/* One field of an event: exactly one of text and number counts. */
struct moed_log_field {
    const char *name;
    const char *text; /* NULL: print `number` */
    double number;
};

void moed_log_configure(enum moed_log_level level, enum moed_log_format format);
/* Appends to the file at `path` from now on, made if it is not there (0640); again after somebody
 * has moved it away; by one thread at a time, while others write. No line is lost or cut meanwhile,
 * and what was logged before stays in the former file. MOED_E_IO, MOED_E_USAGE where it is no
 * regular file: the log stays where it was. */
int moed_log_open(const char *path, struct moed_error *err);
bool moed_log_enabled(enum moed_log_level level);
void moed_log(enum moed_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A message with fields: `message name=value …` as text, members of the object as JSON. */
void moed_log_event(enum moed_log_level level, const char *message,
                    const struct moed_log_field *fields, size_t n_fields);
/* Bytes as they are, for whoever looks at a terminal: at most 4096. */
void moed_log_print(const char *text, size_t size);

/* ---- who writes ----
 * At first whoever logs writes the line, and waits for as long as that takes: a pipe may be full,
 * a terminal stopped. From start to stop a thread does: lines wait for it in a ring of 1 MiB, and
 * those that do not fit are dropped and counted, which a line tells when others get through again.
 */
/* MOED_E_NO_MEMORY where no thread can be made. Twice is fine. */
int moed_log_start(struct moed_error *err);
/* Waits until what is in the ring has been written, `patience_ms` at most: then it is dropped, and
 * whatever is logged later too. */
void moed_log_stop(uint32_t patience_ms);
/* Lines that were dropped, or that could not be written whole (a full disk), since the process
 * began. */
uint64_t moed_log_dropped(void);

#endif
