/* select: which instruction sets are built in, and the best one that this CPU has. */
#include "cpu.h"
#include "tables.h"

#include <string.h>

/* Slowest first: the last that is supported is what "auto" takes. With AMX that is the table that
 * multiplies BF16 by tiles and all else by AVX-512, since most batches are small: 16 threads of a
 * Xeon took 3.8 ms for 8 rows with quantised weights by tiles and 1.7 without, though 14.6 and 20.7
 * for 512 (moed bench, Qwen3-30B-A3B's shape). */
static const struct moed_isa *const tables[] = {
    &moed_isa_scalar,
#if defined(__x86_64__)
    &moed_isa_avx2,   &moed_isa_avxvnni,    &moed_isa_amx,
    &moed_isa_avx512, &moed_isa_avx512bf16, &moed_isa_amxbf16,
#elif defined(__aarch64__)
    &moed_isa_neon,
    &moed_isa_i8mm,
#endif
};

#define N_TABLES (sizeof tables / sizeof tables[0])

const struct moed_isa *moed_isa_at(size_t i)
{
    return i < N_TABLES ? tables[i] : NULL;
}

const struct moed_isa *moed_isa_by_name(const char *name)
{
    for (size_t i = 0; i < N_TABLES; i++)
        if (strcmp(tables[i]->name, name) == 0)
            return tables[i];
    return NULL;
}

const struct moed_isa *moed_isa_best(void)
{
    size_t i = N_TABLES;

    while (i > 1 && !tables[i - 1]->supported())
        i--;
    return tables[i - 1];
}

const struct moed_product *moed_isa_product(const struct moed_isa *isa,
                                            const struct moed_format *format)
{
    for (; isa; isa = isa->base)
        for (const struct moed_product *p = isa->products; p->format; p++)
            if (strcmp(p->format, format->name) == 0)
                return p;
    return NULL;
}
