/* amx_permit: asks the CPU, then the kernel, for AMX. */
#include "amx_permit.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARCH_REQ_XCOMP_PERM 0x1023 /* Linux 5.16, Documentation/arch/x86/xstate.rst */
#define XFEATURE_XTILEDATA  18

static bool cpu_has_amx(void)
{
    const unsigned needed = 1U << 22 | 1U << 24 | 1U << 25; /* AMX-BF16, AMX-TILE, AMX-INT8 */
    unsigned eax;
    unsigned ebx;
    unsigned ecx;
    unsigned edx = 0;

    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & needed) == needed;
}

bool moed_amx_permit(void)
{
    enum { UNKNOWN, YES, NO };
    static atomic_int answer = UNKNOWN;

    /* Threads that come here together ask the same question and get the same answer. */
    if (atomic_load(&answer) == UNKNOWN) {
        const bool yes =
            cpu_has_amx() && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;

        atomic_store(&answer, yes ? YES : NO);
    }
    return atomic_load(&answer) == YES;
}
#else
bool moed_amx_permit(void)
{
    return false;
}
#endif
