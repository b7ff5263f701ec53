/* amx: every quantised type and BF16 through bf16 tiles; amxbf16: BF16 alone.
 *
 * A tile multiplies 16 rows of bf16 by 32 inputs × 16 weight rows. Codes are small whole numbers,
 * which bf16 holds exactly, and the cheapest to make of a byte below 128 is 128 + code: the byte,
 * in the low half of a word that begins with 0x43. So codes become tiles by three instructions for
 * 64 of them; the sums of each 32 inputs (16, where the type has a scale for 16) leave the tiles to
 * be scaled in f32, and 128, offset and minimum are taken off there, as a multiple of the inputs'
 * sum, which a tile of ones gives. Nothing of a weight is rounded, and rows, as bf16, lose less
 * than int8 rows do. A value is summed over blocks in ascending order, whatever the number of rows.
 * BF16 panels are tiles already. F32 and F16 weights keep AVX-512. */
#include "ops_avx512.h"

#include <string.h>

#include "ahead.h"
#include "amx_permit.h"
#include "cpu.h"
#include "tables.h"

#include "bf16.inc"

#include "codes.inc"

#define TILE_ROWS  16
#define STEP_SUBS  8 /* sub-blocks of 32 inputs that are decoded at a time */
#define STEP_TERMS (2 * STEP_SUBS)
#define ROW_TERMS  8 /* terms whose scales fit the registers */

/* The tile registers. Macros, since gcc's intrinsics paste the number into the instruction. */
#define SUM_00    0
#define SUM_01    1
#define SUM_10    2
#define SUM_11    3
#define ROWS      4
#define WEIGHTS   5
#define ONES      6 /* quantised */
#define TOTALS    7
#define WEIGHTS_1 6 /* BF16 */
#define ROWS_1    7

struct config { /* as ldtilecfg wants it (Intel SDM) */
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* gcc's tile intrinsics do not say that they read memory: what is stored must be, before them. */
OP void settle(void)
{
    __asm__ volatile("" ::: "memory");
}

static void configure(const struct config *config)
{
    settle();
    _tile_loadconfig(config);
}

static const uint32_t ones[TILE_ROWS] = {
    0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80,
    0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80};

/* ---- decoding ---- */

/* Up to STEP_SUBS sub-blocks of two panels. A term is what has one scale. */
struct step {
    uint8_t tiles[PARTS][STEP_SUBS][1024] __attribute__((aligned(64))); /* 16 pairs × 16 rows */
    vf scale[PARTS][STEP_TERMS], under[PARTS][STEP_TERMS];
    int subs, terms;
};

/* Types whose codes use all eight bits become signed numbers; the others, 128 + code. */
OP bool is_signed(const enum quant type)
{
    return traits_of(type).offset_bits == 7;
}

/* The bf16 of IQ4's 16 values. */
OP vi iq4_values(void)
{
    uint16_t values[32];

    for (int i = 0; i < 32; i++) {
        const float value = (float)iq4_table[i % 16] - 128.0F;
        uint32_t bits;

        memcpy(&bits, &value, 4);
        values[i] = (uint16_t)(bits >> 16);
    }
    return vi_load(values);
}

/* Bytes n and n + 1 of each lane less 128, as a pair of bf16, which holds them exactly. */
OP vi signed_pairs(vi codes, int n)
{
    const vi low = _mm512_sub_epi32(vi_byte_of(codes, n), vi_set(128));
    const vi high = _mm512_sub_epi32(vi_byte_of(codes, n + 1), vi_set(128));
    const vi upper = _mm512_set1_epi32((int)0xffff0000U);

    return vi_or(_mm512_srli_epi32((vi)vf_from(low), 16), vi_and((vi)vf_from(high), upper));
}

/* A group's codes, bytes 0 to 3 of each lane, as two pairs of bf16. */
OP void store_group(const enum quant type, vi codes, vi values, uint8_t *to)
{
    const __m128i zeros_between =
        _mm_setr_epi32((int)0x80018000U, (int)0x80058004U, (int)0x80098008U, (int)0x800d800cU);
    const vi pick = _mm512_broadcast_i32x4(zeros_between);
    vi first = _mm512_shuffle_epi8(codes, pick);
    vi second = _mm512_shuffle_epi8(codes, vi_or(pick, vi_set(0x00020002)));

    if (is_signed(type) && traits_of(type).table) {
        first = _mm512_permutexvar_epi16(first, values);
        second = _mm512_permutexvar_epi16(second, values);
    } else if (is_signed(type)) {
        first = signed_pairs(codes, 0);
        second = signed_pairs(codes, 2);
    } else {
        first = vi_or(first, _mm512_set1_epi16(0x4300));
        second = vi_or(second, _mm512_set1_epi16(0x4300));
    }
    _mm512_store_si512(to, first);
    _mm512_store_si512(to + 64, second);
}

/* Sub-block s of part p of a block, as sub-block `at` of a step. */
OP void decode_sub(const enum quant type, const struct weights *w, int s, int p, struct step *step,
                   int at)
{
    const struct traits t = traits_of(type);
    const vi table = vi_table(mxfp4_table), values = iq4_values();
    const uint8_t *sub = w->block[p] + t.header + s * t.planes * 64;
    const float offset = t.offset_bits > 0 ? 128.0F + (float)(1 << t.offset_bits) : 128.0F;

#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        const struct high_bits high = load_high(t.planes, sub, half);

#pragma GCC unroll 4
        for (int g = 4 * half; g < 4 * half + 4; g++)
            store_group(type,
                        is_signed(type) ? stored_codes(type, sub, high, g)
                                        : codes_of(type, sub, high, table, g),
                        values, step->tiles[p][at] + 2 * g * 64);
        if (half < t.halves) {
            const int n = t.halves * s + half, term = t.halves * at + half;
            const vf scale = scale_of(type, w->block[p], w->d[p], &w->small[p], n, p);
            vf under = is_signed(type) ? vf_zero() : vf_mul(scale, vf_spread(&offset));

            if (t.minimum && t.blocks > 1)
                under = vf_add(under, min_of(w, n, p));
            else if (t.minimum) /* Q4_1 and Q5_1 add what the K types take off */
                under = _mm512_sub_ps(under, w->dmin[p]);
            step->scale[p][term] = scale;
            step->under[p][term] = under;
        }
    }
}

OP void decode_step(const enum quant type, const uint8_t *const *panel, uint32_t first_sub,
                    struct step *step)
{
    const struct traits t = traits_of(type);
    const size_t bytes = (size_t)t.header + (size_t)t.blocks * (size_t)t.planes * 64;
    struct weights w;

#pragma GCC unroll 1
    for (int first = 0; first < step->subs; first += t.blocks) {
        load_block(type, panel, (first_sub + (uint32_t)first) / (uint32_t)t.blocks * bytes, &w);
#pragma GCC unroll 1
        for (int s = 0; s < t.blocks; s++)
            for (int p = 0; p < PARTS; p++)
                decode_sub(type, &w, s, p, step, first + s);
    }
    step->terms = step->subs * t.halves;
    for (int term = step->terms; term % ROW_TERMS != 0; term++)
        for (int p = 0; p < PARTS; p++)
            step->scale[p][term] = step->under[p][term] = vf_zero();
}

/* ---- quantised products ---- */

/* What the tiles gave: for each term, its products and the sums of its inputs. */
struct products {
    float of[PARTS][STEP_TERMS][TILE_ROWS][16] __attribute__((aligned(64)));
    float total[STEP_TERMS][TILE_ROWS] __attribute__((aligned(64)));
};

/* Tiles of h rows (1 to 16) × 32 inputs, or 16 where the type has a scale for 16. */
static void configure_quant(uint32_t h, int halves)
{
    const uint8_t r = (uint8_t)h, pairs = (uint8_t)(16 / halves);
    const uint16_t row = (uint16_t)(64 / halves);
    const struct config config = {
        .palette = 1,
        .row_bytes = {64, 64, 64, 64, row, 64, 4, 4},
        .rows = {r, r, r, r, r, pairs, pairs, r},
    };

    configure(&config);
    _tile_loadd(ONES, ones, 4);
}

/* Term k of a tile of rows whose inputs lie at x. Two pairs of sums take turns, so that one can be
 * stored while the other is made. */
#define TERM(k, S0, S1)                                                              \
    do {                                                                             \
        const uint8_t *at = x + (size_t)((k) / halves) * h * 64 + (k) % halves * 32; \
        const size_t weights = (size_t)((k) % halves) * 512;                         \
        _tile_loadd(ROWS, at, 64);                                                   \
        _tile_zero(S0);                                                              \
        _tile_loadd(WEIGHTS, step->tiles[0][(k) / halves] + weights, 64);            \
        _tile_dpbf16ps(S0, ROWS, WEIGHTS);                                           \
        _tile_zero(S1);                                                              \
        _tile_loadd(WEIGHTS, step->tiles[1][(k) / halves] + weights, 64);            \
        _tile_dpbf16ps(S1, ROWS, WEIGHTS);                                           \
        _tile_stored(S0, out->of[0][k], 64);                                         \
        _tile_stored(S1, out->of[1][k], 64);                                         \
        if (totals) {                                                                \
            _tile_zero(TOTALS);                                                      \
            _tile_dpbf16ps(TOTALS, ROWS, ONES);                                      \
            _tile_stored(TOTALS, out->total[k], 4);                                  \
        }                                                                            \
    } while (0)

OP void tile_products(const uint32_t halves, const bool totals, const struct step *step,
                      const uint8_t *x, uint32_t h, struct products *out)
{
    const uint32_t terms = (uint32_t)step->terms;

    settle();
    for (uint32_t k = 0; k < terms; k += 2) {
        TERM(k, SUM_00, SUM_01);
        if (k + 1 < terms)
            TERM(k + 1, SUM_10, SUM_11);
    }
    for (uint32_t k = terms; k % ROW_TERMS != 0; k++) {
        memset(out->of[0][k], 0, sizeof out->of[0][k]);
        memset(out->of[1][k], 0, sizeof out->of[1][k]);
        memset(out->total[k], 0, sizeof out->total[k]);
    }
}

struct target { /* where a tile of rows adds up */
    float *out;
    size_t ld;
    bool first, two_panels;
};

/* Scales the terms and adds them up, row by row. */
OP void add_terms(const bool totals, const struct step *step, const struct products *made,
                  uint32_t h, const struct target *to)
{
    for (int p = 0; p < PARTS && (p == 0 || to->two_panels); p++)
        for (int k = 0; k < step->terms; k += ROW_TERMS)
            for (uint32_t i = 0; i < h; i++) {
                float *out = to->out + i * to->ld + 16 * p;
                vf sum = to->first && k == 0 ? vf_zero() : vf_load32(out);

#pragma GCC unroll 8
                for (int j = 0; j < ROW_TERMS; j++) {
                    sum = vf_fma(vf_load32(made->of[p][k + j][i]), step->scale[p][k + j], sum);
                    if (totals)
                        sum =
                            vf_fnma(vf_spread(&made->total[k + j][i]), step->under[p][k + j], sum);
                }
                vf_store32(out, sum);
            }
}

OP void multiply_quant(const enum quant type, const struct moed_panels *w,
                       const struct moed_gather *x, float *out, size_t ld)
{
    const struct traits t = traits_of(type);
    const bool totals = !is_signed(type) || t.minimum;
    const uint32_t walks = (w->panels + PARTS - 1) / PARTS;
    struct ahead ahead = ahead_of(w, (size_t)walks * x->blocks);
    struct products made;
    struct step step;

    for (uint32_t panel = 0; panel < w->panels; panel += PARTS) {
        const bool two = w->panels - panel > 1;
        const uint8_t *const panels[PARTS] = {
            w->data + panel * w->panel_bytes,
            w->data + (panel + two) * w->panel_bytes, /* missing: the first again */
        };

        for (uint32_t sub = 0; sub < x->blocks; sub += STEP_SUBS) {
            step.subs = (int)(x->blocks - sub < STEP_SUBS ? x->blocks - sub : STEP_SUBS);
            for (int s = 0; s < step.subs; s++)
                fetch_ahead(&ahead);
            decode_step(type, panels, sub, &step);
            for (uint32_t i = 0, h; i < x->n; i += h) {
                const struct target to = {out + i * ld + 16 * panel, ld, sub == 0, two};

                h = moed_tile_rows(x->n - i, TILE_ROWS);
                configure_quant(h, t.halves);
                tile_products((uint32_t)t.halves, totals, &step,
                              x->data + ((size_t)i * x->blocks + (size_t)h * sub) * 64, h, &made);
                add_terms(totals, &step, &made, h, &to);
            }
        }
    }
    _tile_release();
}

#define X(TYPE)                                                                           \
    static void multiply_##TYPE(const struct moed_panels *w, const struct moed_gather *x, \
                                float *out, size_t ld)                                    \
    {                                                                                     \
        multiply_quant(QUANT_##TYPE, w, x, out, ld);                                      \
    }
QUANT_PRODUCTS(X)
#undef X

/* ---- BF16 ---- */

/* The last sub-block of a panel may be short: its missing pairs are zeros. */
static const uint8_t *bf16_tile(const struct moed_panels *w, uint32_t panel, uint32_t sub,
                                uint8_t *last)
{
    const size_t pairs = (w->cols + 1) / 2, first = (size_t)sub * 16;
    const uint8_t *at = w->data + panel * w->panel_bytes + first * 64;

    if (first + 16 <= pairs)
        return at;
    memset(last, 0, 1024);
    memcpy(last, at, (pairs - first) * 64);
    return last;
}

static void configure_bf16(uint32_t low, uint32_t high)
{
    const uint8_t a = (uint8_t)low, b = (uint8_t)(high > 0 ? high : 1);
    const struct config config = {
        .palette = 1,
        .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
        .rows = {a, a, b, b, a, 16, 16, b},
    };

    configure(&config);
    _tile_zero(SUM_00);
    _tile_zero(SUM_01);
    _tile_zero(SUM_10);
    _tile_zero(SUM_11);
}

/* A gathered tile of h rows, up to 32, × two panels over all inputs: sums stay in their tiles. */
static void bf16_rows(const struct moed_panels *w, uint32_t panel, const uint8_t *x, uint32_t h,
                      struct ahead *ahead, const struct target *to)
{
    uint8_t last[PARTS][1024] __attribute__((aligned(64)));
    const uint32_t low = h > TILE_ROWS ? (h + 1) / 2 : h;
    const uint32_t high = h - low;
    const uint32_t second = panel + (to->two_panels ? 1 : 0);
    const size_t ld = to->ld * sizeof(float);

    configure_bf16(low, high);
    for (uint32_t sub = 0; sub < (w->cols + 31) / 32; sub++, x += h * 64) {
        const uint8_t *const weights[PARTS] = {bf16_tile(w, panel, sub, last[0]),
                                               bf16_tile(w, second, sub, last[1])};

        fetch_ahead(ahead);
        settle();
        _tile_loadd(ROWS, x, 64);
        _tile_loadd(WEIGHTS, weights[0], 64);
        _tile_dpbf16ps(SUM_00, ROWS, WEIGHTS);
        _tile_loadd(WEIGHTS_1, weights[1], 64);
        _tile_dpbf16ps(SUM_01, ROWS, WEIGHTS_1);
        if (high == 0)
            continue;
        _tile_loadd(ROWS_1, x + low * 64, 64);
        _tile_dpbf16ps(SUM_10, ROWS_1, WEIGHTS);
        _tile_dpbf16ps(SUM_11, ROWS_1, WEIGHTS_1);
    }
    _tile_stored(SUM_00, to->out, ld);
    if (to->two_panels)
        _tile_stored(SUM_01, to->out + 16, ld);
    if (high > 0)
        _tile_stored(SUM_10, to->out + low * to->ld, ld);
    if (high > 0 && to->two_panels)
        _tile_stored(SUM_11, to->out + low * to->ld + 16, ld);
}

static void multiply_BF16(const struct moed_panels *w, const struct moed_gather *x, float *out,
                          size_t ld)
{
    const uint32_t tiles = (x->n + 2 * TILE_ROWS - 1) / (2 * TILE_ROWS);
    const uint32_t walks = (w->panels + PARTS - 1) / PARTS;
    struct ahead ahead = ahead_of(w, (size_t)walks * tiles * x->blocks);

    for (uint32_t panel = 0; panel < w->panels; panel += PARTS)
        for (uint32_t i = 0, h; i < x->n; i += h) {
            const struct target to = {out + i * ld + 16 * panel, ld, true, w->panels - panel > 1};

            h = moed_tile_rows(x->n - i, 2 * TILE_ROWS);
            bf16_rows(w, panel, x->data + (size_t)i * x->blocks * 64, h, &ahead, &to);
        }
    _tile_release();
}

static bool supported(void)
{
    return moed_isa_avx512bf16.supported() && moed_amx_permit();
}

static const struct moed_product products[] = {
    {"BF16", MOED_ROWS_BF16, 2 * TILE_ROWS, multiply_BF16},
#define X(TYPE) {#TYPE, MOED_ROWS_BF16, TILE_ROWS, multiply_##TYPE},
    QUANT_PRODUCTS(X)
#undef X
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
