/* process: the process_* metrics that dashboards expect of every service, from /proc/self. A
 * value that cannot be read is left out. */
#include "registry.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void write_sample(FILE *out, bool open, const char *name, const char *type, const char *help,
                         double value)
{
    moed_family_write(out, open, name, type, help);
    fprintf(out, "%s ", name);
    moed_number_write(out, value);
    fputc('\n', out);
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

static void write_cpu(FILE *out, bool open)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) == 0)
        write_sample(out, open, "process_cpu_seconds_total", "counter",
                     "User and system CPU time spent in seconds.",
                     seconds(usage.ru_utime) + seconds(usage.ru_stime));
}

/* Seconds since 1970 at which the machine booted, or 0. */
static double boot_time(void)
{
    FILE *file = fopen("/proc/stat", "re");
    char line[512];
    double result = 0.0;

    if (file == NULL)
        return 0.0;
    while (result == 0.0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "btime ", 6) == 0)
            result = strtod(line + 6, NULL);
    fclose(file);
    return result;
}

/* /proc/self/stat (proc(5)): "pid (name) state ppid …"; the name may hold anything, so fields are
 * counted from the last parenthesis on: `state` is field 3. */
static void write_stat(FILE *out, bool open)
{
    enum { STATE = 3, STARTTIME = 22, VSIZE = 23, RSS = 24 };
    FILE *file = fopen("/proc/self/stat", "re");
    double fields[RSS + 1] = {0};
    const double booted = boot_time();
    char line[1024] = "";
    char *at;
    char *rest = NULL;

    if (file == NULL)
        return;
    at = fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    fclose(file);
    if (at == NULL)
        return;
    at = strtok_r(at + 1, " ", &rest);
    for (int field = STATE; field <= RSS; field++) {
        if (at == NULL)
            return;
        fields[field] = strtod(at, NULL);
        at = strtok_r(NULL, " ", &rest);
    }
    write_sample(out, open, "process_resident_memory_bytes", "gauge",
                 "Resident memory size in bytes.", fields[RSS] * (double)sysconf(_SC_PAGESIZE));
    write_sample(out, open, "process_virtual_memory_bytes", "gauge",
                 "Virtual memory size in bytes.", fields[VSIZE]);
    if (booted > 0.0)
        write_sample(out, open, "process_start_time_seconds", "gauge",
                     "Start time of the process since the Unix epoch in seconds.",
                     booted + fields[STARTTIME] / (double)sysconf(_SC_CLK_TCK));
}

static void write_fds(FILE *out, bool open)
{
    DIR *directory = opendir("/proc/self/fd");
    struct rlimit limit;
    double open_fds = 0.0;

    if (directory != NULL) {
        while (readdir(directory) != NULL)
            open_fds += 1.0;
        closedir(directory);
        /* ".", ".." and the directory itself were counted too. */
        write_sample(out, open, "process_open_fds", "gauge", "Number of open file descriptors.",
                     open_fds - 3.0);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        write_sample(out, open, "process_max_fds", "gauge",
                     "Maximum number of open file descriptors.",
                     limit.rlim_cur == RLIM_INFINITY ? HUGE_VAL : (double)limit.rlim_cur);
}

void moed_process_write(FILE *out, bool open)
{
    write_cpu(out, open);
    write_stat(out, open);
    write_fds(out, open);
}
