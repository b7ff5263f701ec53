/* processors: the parts of the room that tests look at with a machine of their own making. */
#ifndef MOED_BASE_PROCESSORS_H
#define MOED_BASE_PROCESSORS_H

#include "src/base/base.h"
#include <sched.h>

enum { MOED_NODES_MAX = 64 };

struct moed_node {
    uint32_t number; /* the kernel's */
    cpu_set_t cpus;
};

/* "0-3,8" (cpuset(7), "List format"), with or without a newline. False for anything else. */
bool moed_cpu_list(const char *list, cpu_set_t *out);

/* The nodes below `folder` (sysfs' devices/system/node) that have processors out of `allowed`, with
 * those; `out` has room for MOED_NODES_MAX. Returns how many. */
uint32_t moed_nodes_read(const char *folder, const cpu_set_t *allowed, struct moed_node *out);

/* Processor time in whole cores, rounded up, that the control groups in `groups` (the form of
 * /proc/self/cgroup, cgroups(7)) leave; they lie below `folder` (/sys/fs/cgroup): v2's there, v1's
 * in a folder named after the controllers. UINT32_MAX: no limit. */
uint32_t moed_quota_read(const char *groups, const char *folder);

#endif
