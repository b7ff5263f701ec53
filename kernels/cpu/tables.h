/* tables: the instruction sets that are built in; furniture of kernels/cpu. */
#ifndef MOED_KERNELS_CPU_TABLES_H
#define MOED_KERNELS_CPU_TABLES_H

#include "cpu.h"

extern const struct moed_isa moed_isa_scalar;
extern const struct moed_isa moed_isa_avx2;
extern const struct moed_isa moed_isa_avxvnni;
extern const struct moed_isa moed_isa_avx512;
extern const struct moed_isa moed_isa_avx512bf16;
extern const struct moed_isa moed_isa_amx;
extern const struct moed_isa moed_isa_amxbf16;
extern const struct moed_isa moed_isa_neon;
extern const struct moed_isa moed_isa_i8mm;

#endif
