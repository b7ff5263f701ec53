/* scalar: what the compiler makes of the baseline of the architecture. */
#include "cpu.h"
#include "tables.h"
#include "vector.h"

#define TILE_W 1
#define TILE_X 1

#include "multiply.inc"

#include "activate.inc"

static bool supported(void)
{
    return true;
}

const struct moed_isa moed_isa_scalar = {
    .name = "scalar",
    .supported = supported,
    .multiply = multiply,
    .activate = activate,
};
