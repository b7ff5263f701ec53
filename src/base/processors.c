/* processors: which of the machine's this thread may run on, how many cores and NUMA nodes they
 * make, and keeping a thread or its memory to some of them. All of it is read from the kernel when
 * asked; nothing is asked while requests are computed. */
#include "processors.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_CPUS CPU_SETSIZE

static const char node_folder[] = "/sys/devices/system/node";

/* The lowest-numbered hardware thread of the core that `cpu` is on, from sysfs; cpu itself where
 * that cannot be read. */
static int first_sibling(int cpu)
{
    char path[96];
    int first = cpu;
    FILE *f;

    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    f = fopen(path, "re");
    if (f == NULL)
        return cpu;
    if (fscanf(f, "%d", &first) != 1) /* NOLINT(cert-err34-c): the kernel wrote it */
        first = cpu;
    fclose(f);
    return first;
}

/* More threads than the quota has cores would spend it sooner, and then stand still together. */
static uint32_t quota(void)
{
    return moed_quota_read("/proc/self/cgroup", "/sys/fs/cgroup");
}

static bool allowed(cpu_set_t *set)
{
    CPU_ZERO(set);
    return sched_getaffinity(0, sizeof *set, set) == 0;
}

static uint32_t count_cores(const cpu_set_t *set)
{
    bool seen[MAX_CPUS] = {false};
    uint32_t cores = 0;

    for (int cpu = 0; cpu < MAX_CPUS; cpu++) {
        int first;

        if (!CPU_ISSET((size_t)cpu, set))
            continue;
        first = first_sibling(cpu);
        if (first < 0 || first >= MAX_CPUS || seen[first])
            continue;
        seen[first] = true;
        cores++;
    }
    return cores;
}

uint32_t moed_physical_cores(void)
{
    cpu_set_t set;
    uint32_t cores = allowed(&set) ? count_cores(&set) : 1;
    const uint32_t limit = quota();

    cores = cores < limit ? cores : limit;
    return cores > 0 ? cores : 1;
}

bool moed_cpu_list(const char *list, cpu_set_t *out)
{
    CPU_ZERO(out);
    while (*list != '\0' && *list != '\n') {
        uint32_t first, last;

        if (!moed_read_u32(&list, &first))
            return false;
        last = first;
        if (*list == '-') {
            list++;
            if (!moed_read_u32(&list, &last))
                return false;
        }
        if (last < first || last >= MAX_CPUS)
            return false;
        for (size_t cpu = first; cpu <= last; cpu++)
            CPU_SET(cpu, out);
        if (*list == ',')
            list++;
        else if (*list != '\0' && *list != '\n')
            return false;
    }
    return true;
}

/* The processors of a node; false where there is no such node or it cannot be read. */
static bool read_node(const char *folder, uint32_t number, cpu_set_t *out)
{
    char path[PATH_MAX], list[4096];
    FILE *f;
    bool read;

    snprintf(path, sizeof path, "%s/node%u/cpulist", folder, number);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    read = fgets(list, sizeof list, f) != NULL && moed_cpu_list(list, out);
    fclose(f);
    return read;
}

uint32_t moed_nodes_read(const char *folder, const cpu_set_t *allowed, struct moed_node *out)
{
    uint32_t n = 0;

    for (uint32_t number = 0; number < MOED_NODES_MAX; number++) {
        cpu_set_t set;

        if (!read_node(folder, number, &set))
            continue;
        CPU_AND(&set, &set, allowed);
        if (CPU_COUNT(&set) > 0) /* a node may have memory alone */
            out[n++] = (struct moed_node){number, set};
    }
    return n;
}

/* The nodes that the calling thread may run on; allocated, since they are large for a stack. */
static struct moed_node *nodes(uint32_t *n)
{
    struct moed_node *found = moed_calloc(MOED_NODES_MAX, sizeof *found);
    cpu_set_t set;

    *n = found != NULL && allowed(&set) ? moed_nodes_read(node_folder, &set, found) : 0;
    return found;
}

uint32_t moed_numa_nodes(void)
{
    uint32_t n;

    free(nodes(&n));
    return n > 0 ? n : 1;
}

bool moed_run_on_node(uint32_t index, uint32_t cores)
{
    uint32_t n;
    struct moed_node *found = nodes(&n);
    const bool fits = index < n && count_cores(&found[index].cpus) >= cores;
    const bool done =
        fits && sched_setaffinity(0, sizeof found[index].cpus, &found[index].cpus) == 0;

    free(found);
    return done;
}

/* set_mempolicy(2) has no wrapper in libc; these are the kernel's numbers. */
bool moed_spread_memory(bool spread)
{
    enum { POLICY_DEFAULT = 0, POLICY_INTERLEAVE = 3, NODE_BITS = 64 };
    unsigned long mask[NODE_BITS / (8 * sizeof(unsigned long))] = {0};
    uint32_t n;
    struct moed_node *found;

    if (!spread)
        return syscall(SYS_set_mempolicy, POLICY_DEFAULT, NULL, 0) == 0;
    found = nodes(&n);
    for (uint32_t i = 0; i < n; i++)
        mask[found[i].number / (8 * sizeof mask[0])] |= 1UL
                                                        << found[i].number % (8 * sizeof mask[0]);
    free(found);
    /* The kernel reads one bit less than it is told of. */
    return n > 1 && syscall(SYS_set_mempolicy, POLICY_INTERLEAVE, mask, NODE_BITS + 1) == 0;
}
