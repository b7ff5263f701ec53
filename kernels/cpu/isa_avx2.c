/* avx2: AVX2 and FMA, two registers a value. */
#include "cpu.h"
#include "tables.h"
#include "vector.h"

#define TILE_W 1
#define TILE_X 4

#include "multiply.inc"

#include "activate.inc"

static bool supported(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const struct moed_isa moed_isa_avx2 = {
    .name = "avx2",
    .supported = supported,
    .multiply = multiply,
    .activate = activate,
};
