/* memory_left: how much memory is left. A process that takes more is killed without a word, by its
 * control group or by the machine, so who needs much asks before. */
#include "memory_left.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static FILE *open_in(const char *folder, const char *name)
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return fopen(path, "re");
}

/* The number that a file begins with; false for "max", which is none. */
static bool read_bytes(const char *folder, const char *name, uint64_t *out)
{
    FILE *file = open_in(folder, name);
    char line[64] = "";
    const char *at = line;
    bool found;

    if (file == NULL)
        return false;
    found = fgets(line, sizeof line, file) != NULL && moed_read_u64(&at, out);
    fclose(file);
    return found;
}

/* The sum of the numbers behind these one or two names, "name 123" or "name:  123 kB" a line. */
static uint64_t read_sum(const char *folder, const char *file_name, const char *const names[2])
{
    FILE *file = open_in(folder, file_name);
    char line[256];
    uint64_t sum = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        for (int i = 0; i < 2 && names[i] != NULL; i++) {
            const size_t n = strlen(names[i]);
            const char *at = line + n;
            uint64_t number;

            if (strncmp(line, names[i], n) != 0 || (*at != ' ' && *at != ':'))
                continue;
            at += strspn(at, ": \t");
            if (moed_read_u64(&at, &number))
                sum += strstr(at, "kB") != NULL ? number << 10 : number;
        }
    if (file != NULL)
        fclose(file);
    return sum;
}

/* What one group leaves: cached files go when memory is asked for. */
static void look_at(const char *folder, struct moed_memory_free *out)
{
    static const char *const cached[2] = {"inactive_file", "active_file"};
    uint64_t limit, used, files;
    const char *name = "memory.max";

    if (!read_bytes(folder, name, &limit) &&
        !read_bytes(folder, name = "memory.limit_in_bytes", &limit))
        return;
    if (!read_bytes(folder, "memory.current", &used) &&
        !read_bytes(folder, "memory.usage_in_bytes", &used))
        used = 0;
    files = read_sum(folder, "memory.stat", cached);
    used -= files < used ? files : used;
    limit -= used < limit ? used : limit;
    if (limit >= out->bytes)
        return;
    out->bytes = limit;
    snprintf(out->by, sizeof out->by, "%.100s/%s", folder, name);
}

/* What one of the process's own limits leaves; where there is none the file says "unlimited". */
static void look_at_own(const char *proc, const char *const limit_name[2],
                        const char *const used_name[2], struct moed_memory_free *out)
{
    uint64_t limit = read_sum(proc, "self/limits", limit_name);
    const uint64_t used = read_sum(proc, "self/status", used_name);

    if (limit == 0)
        return;
    limit -= used < limit ? used : limit;
    if (limit >= out->bytes)
        return;
    out->bytes = limit;
    snprintf(out->by, sizeof out->by, "%s of this process", limit_name[0]);
}

/* A group and those around it, up to where they are mounted. */
static void walk_up(const char *mounted, const char *group, struct moed_memory_free *out)
{
    const size_t root = strlen(mounted);
    char folder[PATH_MAX];

    if (snprintf(folder, sizeof folder, "%s%s", mounted, group) >= (int)sizeof folder)
        return;
    for (;;) {
        char *slash = strrchr(folder, '/');

        look_at(folder, out);
        if (strlen(folder) <= root || slash == NULL || (size_t)(slash - folder) < root)
            return;
        *slash = '\0';
    }
}

void memory_read(const char *proc, const char *groups, struct moed_memory_free *out)
{
    static const char *const free_names[2] = {"MemAvailable", "SwapFree"};
    static const char *const own[2][2][2] = {{{"Max address space"}, {"VmSize"}},
                                             {{"Max data size"}, {"VmData"}}};
    char line[PATH_MAX + 64], mounted[PATH_MAX];
    FILE *file = open_in(proc, "self/cgroup");
    const uint64_t machine = read_sum(proc, "meminfo", free_names);

    *out = (struct moed_memory_free){.bytes = machine > 0 ? machine : UINT64_MAX};
    snprintf(out->by, sizeof out->by, "%s", machine > 0 ? "MemAvailable and SwapFree" : "");
    for (int i = 0; i < 2; i++)
        look_at_own(proc, own[i][0], own[i][1], out);
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *controllers = strchr(line, ':'); /* "0::/group" or "7:memory:/group" */
        char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;

        if (group == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        *group++ = '\0';
        controllers++;
        if (*controllers != '\0' && strcmp(controllers, "memory") != 0)
            continue;
        snprintf(mounted, sizeof mounted, "%s%s", groups, *controllers != '\0' ? "/memory" : "");
        walk_up(mounted, group, out);
    }
    if (file != NULL)
        fclose(file);
}

void moed_memory_free(struct moed_memory_free *out)
{
    memory_read("/proc", "/sys/fs/cgroup", out);
}
