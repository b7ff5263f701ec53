/* peak_loops: the loops of peak.h, each compiled with the flags that its instructions need. */
#ifndef MOED_KERNELS_CPU_PEAK_LOOPS_H
#define MOED_KERNELS_CPU_PEAK_LOOPS_H

#include <stdint.h>

/* Independent sums of a loop: two units of latency 5 want 10; AVX2 has registers for 12 and the
 * two operands. */
#define PEAK_SUMS 12

/* AMX has eight tiles: six sums and two operands, and a latency of 52 cycles wants four sums. */
#define PEAK_TILES 6

typedef uint32_t peak_loop(uint64_t rounds);

peak_loop moed_peak_f32_baseline, moed_peak_fma_ymm, moed_peak_vpmaddubsw_ymm,
    moed_peak_vpmaddubsw_16_ymm, moed_peak_vpdpbusd_ymm, moed_peak_fma_zmm, moed_peak_vpdpbusd_zmm,
    moed_peak_vdpbf16ps_zmm, moed_peak_amx_int8, moed_peak_amx_bf16, moed_peak_fmla, moed_peak_sdot,
    moed_peak_smmla;

/* Every sum starts elsewhere, or the compiler would see that they are all the same one. A round is
 * `step` on each; the sums become one number that depends on all. */
#define PEAK_LOOP(NAME, VECTOR, start, step)                                                    \
    uint32_t NAME(uint64_t rounds)                                                              \
    {                                                                                           \
        VECTOR sum[PEAK_SUMS];                                                                  \
        uint32_t words[sizeof(VECTOR) / 4];                                                     \
        uint32_t used = 0;                                                                      \
                                                                                                \
        for (int i = 0; i < PEAK_SUMS; i++)                                                     \
            sum[i] = start(i);                                                                  \
        while (rounds-- > 0) {                                                                  \
            _Pragma("GCC unroll 12") for (int i = 0; i < PEAK_SUMS; i++) sum[i] = step(sum[i]); \
        }                                                                                       \
        for (int i = 0; i < PEAK_SUMS; i++) {                                                   \
            __builtin_memcpy(words, &sum[i], sizeof(VECTOR));                                   \
            for (unsigned j = 0; j < sizeof(VECTOR) / 4; j++)                                   \
                used = used * 31 + words[j];                                                    \
        }                                                                                       \
        return used;                                                                            \
    }

#endif
