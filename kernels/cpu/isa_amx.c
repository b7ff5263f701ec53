/* amx: every quantised type and BF16 through bf16 tiles; amxbf16: BF16 alone.
 *
 * A tile multiplies 16 rows of bf16 by 32 inputs × 16 weight rows, and sums in f32. BF16 panels are
 * such tiles already. Quantised weights are decoded to them, some hundred inputs of two panels at a
 * time, once for all rows: code · scale − minimum in f32, rounded once. So rows and weights both
 * lose what bf16 does, which is less than int8 rows lose. A value is summed over inputs in
 * ascending order, whatever the number of rows. F32 and F16 weights keep AVX-512. */
#include "ops_avx512.h"

#include <string.h>

#include "amx_permit.h"
#include "cpu.h"
#include "prefetch.h"
#include "tables.h"

#include "bf16.inc"

#include "codes.inc"

#define TILE_ROWS  16
#define TILE_BYTES 1024 /* 16 pairs of inputs × 16 weight rows */
#define CHUNK      16   /* sub-blocks of 32 inputs that are decoded at a time: 32 KiB */

/* The tile registers. Macros, since gcc's intrinsics paste the number into the instruction. */
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

/* gcc's tile intrinsics do not say that they read memory: what is stored must be, before them. */
static void configure(const struct config *config)
{
    __asm__ volatile("" ::: "memory");
    _tile_loadconfig(config);
}

/* ---- tiles of weights ---- */

/* So many sub-blocks of two panels. */
struct weight_tiles {
    const uint8_t *at[PARTS];
    uint32_t subs;
};

struct target { /* where a gathered tile of rows adds up */
    float *out;
    size_t ld;
    bool first, two_panels; /* first: nothing is there yet */
};

/* Sums that begin, or go on from what is there. */
static void begin_sums(uint32_t low, uint32_t high, const struct target *to)
{
    const uint8_t a = (uint8_t)low, b = (uint8_t)(high > 0 ? high : 1);
    const struct config config = {
        .palette = 1,
        .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
        .rows = {a, a, b, b, a, b, 16, 16},
    };
    const size_t ld = to->ld * sizeof(float);

    configure(&config);
    _tile_zero(SUM_00);
    _tile_zero(SUM_01);
    _tile_zero(SUM_10);
    _tile_zero(SUM_11);
    if (to->first)
        return;
    _tile_loadd(SUM_00, to->out, ld);
    if (to->two_panels)
        _tile_loadd(SUM_01, to->out + 16, ld);
    if (high > 0)
        _tile_loadd(SUM_10, to->out + low * to->ld, ld);
    if (high > 0 && to->two_panels)
        _tile_loadd(SUM_11, to->out + low * to->ld + 16, ld);
}

static void end_sums(uint32_t low, uint32_t high, const struct target *to)
{
    const size_t ld = to->ld * sizeof(float);

    _tile_stored(SUM_00, to->out, ld);
    if (to->two_panels)
        _tile_stored(SUM_01, to->out + 16, ld);
    if (high > 0)
        _tile_stored(SUM_10, to->out + low * to->ld, ld);
    if (high > 0 && to->two_panels)
        _tile_stored(SUM_11, to->out + low * to->ld + 16, ld);
}

/* A gathered tile of h rows, up to 32, × two panels. */
static void multiply_tile(const struct weight_tiles *w, const uint8_t *x, uint32_t h,
                          struct prefetch *prefetch, const struct target *to)
{
    const uint32_t low = h > TILE_ROWS ? (h + 1) / 2 : h;
    const uint32_t high = h - low;

    begin_sums(low, high, to);
    for (size_t sub = 0; sub < w->subs; sub++, x += (size_t)h * 64) {
        prefetch_step(prefetch);
        _tile_loadd(ROWS_0, x, 64);
        _tile_loadd(WEIGHTS_0, w->at[0] + sub * TILE_BYTES, 64);
        _tile_dpbf16ps(SUM_00, ROWS_0, WEIGHTS_0);
        _tile_loadd(WEIGHTS_1, w->at[1] + sub * TILE_BYTES, 64);
        _tile_dpbf16ps(SUM_01, ROWS_0, WEIGHTS_1);
        if (high == 0)
            continue;
        _tile_loadd(ROWS_1, x + (size_t)low * 64, 64);
        _tile_dpbf16ps(SUM_10, ROWS_1, WEIGHTS_0);
        _tile_dpbf16ps(SUM_11, ROWS_1, WEIGHTS_1);
    }
    end_sums(low, high, to);
}

/* All rows × sub-blocks of two panels, from sub-block `first` on. */
static void multiply_chunk(const struct weight_tiles *w, const struct moed_gather *x,
                           uint32_t first, struct prefetch *prefetch, struct target to)
{
    float *const out = to.out;

    to.first = first == 0;
    for (uint32_t i = 0, h; i < x->n; i += h) {
        h = moed_tile_rows(x->n - i, 2 * TILE_ROWS);
        to.out = out + i * to.ld;
        multiply_tile(w, x->data + ((size_t)i * x->blocks + (size_t)h * first) * 64, h, prefetch,
                      &to);
    }
}

/* What a walk over panels prefetches, a share a sub-block and tile of rows. */
static struct prefetch prefetch_of_walk(const struct moed_panels *w, const struct moed_gather *x)
{
    const uint32_t tiles = (x->n + 2 * TILE_ROWS - 1) / (2 * TILE_ROWS);
    const uint32_t walks = (w->panels + PARTS - 1) / PARTS;

    return prefetch_of(w, (size_t)walks * tiles * x->blocks);
}

/* ---- BF16 ---- */

/* The last sub-block of a panel may be short: its missing pairs are zeros. */
static void pad_last(const uint8_t *panel, size_t pairs, uint8_t *last)
{
    memset(last, 0, TILE_BYTES);
    memcpy(last, panel + pairs / 16 * TILE_BYTES, pairs % 16 * 64);
}

static void multiply_BF16(const struct moed_panels *w, const struct moed_gather *x, float *out,
                          size_t ld)
{
    const size_t pairs = (w->cols + 1) / 2;
    const uint32_t whole = (uint32_t)(pairs / 16);
    uint8_t last[PARTS][TILE_BYTES] __attribute__((aligned(64)));
    struct prefetch prefetch = prefetch_of_walk(w, x);

    for (uint32_t panel = 0; panel < w->panels; panel += PARTS) {
        const bool two = w->panels - panel > 1;
        const uint8_t *const at = w->data + panel * w->panel_bytes;
        const uint8_t *const second = two ? at + w->panel_bytes : at; /* missing: the first */
        const struct target to = {out + 16 * (size_t)panel, ld, true, two};

        if (whole > 0)
            multiply_chunk(&(struct weight_tiles){{at, second}, whole}, x, 0, &prefetch, to);
        if (pairs % 16 == 0)
            continue;
        pad_last(at, pairs, last[0]);
        pad_last(second, pairs, last[1]);
        multiply_chunk(&(struct weight_tiles){{last[0], last[1]}, 1}, x, whole, &prefetch, to);
    }
    _tile_release();
}

/* ---- quantised ---- */

/* Two values a weight row, for rows 0 to 7 and 8 to 15: as pairs of inputs lie in a tile. */
struct doubled {
    vf low, high;
};

OP struct doubled doubled(vf v)
{
    const vi of_low = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);

    return (struct doubled){_mm512_permutexvar_ps(of_low, v),
                            _mm512_permutexvar_ps(vi_or(of_low, vi_set(8)), v)};
}

/* What makes weights of codes: code · scale + bias, once for 32 or 16 inputs. */
struct term {
    struct doubled scale, bias;
};

/* Types whose codes use all eight bits. */
OP bool is_signed(const enum quant type)
{
    return traits_of(type).offset_bits == 7;
}

OP struct term term_of(const enum quant type, const struct weights *w, int n, int p)
{
    const struct traits t = traits_of(type);
    const float on = 128.0F;
    const vf scale = scale_of(type, w->block[p], w->d[p], &w->small[p], n, p);
    const vf dmin = t.minimum ? w->dmin[p] : vf_zero();
    const vf min = t.minimum && t.blocks > 1 ? min_of(w, n, p) : vf_zero();
    const vf bias = vf_fnma(scale, vf_spread(&on), bias_of(type, dmin, min, scale));

    return (struct term){doubled(scale), doubled(bias)};
}

/* 8 weight rows' bytes `pick`, two a row, as weights. A byte becomes a number by three more that
 * precede and follow it: 0x43000000 + (code << 16) is the f32 128 + code, for codes below 128, and
 * 0x47000000 + (code << 8) is 32768 + code. */
OP vf weights_of(const enum quant type, vi codes, vi pick, vf scale, vf bias)
{
    if (is_signed(type)) { /* exact, and the difference too: code − 128 */
        const float on = 32768.0F + 128.0F;
        const vi number =
            _mm512_mask_permutexvar_epi8(vi_set(0x47000000), 0x2222222222222222ULL, pick, codes);

        return vf_mul(_mm512_sub_ps(_mm512_castsi512_ps(number), vf_spread(&on)), scale);
    }
    return vf_fma(_mm512_castsi512_ps(_mm512_mask_permutexvar_epi8(
                      vi_set(0x43000000), 0x4444444444444444ULL, pick, codes)),
                  scale, bias);
}

/* A group's codes, four inputs of 16 rows, as two pairs of inputs in bf16. */
OP void store_group(const enum quant type, vi codes, const struct term *t, uint8_t *to)
{
    const vi of_low =
        _mm512_setr_epi32(0x00000000, 0x01010101, 0x04040404, 0x05050505, 0x08080808, 0x09090909,
                          0x0c0c0c0c, 0x0d0d0d0d, 0x10101010, 0x11111111, 0x14141414, 0x15151515,
                          0x18181818, 0x19191919, 0x1c1c1c1c, 0x1d1d1d1d);

#pragma GCC unroll 2
    for (int pair = 0; pair < 2; pair++) {
        const vi low = vi_or(of_low, vi_byte((uint8_t)(2 * pair)));
        const vi high = vi_or(low, vi_byte(32));

        _mm512_store_si512(
            to + pair * 64,
            (__m512i)_mm512_cvtne2ps_pbh(weights_of(type, codes, high, t->scale.high, t->bias.high),
                                         weights_of(type, codes, low, t->scale.low, t->bias.low)));
    }
}

/* Sub-block s of part p of a block, as a tile. */
OP void decode_sub(const enum quant type, const struct weights *w, int s, int p, uint8_t *tile)
{
    const struct traits t = traits_of(type);
    const vi table = t.table ? table_of(type, w->block[p]) : vi_zero();
    const uint8_t *sub = w->block[p] + t.header + s * t.planes * 64;
    struct term term = term_of(type, w, t.halves * s, p);

#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        const struct high_bits high = load_high(t.planes, sub, half);

        if (half == 1 && t.halves == 2)
            term = term_of(type, w, 2 * s + 1, p);
#pragma GCC unroll 4
        for (int g = 4 * half; g < 4 * half + 4; g++)
            store_group(type, codes_of(type, sub, high, table, g), &term, tile + 2 * g * 64);
    }
}

/* `subs` sub-blocks of two panels from sub-block `first` on. */
OP void decode(const enum quant type, const uint8_t *const *panel, uint32_t first, uint32_t subs,
               uint8_t (*tiles)[CHUNK][TILE_BYTES])
{
    const uint32_t blocks = (uint32_t)traits_of(type).blocks;
    struct weights w;

#pragma GCC unroll 1
    for (uint32_t sub = 0; sub < subs; sub += blocks) {
        load_block(type, panel, (first + sub) / blocks * block_bytes(type), &w);
#pragma GCC unroll 1
        for (uint32_t s = 0; s < blocks; s++)
            for (int p = 0; p < PARTS; p++)
                decode_sub(type, &w, (int)s, p, tiles[p][sub + s]);
    }
}

OP void multiply_quant(const enum quant type, const struct moed_panels *w,
                       const struct moed_gather *x, float *out, size_t ld)
{
    uint8_t tiles[PARTS][CHUNK][TILE_BYTES] __attribute__((aligned(64)));
    struct prefetch prefetch = prefetch_of_walk(w, x);

    for (uint32_t panel = 0; panel < w->panels; panel += PARTS) {
        const bool two = w->panels - panel > 1;
        const uint8_t *const panels[PARTS] = {
            w->data + panel * w->panel_bytes,
            w->data + (panel + two) * w->panel_bytes, /* missing: the first again */
        };
        const struct target to = {out + 16 * (size_t)panel, ld, true, two};

        for (uint32_t sub = 0, subs; sub < x->blocks; sub += subs) {
            subs = x->blocks - sub < CHUNK ? x->blocks - sub : CHUNK;
            decode(type, panels, sub, subs, tiles);
            multiply_chunk(&(struct weight_tiles){{tiles[0][0], tiles[1][0]}, subs}, x, sub,
                           &prefetch, to);
        }
    }
    _tile_release();
}

#define MOED_QUANT(id, NAME, ...)                                                         \
    static void multiply_##NAME(const struct moed_panels *w, const struct moed_gather *x, \
                                float *out, size_t ld)                                    \
    {                                                                                     \
        multiply_quant(QUANT_##NAME, w, x, out, ld);                                      \
    }
#include "kernels/formats.def"

static bool supported(void)
{
    return moed_isa_avx512bf16.supported() && __builtin_cpu_supports("avx512vbmi") &&
           moed_amx_permit();
}

static const struct moed_product products[] = {
    {"BF16", MOED_ROWS_BF16, 2 * TILE_ROWS, multiply_BF16},
#define MOED_QUANT(id, NAME, ...) {#NAME, MOED_ROWS_BF16, 2 * TILE_ROWS, multiply_##NAME},
#include "kernels/formats.def"
    {NULL, MOED_ROWS_F32, 0, NULL},
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

/* BF16 alone: what AMX is best at. */
static const struct moed_product bf16_products[] = {
    {"BF16", MOED_ROWS_BF16, 2 * TILE_ROWS, multiply_BF16},
    {NULL, MOED_ROWS_F32, 0, NULL},
};

const struct moed_isa moed_isa_amxbf16 = {
    .name = "amxbf16",
    .supported = supported,
    .products = bf16_products,
    .base = &moed_isa_avx512,
    .multiply_rows = multiply_rows,
    .prepare = prepare,
    .activate = activate,
};
