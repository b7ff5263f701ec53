/* amx: every quantised type and BF16 through bf16 tiles.
 *
 * Int8 tiles would need their sums rescaled for each 16 or 32 inputs, which costs the vector units
 * more than the tile unit saves. So weights are decoded to bf16 on the way, 256 inputs of two
 * panels at a time, into the form that a tile load takes (a row of a B tile is a pair of inputs ×
 * 16 weight rows: a panel), and tiles of 16 rows are multiplied by them with sums in f32 that stay
 * in `out` between steps. Rows are bf16, so they lose less than int8 rows do. Every sum is over
 * pairs of inputs, ascending, whatever the number of rows. F32 and F16 weights keep AVX-512. */
#include "ops_avx512.h"

#include <string.h>

#include "amx_permit.h"
#include "cpu.h"
#include "tables.h"

#include "bf16.inc"

#define MAX_TILE 1 /* of the int8 walk, which is not used here */

#include "codes.inc"

#define TILE_ROWS 16
#define STEP_SUBS 8    /* sub-blocks of 32 inputs that are decoded at a time */
#define SUB_BYTES 1024 /* a B tile: 16 pairs of inputs × 16 weight rows × 2 × bf16 */

/* The eight tile registers: sums of 2 row tiles × 2 panels, then rows, then weights. Macros, since
 * gcc's intrinsics paste the number into the instruction's text. */
#define SUM_00    0
#define SUM_01    1
#define SUM_10    2
#define SUM_11    3
#define ROWS_0    4
#define ROWS_1    5
#define WEIGHTS_0 6
#define WEIGHTS_1 7

struct config { /* as ldtilecfg wants it (Intel SDM) */
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* `low` and `high` rows (1 to 16) in the first and the second row tile. */
static void configure(uint32_t low, uint32_t high)
{
    const uint8_t a = (uint8_t)low;
    const uint8_t b = (uint8_t)(high > 0 ? high : 1);
    const struct config config = {
        .palette = 1,
        .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
        .rows = {a, a, b, b, a, b, 16, 16},
    };

    _tile_loadconfig(&config);
}

/* Four groups' worth of lanes: bytes 0 to 3 of each lane as floats, scaled, as two pairs. */
OP void store_group(vi codes, vf scale, vf bias, uint8_t *to)
{
    const vi low = vi_set(255);
    const vf f0 = vf_fma(vf_from(vi_and(codes, low)), scale, bias);
    const vf f1 = vf_fma(vf_from(vi_and(_mm512_srli_epi32(codes, 8), low)), scale, bias);
    const vf f2 = vf_fma(vf_from(vi_and(_mm512_srli_epi32(codes, 16), low)), scale, bias);
    const vf f3 = vf_fma(vf_from(_mm512_srli_epi32(codes, 24)), scale, bias);
    const vi interleave =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);

    _mm512_store_si512(to, _mm512_permutexvar_epi16(interleave, (vi)_mm512_cvtne2ps_pbh(f1, f0)));
    _mm512_store_si512(to + 64,
                       _mm512_permutexvar_epi16(interleave, (vi)_mm512_cvtne2ps_pbh(f3, f2)));
}

/* One sub-block of one panel as a B tile. */
OP void decode_sub(const enum quant type, const struct weights *w, int s, int p, uint8_t *to)
{
    const struct traits t = traits_of(type);
    const vi table = vi_table(type == QUANT_MXFP4 ? mxfp4_table : iq4_table);
    const uint8_t *sub = w->block[p] + t.header + s * t.planes * 64;

#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        const int n = t.halves == 2 ? 2 * s + half : s;
        const vf scale = scale_of(type, w->block[p], w->d[p], &w->small[p], n, p);
        const vf bias = bias_of(type, w, scale, n, p);
        const struct high_bits high = load_high(t.planes, sub, half);

#pragma GCC unroll 4
        for (int g = 4 * half; g < 4 * half + 4; g++)
            store_group(codes_of(type, sub, high, table, g), scale, bias, to + 2 * g * 64);
    }
}

/* Up to STEP_SUBS sub-blocks of two panels. */
struct step {
    uint8_t tiles[PARTS][STEP_SUBS][SUB_BYTES] __attribute__((aligned(64)));
    int subs;
};

OP void decode_step(const enum quant type, const uint8_t *const *panel, uint32_t first_sub,
                    struct step *step)
{
    const struct traits t = traits_of(type);
    const size_t bytes = (size_t)t.header + (size_t)t.blocks * (size_t)t.planes * 64;
    struct weights w;

    for (int s = 0; s < step->subs; s++) {
        const int in_block = s % t.blocks;

        if (in_block == 0)
            load_block(type, panel, (first_sub + (uint32_t)s) / (uint32_t)t.blocks * bytes, &w);
        for (int p = 0; p < PARTS; p++)
            decode_sub(type, &w, in_block, p, step->tiles[p][s]);
    }
}

/* BF16 panels are B tiles already; what a last sub-block lacks is zero. */
static void copy_step(const uint8_t *const *panel, uint32_t first_sub, uint32_t pairs,
                      struct step *step)
{
    for (int p = 0; p < PARTS; p++) {
        const size_t first = (size_t)first_sub * 16;
        const size_t here = (size_t)step->subs * 16;
        const size_t n = pairs - first < here ? pairs - first : here;

        memcpy(step->tiles[p], panel[p] + first * 64, n * 64);
        memset(step->tiles[p][0] + n * 64, 0, (here - n) * 64);
    }
}

/* The next 32 inputs of up to 16 rows, together in the cache. */
OP void stage(const void *const *rows, uint32_t n, size_t at, uint8_t *to)
{
    for (uint32_t i = 0; i < n; i++)
        _mm512_store_si512(to + (size_t)i * 64, vi_load((const uint8_t *)rows[i] + at));
}

struct sums {          /* where a group of up to 32 rows adds up */
    float *low, *high; /* its first and its second 16 rows */
    size_t row_bytes;
    bool first, two_panels;
};

static void load_sums(const struct sums *to, bool two_tiles)
{
    if (to->first) {
        _tile_zero(SUM_00);
        _tile_zero(SUM_01);
        _tile_zero(SUM_10);
        _tile_zero(SUM_11);
        return;
    }
    _tile_loadd(SUM_00, to->low, to->row_bytes);
    if (to->two_panels)
        _tile_loadd(SUM_01, to->low + 16, to->row_bytes);
    if (two_tiles)
        _tile_loadd(SUM_10, to->high, to->row_bytes);
    if (two_tiles && to->two_panels)
        _tile_loadd(SUM_11, to->high + 16, to->row_bytes);
}

static void store_sums(const struct sums *to, bool two_tiles)
{
    _tile_stored(SUM_00, to->low, to->row_bytes);
    if (to->two_panels)
        _tile_stored(SUM_01, to->low + 16, to->row_bytes);
    if (two_tiles)
        _tile_stored(SUM_10, to->high, to->row_bytes);
    if (two_tiles && to->two_panels)
        _tile_stored(SUM_11, to->high + 16, to->row_bytes);
}

/* Up to 32 rows × one step. */
static void multiply_step(const struct step *step, const void *const *rows, uint32_t n, size_t at,
                          const struct sums *to)
{
    uint8_t staged[2][TILE_ROWS * 64] __attribute__((aligned(64)));
    const uint32_t low = n < TILE_ROWS ? n : TILE_ROWS;
    const uint32_t high = n - low;

    configure(low, high);
    load_sums(to, high > 0);
    for (int s = 0; s < step->subs; s++) {
        stage(rows, low, at + (size_t)s * 64, staged[0]);
        _tile_loadd(ROWS_0, staged[0], 64);
        _tile_loadd(WEIGHTS_0, step->tiles[0][s], 64);
        _tile_dpbf16ps(SUM_00, ROWS_0, WEIGHTS_0);
        _tile_loadd(WEIGHTS_1, step->tiles[1][s], 64);
        _tile_dpbf16ps(SUM_01, ROWS_0, WEIGHTS_1);
        if (high == 0)
            continue;
        stage(rows + low, high, at + (size_t)s * 64, staged[1]);
        _tile_loadd(ROWS_1, staged[1], 64);
        _tile_dpbf16ps(SUM_10, ROWS_1, WEIGHTS_0);
        _tile_dpbf16ps(SUM_11, ROWS_1, WEIGHTS_1);
    }
    store_sums(to, high > 0);
}

enum { QUANT_NONE = -1 }; /* BF16 */

OP void multiply_tiles(const int type, const struct moed_panels *w, const void *const *rows,
                       uint32_t n, float *out, size_t ld)
{
    const uint32_t subs = (w->cols + 31) / 32;
    struct step step;

    for (uint32_t panel = 0; panel < w->panels; panel += PARTS) {
        const bool two = w->panels - panel > 1;
        const uint8_t *const panels[PARTS] = {
            w->data + panel * w->panel_bytes,
            w->data + (panel + two) * w->panel_bytes, /* missing: the first again */
        };

        for (uint32_t sub = 0; sub < subs; sub += STEP_SUBS) {
            step.subs = (int)(subs - sub < STEP_SUBS ? subs - sub : STEP_SUBS);
            if (type == QUANT_NONE)
                copy_step(panels, sub, (w->cols + 1) / 2, &step);
            else
                decode_step((enum quant)type, panels, sub, &step);
            for (uint32_t i = 0; i < n; i += 2 * TILE_ROWS) {
                const uint32_t here = n - i < 2 * TILE_ROWS ? n - i : 2 * TILE_ROWS;
                float *at = out + i * ld + 16 * panel;
                const struct sums sums = {at, at + TILE_ROWS * ld, ld * sizeof *out, sub == 0, two};

                multiply_step(&step, rows + i, here, (size_t)sub * 64, &sums);
            }
        }
    }
    _tile_release();
}

#define X(TYPE)                                                                                   \
    static void multiply_##TYPE(const struct moed_panels *w, const void *const *rows, uint32_t n, \
                                float *out, size_t ld)                                            \
    {                                                                                             \
        multiply_tiles(QUANT_##TYPE, w, rows, n, out, ld);                                        \
    }
QUANT_PRODUCTS(X)
#undef X

static void multiply_BF16(const struct moed_panels *w, const void *const *rows, uint32_t n,
                          float *out, size_t ld)
{
    multiply_tiles(QUANT_NONE, w, rows, n, out, ld);
}

static bool supported(void)
{
    return moed_isa_avx512bf16.supported() && moed_amx_permit();
}

static const struct moed_product products[] = {
    {"BF16", MOED_ROWS_BF16, multiply_BF16},
#define X(TYPE) {#TYPE, MOED_ROWS_BF16, multiply_##TYPE},
    QUANT_PRODUCTS(X)
#undef X
        {NULL, MOED_ROWS_F32, NULL},
};

const struct moed_isa moed_isa_amx = {
    .name = "amx",
    .supported = supported,
    .products = products,
    .base = &moed_isa_avx512,
    .multiply_rows = multiply_rows,
    .prepare = prepare,
    .activate = activate,
};
