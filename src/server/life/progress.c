/* progress.c: draws a bar on stderr, or logs a line each second in which something moved and
 * each tenth of the way. */
#include "progress.h"

#include "src/base/base.h"
#include <stdio.h>
#include <string.h>

enum { BAR_WIDTH = 40 };

static double seconds_since(uint64_t from_ns)
{
    return (double)(moed_now_ns() - from_ns) * 1e-9;
}

static double rate_gbps(const struct progress *progress, uint64_t bytes)
{
    double seconds = seconds_since(progress->started_ns);

    return seconds > 0 ? (double)bytes * 1e-9 / seconds : 0;
}

void progress_start(struct progress *progress, bool bar)
{
    memset(progress, 0, sizeof *progress);
    progress->bar = bar;
    progress->started_ns = progress->logged_ns = moed_now_ns();
}

static void draw(const struct progress *progress, uint64_t done, uint64_t total)
{
    char line[160], bar[BAR_WIDTH + 1];
    double share = (double)done / (double)total;
    double seconds = seconds_since(progress->started_ns);
    int filled = (int)(share * BAR_WIDTH), length;

    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    length = snprintf(line, sizeof line,
                      "\rloading [%s] %3.0f %%  %.2f of %.2f GB  %.2f GB/s  %.0f s left ", bar,
                      100 * share, (double)done * 1e-9, (double)total * 1e-9,
                      rate_gbps(progress, done), share > 0 ? seconds * (1 - share) / share : 0);
    moed_log_print(line, (size_t)length);
}

static void log_line(struct progress *progress, uint64_t done, uint64_t total)
{
    uint32_t percent = (uint32_t)(100 * (double)done / (double)total);
    bool second = seconds_since(progress->logged_ns) >= 1 && percent > progress->logged_percent;

    if (!second && percent < progress->logged_percent + 10)
        return;
    progress->logged_ns = moed_now_ns();
    progress->logged_percent = percent;
    moed_log(MOED_LOG_INFO, "loading: %u %%, %.2f of %.2f GB, %.2f GB/s", percent,
             (double)done * 1e-9, (double)total * 1e-9, rate_gbps(progress, done));
}

void progress_show(struct progress *progress, uint64_t done, uint64_t total)
{
    if (total == 0)
        return;
    if (done > total)
        done = total;
    if (progress->bar)
        draw(progress, done, total);
    else
        log_line(progress, done, total);
}

void progress_end(struct progress *progress, const char *what, uint64_t bytes)
{
    if (progress->bar)
        moed_log_print("\r\033[K", 4);
    moed_log(MOED_LOG_INFO, "loaded %s: %.3f GB in %.2f s, %.2f GB/s", what, (double)bytes * 1e-9,
             seconds_since(progress->started_ns), rate_gbps(progress, bytes));
}
