/* avxvnni: AVX2 and FMA with AVX-VNNI, two registers a panel. */
#include "cpu.h"
#include "kernels/dtype.h"
#include "kernels/reference.h"
#include "ops_avx2.h"
#include "prefetch.h"
#include "tables.h"
#include "vector.h"

#include <cpuid.h>

#define ISA        avxvnni
#define TILE_W     2
#define TILE_X     3
#define MAX_TILE   3
#define FLOAT_TILE 5

static bool supported(void)
{
    unsigned eax = 0;
    unsigned ebx;
    unsigned ecx;
    unsigned edx;

    /* leaf 7, sub-leaf 1, eax bit 4: compilers of 2022 have no name for it */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & (1U << 4)) != 0;
}

#include "isa.inc"
