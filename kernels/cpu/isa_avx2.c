/* avx2: AVX2 and FMA, two registers a panel. */
#include "cpu.h"
#include "kernels/dtype.h"
#include "kernels/reference.h"
#include "ops_avx2.h"
#include "tables.h"
#include "vector.h"

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
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
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

const struct moed_isa moed_isa_avx2 = {
    .name = "avx2",
    .supported = supported,
    .products = products,
    .multiply_rows = multiply_rows,
    .prepare = prepare,
    .activate = activate,
};
