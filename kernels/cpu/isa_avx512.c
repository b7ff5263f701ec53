/* avx512: AVX-512 with VNNI, one register a panel. */
#include "cpu.h"
#include "kernels/dtype.h"
#include "kernels/reference.h"
#include "ops_avx512.h"
#include "tables.h"
#include "vector.h"

#define TILE_W     4
#define TILE_X     4
#define MAX_TILE   5
#define FLOAT_TILE 8

#include "activate.inc"

#include "float.inc"

#include "codes.inc"

#include "int8.inc"

#include "multiply_rows.inc"

#include "prepare.inc"

static bool supported(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
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

const struct moed_isa moed_isa_avx512 = {
    .name = "avx512",
    .supported = supported,
    .products = products,
    .multiply_rows = multiply_rows,
    .prepare = prepare,
    .activate = activate,
};
