/* cores: how many physical cores this process may run on (its affinity mask, hardware threads of
 * one core counted once, no more than the cgroup's quota of processor time). */
#ifndef MOED_BACKEND_CORES_H
#define MOED_BACKEND_CORES_H

#include <stdbool.h>
#include <stdint.h>

uint32_t moed_physical_cores(void);

#endif
