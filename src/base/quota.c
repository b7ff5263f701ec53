/* quota: how much processor time the control groups of this process let it have: cgroup v2's
 * cpu.max and v1's cpu.cfs_quota_us, of the group that it is in and of all around it. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "processors.h"

/* What a file begins with; false: it cannot be read, or holds no such numbers. */
static bool read_numbers(const char *folder, const char *name, long long *first, long long *second)
{
    char path[PATH_MAX + 32];
    FILE *f;
    int n;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    n = fscanf(f, "%lld %lld", first, second); /* NOLINT(cert-err34-c): the kernel wrote it */
    fclose(f);
    return n >= 1;
}

/* Whole cores that one group may use, rounded up. */
static uint32_t quota_of(const char *folder)
{
    long long quota = 0, period = 0, unused;

    if (!read_numbers(folder, "cpu.max", &quota, &period) &&
        (!read_numbers(folder, "cpu.cfs_quota_us", &quota, &unused) ||
         !read_numbers(folder, "cpu.cfs_period_us", &period, &unused)))
        return UINT32_MAX;
    if (quota <= 0 || period <= 0 || quota / period >= CPU_SETSIZE)
        return UINT32_MAX; /* "max", which is no number, or -1: no limit */
    return (uint32_t)((quota + period - 1) / period);
}

/* The least of a group and of those around it, up to where they are mounted. A path from outside
 * a container's namespace is not there; then its parents are looked for. */
static uint32_t least_of(const char *mounted, const char *group)
{
    char folder[PATH_MAX];
    const size_t root = strlen(mounted);
    uint32_t least = UINT32_MAX;

    if (snprintf(folder, sizeof folder, "%s%s", mounted, group) >= (int)sizeof folder)
        return UINT32_MAX;
    for (;;) {
        const uint32_t cores = quota_of(folder);
        char *slash;

        least = cores < least ? cores : least;
        slash = strrchr(folder, '/');
        if (strlen(folder) <= root || slash == NULL || (size_t)(slash - folder) < root)
            return least;
        *slash = '\0';
    }
}

/* Whether "cpu" is one of the controllers of a line. */
static bool has_cpu(const char *controllers)
{
    while (*controllers != '\0') {
        const size_t n = strcspn(controllers, ",");

        if (n == 3 && strncmp(controllers, "cpu", 3) == 0)
            return true;
        controllers += n + (controllers[n] == ',');
    }
    return false;
}

uint32_t moed_quota_read(const char *groups, const char *folder)
{
    char line[PATH_MAX + 256], mounted[PATH_MAX + 256];
    uint32_t least = UINT32_MAX;
    FILE *f = fopen(groups, "re");

    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *controllers = strchr(line, ':');
        char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        uint32_t cores;

        if (group == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        *group++ = '\0';
        controllers++;
        if (*controllers != '\0' && !has_cpu(controllers))
            continue;
        snprintf(mounted, sizeof mounted, "%s%s%s", folder, *controllers != '\0' ? "/" : "",
                 controllers);
        cores = least_of(mounted, group);
        least = cores < least ? cores : least;
        if (*controllers == '\0' || strcmp(controllers, "cpu") == 0)
            continue;
        snprintf(mounted, sizeof mounted, "%s/cpu", folder); /* mostly a link to cpu,cpuacct */
        cores = least_of(mounted, group);
        least = cores < least ? cores : least;
    }
    if (f != NULL)
        fclose(f);
    return least;
}
