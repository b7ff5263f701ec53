/* avx512bf16: AVX-512 with VNNI, and BF16 panels through vdpbf16ps. */
#include "ops_avx512.h"

#include <string.h>

#include "cpu.h"
#include "tables.h"

#include "bf16.inc"

#define MAX_TILE 8

/* Two panels × nx rows; `pairs` of inputs. */
OP void tile(const int nx, const uint8_t *const *panel, uint32_t pairs, const void *const *rows,
             float *const *out, int stored)
{
    const uint8_t *x[MAX_TILE];
    vf sum[PARTS][MAX_TILE];

    for (int i = 0; i < nx; i++) {
        x[i] = rows[i];
        for (int p = 0; p < PARTS; p++)
            sum[p][i] = vf_zero();
    }
    for (size_t c = 0; c < pairs; c++) {
        const vi first = vi_load(panel[0] + c * 64);
        const vi second = vi_load(panel[1] + c * 64);

        for (int i = 0; i < nx; i++) {
            const vi inputs = vi_spread(x[i] + c * 4);

            sum[0][i] = _mm512_dpbf16_ps(sum[0][i], (__m512bh)first, (__m512bh)inputs);
            sum[1][i] = _mm512_dpbf16_ps(sum[1][i], (__m512bh)second, (__m512bh)inputs);
        }
    }
    for (int i = 0; i < nx; i++)
        for (int p = 0; p < PARTS && p * LANES < stored; p++)
            vf_store32(out[i] + p * LANES, sum[p][i]);
}

static void tile_of_height(int nx, const uint8_t *const *panel, uint32_t pairs,
                           const void *const *rows, float *const *out, int stored)
{
    switch (nx) {
    case 1:
        tile(1, panel, pairs, rows, out, stored);
        break;
    case 2:
        tile(2, panel, pairs, rows, out, stored);
        break;
    case 3:
        tile(3, panel, pairs, rows, out, stored);
        break;
    case 4:
        tile(4, panel, pairs, rows, out, stored);
        break;
    case 5:
        tile(5, panel, pairs, rows, out, stored);
        break;
    case 6:
        tile(6, panel, pairs, rows, out, stored);
        break;
    case 7:
        tile(7, panel, pairs, rows, out, stored);
        break;
    default:
        tile(MAX_TILE, panel, pairs, rows, out, stored);
    }
}

static void multiply_BF16(const struct moed_panels *w, const void *const *rows, uint32_t n,
                          float *out, size_t ld)
{
    for (uint32_t first = 0; first < w->panels; first += PARTS) {
        const uint32_t left = w->panels - first;
        const uint8_t *const panel[PARTS] = {
            w->data + first * w->panel_bytes,
            w->data + (first + (left > 1)) * w->panel_bytes, /* missing: the first again */
        };
        const uint32_t tiles = (n + MAX_TILE - 1) / MAX_TILE;

        for (uint32_t t = 0, i = 0; t < tiles; t++) {
            const uint32_t step = (n - i + tiles - t - 1) / (tiles - t);
            float *at[MAX_TILE];

            for (uint32_t j = 0; j < step; j++)
                at[j] = out + (i + j) * ld + 16 * first;
            tile_of_height((int)step, panel, (w->cols + 1) / 2, rows + i, at,
                           left > 1 ? PARTS * LANES : LANES);
            i += step;
        }
    }
}

static bool supported(void)
{
    return moed_isa_avx512.supported() && __builtin_cpu_supports("avx512bf16");
}

static const struct moed_product products[] = {
    {"BF16", MOED_ROWS_BF16, multiply_BF16},
    {NULL, MOED_ROWS_F32, NULL},
};

const struct moed_isa moed_isa_avx512bf16 = {
    .name = "avx512bf16",
    .supported = supported,
    .products = products,
    .base = &moed_isa_avx512,
    .multiply_rows = multiply_rows,
    .prepare = prepare,
    .activate = activate,
};
