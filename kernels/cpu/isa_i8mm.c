/* i8mm: NEON with the dot product of Armv8.2 and the mixed one of i8mm, four registers a panel. */
#include "cpu.h"
#include "kernels/dtype.h"
#include "kernels/reference.h"
#include "ops_neon.h"
#include "tables.h"
#include "vector.h"

#include <sys/auxv.h>

#define TILE_W     1
#define TILE_X     4
#define MAX_TILE   3
#define FLOAT_TILE 6

#include "activate.inc"

#include "float.inc"

#include "codes.inc"

#include "int8.inc"

#include "multiply_rows.inc"

#include "prepare.inc"

static bool supported(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0 && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
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

const struct moed_isa moed_isa_i8mm = {
    .name = "i8mm",
    .supported = supported,
    .products = products,
    .multiply_rows = multiply_rows,
    .prepare = prepare,
    .activate = activate,
};
