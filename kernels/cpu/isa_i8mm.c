/* i8mm: NEON with the dot product of Armv8.2 and the mixed one of i8mm, four registers a panel. */
#include "cpu.h"
#include "kernels/dtype.h"
#include "kernels/reference.h"
#include "ops_neon.h"
#include "prefetch.h"
#include "tables.h"
#include "vector.h"

#include <sys/auxv.h>

#define ISA        i8mm
#define TILE_W     1
#define TILE_X     4
#define MAX_TILE   3
#define FLOAT_TILE 6

static bool supported(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0 && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
}

#include "isa.inc"
