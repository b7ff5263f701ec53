/* peak: the units, which of them this CPU has, and whose products use which. */
#include "peak.h"

#include "peak_loops.h"

#include <string.h>

/* What every CPU of the architecture has: four floats multiplied, then added; one instruction
 * where the baseline can fuse them. */
typedef float four __attribute__((vector_size(16)));

static inline four start(int i)
{
    return (four){(float)i, 1.0F, 2.0F, 3.0F};
}

static inline four step(four sum)
{
    return sum * 0.5F + 0.5F;
}

PEAK_LOOP(moed_peak_f32_baseline, four, start, step)

#define SUMS(lanes, ops) (PEAK_SUMS * (lanes) * (ops))
#define TILES(inputs)    (PEAK_TILES * 16 * 16 * (inputs)*2)

static const struct moed_peak peaks[] = {
    {"f32 baseline", "scalar", SUMS(4, 2), moed_peak_f32_baseline},
#if defined(__x86_64__)
    {"fma ymm", "avx2", SUMS(8, 2), moed_peak_fma_ymm},
    {"vpmaddubsw ymm", "avx2", SUMS(8, 8), moed_peak_vpmaddubsw_ymm},
    {"vpmaddubsw ymm in 16 bits", "avx2", SUMS(8, 8), moed_peak_vpmaddubsw_16_ymm},
    {"vpdpbusd ymm", "avxvnni", SUMS(8, 8), moed_peak_vpdpbusd_ymm},
    {"fma zmm", "avx512", SUMS(16, 2), moed_peak_fma_zmm},
    {"vpdpbusd zmm", "avx512", SUMS(16, 8), moed_peak_vpdpbusd_zmm},
    {"vdpbf16ps zmm", "avx512bf16", SUMS(16, 4), moed_peak_vdpbf16ps_zmm},
    {"amx int8", "amx", TILES(64), moed_peak_amx_int8},
    {"amx bf16", "amx", TILES(32), moed_peak_amx_bf16},
#elif defined(__aarch64__)
    {"fmla", "neon", SUMS(4, 2), moed_peak_fmla},
    {"sdot", "neon", SUMS(4, 8), moed_peak_sdot},
    {"smmla", "i8mm", SUMS(4, 16), moed_peak_smmla},
#endif
};

static const struct {
    const char *isa;
    const char *unit[MOED_ROWS_KINDS]; /* NULL: none of its products takes such rows */
} uses[] = {
    {"avx2", {[MOED_ROWS_F32] = "fma ymm", [MOED_ROWS_Q8] = "vpmaddubsw ymm in 16 bits"}},
    {"avxvnni", {[MOED_ROWS_F32] = "fma ymm", [MOED_ROWS_Q8] = "vpdpbusd ymm"}},
    {"avx512", {[MOED_ROWS_F32] = "fma zmm", [MOED_ROWS_Q8] = "vpdpbusd zmm"}},
    {"avx512bf16",
     {[MOED_ROWS_F32] = "fma zmm",
      [MOED_ROWS_BF16] = "vdpbf16ps zmm",
      [MOED_ROWS_Q8] = "vpdpbusd zmm"}},
    {"amx", {[MOED_ROWS_F32] = "fma zmm", [MOED_ROWS_BF16] = "amx bf16"}},
    {"amxbf16",
     {[MOED_ROWS_F32] = "fma zmm", [MOED_ROWS_BF16] = "amx bf16", [MOED_ROWS_Q8] = "vpdpbusd zmm"}},
    {"neon", {[MOED_ROWS_F32] = "fmla", [MOED_ROWS_Q8] = "sdot"}},
    {"i8mm", {[MOED_ROWS_F32] = "fmla", [MOED_ROWS_Q8] = "smmla"}},
};

const struct moed_peak *moed_peak_at(size_t i)
{
    return i < sizeof peaks / sizeof peaks[0] ? &peaks[i] : NULL;
}

bool moed_peak_supported(const struct moed_peak *peak)
{
    const struct moed_isa *isa = moed_isa_by_name(peak->isa);

    return isa != NULL && isa->supported();
}

const struct moed_peak *moed_peak_of(const struct moed_isa *isa, enum moed_rows_kind kind)
{
    const char *unit = kind == MOED_ROWS_F32 ? peaks[0].name : NULL;

    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++)
        if (strcmp(uses[i].isa, isa->name) == 0)
            unit = uses[i].unit[kind];
    for (size_t i = 0; unit != NULL && moed_peak_at(i) != NULL; i++)
        if (strcmp(peaks[i].name, unit) == 0)
            return &peaks[i];
    return NULL;
}
