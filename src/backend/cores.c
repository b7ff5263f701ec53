/* cores: how many physical cores this process may run on. */
#include "cores.h"

#include <sched.h>
#include <stdio.h>

#define MAX_CPUS 4096

/* The lowest-numbered hardware thread of the core that `cpu` is on, from sysfs; cpu itself where
 * that cannot be read. */
static int first_sibling(int cpu)
{
    char path[96];
    int first = cpu;
    FILE *f;

    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    f = fopen(path, "re");
    if (!f)
        return cpu;
    if (fscanf(f, "%d", &first) != 1) /* NOLINT(cert-err34-c): the kernel wrote it */
        first = cpu;
    fclose(f);
    return first;
}

/* A container's share of processor time in whole cores (cgroup v2's cpu.max: microseconds of quota
 * and of period, or "max"), rounded up; UINT32_MAX without a limit. More threads than that would
 * spend the quota spinning at barriers. */
static uint32_t quota(void)
{
    unsigned long long of = 0;
    unsigned long long period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    const bool limited = f && fscanf(f, "%llu %llu", &of, &period) == 2; /* NOLINT(cert-err34-c) */

    if (f)
        fclose(f);
    if (!limited || period == 0 || of == 0 || of / period >= MAX_CPUS)
        return UINT32_MAX;
    return (uint32_t)((of + period - 1) / period);
}

uint32_t moed_physical_cores(void)
{
    cpu_set_t set;
    uint32_t cores = 0;
    bool seen[MAX_CPUS] = {false};

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    for (int cpu = 0; cpu < CPU_SETSIZE && cpu < MAX_CPUS; cpu++) {
        int first;

        if (!CPU_ISSET((size_t)cpu, &set))
            continue;
        first = first_sibling(cpu);
        if (first < 0 || first >= MAX_CPUS || seen[first])
            continue;
        seen[first] = true;
        cores++;
    }
    cores = cores < quota() ? cores : quota();
    return cores > 0 ? cores : 1;
}
