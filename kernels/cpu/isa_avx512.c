/* avx512: AVX-512, one register a value. */
#include "cpu.h"
#include "tables.h"
#include "vector.h"

#define TILE_W 4
#define TILE_X 4

#include "multiply.inc"

#include "activate.inc"

static bool supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
}

const struct moed_isa moed_isa_avx512 = {
    .name = "avx512",
    .supported = supported,
    .multiply = multiply,
    .activate = activate,
};
