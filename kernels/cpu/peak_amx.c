/* peak_amx: the tile products of AMX, int8 and BF16: 16 × 16 sums over 64 bytes of inputs each. */
#include "peak_loops.h"

#include <immintrin.h>
#include <string.h>

struct tile_config { /* Intel's SDM, LDTILECFG: palette 1 has eight tiles of 16 rows of 64 bytes */
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

#define A 6
#define B 7

static void begin(void)
{
    struct tile_config config = {.palette = 1};
    uint8_t operand[16 * 64];

    for (int t = 0; t < 8; t++) {
        config.row_bytes[t] = 64;
        config.rows[t] = 16;
    }
    memset(operand, 0x3f, sizeof operand);
    /* gcc's intrinsics do not say that they read memory. */
    __asm__ volatile("" : : "r"(&config), "r"(operand) : "memory");
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_loadd(A, operand, 64);
    _tile_loadd(B, operand, 64);
}

/* Products of tiles are never optimised away; one of them says enough. */
static uint32_t end(void)
{
    uint32_t sums[16 * 16];

    _tile_stored(0, sums, 64);
    _tile_release();
    return sums[0];
}

uint32_t moed_peak_amx_int8(uint64_t rounds)
{
    begin();
    while (rounds-- > 0) {
        _tile_dpbusd(0, A, B);
        _tile_dpbusd(1, A, B);
        _tile_dpbusd(2, A, B);
        _tile_dpbusd(3, A, B);
        _tile_dpbusd(4, A, B);
        _tile_dpbusd(5, A, B);
    }
    return end();
}

uint32_t moed_peak_amx_bf16(uint64_t rounds)
{
    begin();
    while (rounds-- > 0) {
        _tile_dpbf16ps(0, A, B);
        _tile_dpbf16ps(1, A, B);
        _tile_dpbf16ps(2, A, B);
        _tile_dpbf16ps(3, A, B);
        _tile_dpbf16ps(4, A, B);
        _tile_dpbf16ps(5, A, B);
    }
    return end();
}
