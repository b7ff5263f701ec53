/* memory_left: the memory that control groups and the machine leave to this process; base's own,
 * and its tests'. */
#ifndef MOED_BASE_MEMORY_LEFT_H
#define MOED_BASE_MEMORY_LEFT_H

#include "src/base/base.h"

/* As moed_memory_free, of the files of `proc` ("/proc") and the groups mounted at `groups`
 * ("/sys/fs/cgroup"). */
void memory_read(const char *proc, const char *groups, struct moed_memory_free *out);

#endif
