/* avxvnni: AVX2 and FMA with AVX-VNNI, two registers a panel. */
#include "cpu.h"
#include "kernels/dtype.h"
#include "kernels/reference.h"
#include "ops_avx2.h"
#include "tables.h"
#include "vector.h"

#include <cpuid.h>

#define TILE_W     1
#define TILE_X     4
#define MAX_TILE   3
#define FLOAT_TILE 5

#include "activate.inc"

#include "float.inc"

#include "codes.inc"

#include "int8.inc"

#include "multiply_rows.inc"

#include "prepare.inc"

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

static const struct moed_product products[] = {
#define X(TYPE) {#TYPE, MOED_ROWS_F32, multiply_##TYPE},
    FLOAT_PRODUCTS(X)
#undef X
#define X(TYPE) {#TYPE, MOED_ROWS_Q8, multiply_##TYPE},
        QUANT_PRODUCTS(X)
#undef X
            {NULL, MOED_ROWS_F32, NULL},
};

const struct moed_isa moed_isa_avxvnni = {
    .name = "avxvnni",
    .supported = supported,
    .products = products,
    .multiply_rows = multiply_rows,
    .prepare = prepare,
    .activate = activate,
};
