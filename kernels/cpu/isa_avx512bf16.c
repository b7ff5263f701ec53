/* avx512bf16: AVX-512 with VNNI, and BF16 panels through vdpbf16ps. */
#include "ops_avx512.h"

#include <string.h>

#include "cpu.h"
#include "prefetch.h"
#include "tables.h"

#include "bf16.inc"

#define MAX_TILE 8

struct walk {
    const uint8_t *panel[PARTS];
    uint32_t pairs; /* of inputs */
    const struct moed_gather *x;
    float *out;
    size_t ld;
    int stored; /* columns of out that are there */
    struct prefetch *prefetch;
};

/* Two panels × nx rows from row `first` on. */
OP void tile(const int nx, const struct walk *w, uint32_t first)
{
    const uint8_t *x = w->x->data + (size_t)first * w->x->blocks * 64;
    vf sum[PARTS][MAX_TILE];

    for (int i = 0; i < nx; i++)
        for (int p = 0; p < PARTS; p++)
            sum[p][i] = vf_zero();
    for (size_t c = 0; c < w->pairs; x += (nx - 1) * 64) {
        const size_t end = w->pairs - c < 16 ? w->pairs : c + 16;

        prefetch_step(w->prefetch);
        for (; c < end; c++, x += 4) {
            const vi a = vi_load(w->panel[0] + c * 64);
            const vi b = vi_load(w->panel[1] + c * 64);

            for (int i = 0; i < nx; i++) {
                const vi inputs = vi_spread(x + i * 64);

                sum[0][i] = _mm512_dpbf16_ps(sum[0][i], (__m512bh)a, (__m512bh)inputs);
                sum[1][i] = _mm512_dpbf16_ps(sum[1][i], (__m512bh)b, (__m512bh)inputs);
            }
        }
    }
    for (int i = 0; i < nx; i++)
        for (int p = 0; p < PARTS && p * LANES < w->stored; p++)
            vf_store32(w->out + (first + (uint32_t)i) * w->ld + p * LANES, sum[p][i]);
}

static void tile_of_height(uint32_t nx, const struct walk *w, uint32_t first)
{
    switch (nx) {
    case 1:
        tile(1, w, first);
        break;
    case 2:
        tile(2, w, first);
        break;
    case 3:
        tile(3, w, first);
        break;
    case 4:
        tile(4, w, first);
        break;
    case 5:
        tile(5, w, first);
        break;
    case 6:
        tile(6, w, first);
        break;
    case 7:
        tile(7, w, first);
        break;
    default:
        tile(MAX_TILE, w, first);
    }
}

static void multiply_BF16(const struct moed_panels *w, const struct moed_gather *x, float *out,
                          size_t ld)
{
    const uint32_t tiles = (x->n + MAX_TILE - 1) / MAX_TILE;
    const uint32_t walks = (w->panels + PARTS - 1) / PARTS;
    struct prefetch prefetch = prefetch_of(w, (size_t)walks * tiles * x->blocks);

    for (uint32_t first = 0; first < w->panels; first += PARTS) {
        const uint32_t left = w->panels - first;
        const uint8_t *panel = w->data + first * w->panel_bytes;
        const struct walk walk = {
            .panel = {panel, left > 1 ? panel + w->panel_bytes : panel}, /* missing: the first */
            .pairs = (w->cols + 1) / 2,
            .x = x,
            .out = out + 16 * first,
            .ld = ld,
            .stored = left > 1 ? PARTS * LANES : LANES,
            .prefetch = &prefetch,
        };

        for (uint32_t i = 0, h; i < x->n; i += h) {
            h = moed_tile_rows(x->n - i, MAX_TILE);
            tile_of_height(h, &walk, i);
        }
    }
}

static bool supported(void)
{
    return moed_isa_avx512.supported() && __builtin_cpu_supports("avx512bf16");
}

static const struct moed_product products[] = {
    {"BF16", MOED_ROWS_BF16, MAX_TILE, multiply_BF16},
    {NULL, MOED_ROWS_F32, 0, NULL},
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
