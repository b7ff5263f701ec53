/* avx2: AVX2 and FMA, two registers a panel. */
#include "cpu.h"
#include "kernels/dtype.h"
#include "kernels/reference.h"
#include "ops_avx2.h"
#include "prefetch.h"
#include "tables.h"
#include "vector.h"

#define ISA        avx2
#define TILE_W     2
#define TILE_X     3
#define MAX_TILE   3
#define FLOAT_TILE 5
#define SUMS_IN_16_BITS

static bool supported(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#include "isa.inc"
