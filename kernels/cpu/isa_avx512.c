/* avx512: AVX-512 with VNNI, one register a panel. */
#include "cpu.h"
#include "kernels/dtype.h"
#include "kernels/reference.h"
#include "ops_avx512.h"
#include "prefetch.h"
#include "tables.h"
#include "vector.h"

#define ISA        avx512
#define TILE_W     4
#define TILE_X     4
#define MAX_TILE   6
#define FLOAT_TILE 8

static bool supported(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

#include "isa.inc"
