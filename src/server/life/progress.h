/* progress.h: how far loading is, for a person or for a log. */
#ifndef MOED_SERVER_PROGRESS_H
#define MOED_SERVER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool bar; /* redraw one line of a terminal; else a log line now and then */
    uint64_t started_ns, logged_ns;
    uint32_t logged_percent;
};

void progress_start(struct progress *progress, bool bar);
void progress_show(struct progress *progress, uint64_t done, uint64_t total);
/* Leaves the terminal's line; `bytes` and the rate go into one last log line. */
void progress_end(struct progress *progress, const char *what, uint64_t bytes);

#endif
