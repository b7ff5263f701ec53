/* amx_permit: AMX's tile registers are 8 KiB of state a thread, so Linux gives them only to a
 * process that asks. */
#ifndef MOED_KERNELS_CPU_AMX_PERMIT_H
#define MOED_KERNELS_CPU_AMX_PERMIT_H

#include <stdbool.h>

/* Whether this process may use AMX tiles, with int8 and with BF16. The first call asks the kernel,
 * for the whole process; any thread may call, at any time. */
bool moed_amx_permit(void);

#endif
