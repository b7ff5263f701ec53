/* scalar: what the compiler makes of plain C for the baseline of the architecture. No panels: rows
 * stay as they are in the file and are decoded on the way. */
#include "cpu.h"
#include "kernels/dtype.h"
#include "kernels/reference.h"
#include "tables.h"
#include "vector.h"

#define TILE_W 1
#define TILE_X 1

#include "activate.inc"

#include "multiply_rows.inc"

#include "prepare.inc"

static bool supported(void)
{
    return true;
}

static const struct moed_product products[] = {{NULL, MOED_ROWS_F32, 0, NULL}};

const struct moed_isa moed_isa_scalar = {
    .name = "scalar",
    .supported = supported,
    .products = products,
    .multiply_rows = multiply_rows,
    .prepare = prepare,
    .activate = activate,
};
