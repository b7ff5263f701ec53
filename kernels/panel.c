/* panel: the layout of each format's panels, and packing and unpacking by it. */
#include "panel.h"

#include <string.h>

#include "panel_codes.h"
#include "panel_wide.h"
#include "quant.h"

#define PLANE_8 8
#define PLANE_4 4
#define PLANE_2 2
#define PLANE_1 1

#define GROUPS 8 /* of 4 inputs in 32 */

struct field { /* `count` values of `size` bytes that begin at byte `at` of a block */
    uint8_t at, size, count;
};

struct moed_panel_layout {
    const char *format;
    uint32_t cols, bytes;   /* of a block in the file */
    uint32_t planes;        /* sum of PLANE_*; 0: floats */
    struct field fields[2]; /* the block's bytes that are not codes */
    const struct moed_codes *codes;
    const struct moed_wide *wide; /* instead of fields and codes */
    uint32_t float_group;         /* floats: consecutive inputs that lie together */
};

/* Consecutive inputs of a lane: as vdpbf16ps takes them. */
#define TOGETHER_IEEE  1
#define TOGETHER_BRAIN 2

static const struct moed_panel_layout layouts[] = {
#define MOED_FLOAT(id, NAME, size, kind) \
    {.format = #NAME, .cols = 1, .bytes = (size), .float_group = TOGETHER_##kind},
#define PLANE(bits, at, run)            (bits)
#define PLANE_BY(bits, at, run, shifts) (bits)
#define MOED_QUANT(id, NAME, block, size, scales, d_at, small_at, low, high, ...) \
    {.format = #NAME,                                                             \
     .cols = (block),                                                             \
     .bytes = (size),                                                             \
     .planes = (low) + (high),                                                    \
     .fields = {{d_at, MOED_D_SIZE_##scales, MOED_D_COUNT_##scales},              \
                {small_at, 1, MOED_SMALL_##scales}},                              \
     .codes = &moed_codes_##NAME},
#define MOED_WIDE(id, NAME, block, size, ...) \
    {.format = #NAME,                         \
     .cols = (block),                         \
     .bytes = (size),                         \
     .planes = PLANE_4,                       \
     .wide = &moed_wide_##NAME},
#include "formats.def"
};

/* A block is its scales and its codes, and nothing else. */
#define PLANE(bits, at, run)            (bits)
#define PLANE_BY(bits, at, run, shifts) (bits)
#define MOED_QUANT(id, NAME, block, bytes, scales, d_at, small_at, low, high, ...) \
    _Static_assert((bytes) == MOED_BESIDE_##scales + (block) / 8 * ((low) + (high)), #NAME);
#include "formats.def"

const struct moed_panel_layout *moed_panel_layout_of(const struct moed_format *format)
{
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
        if (strcmp(layouts[i].format, format->name) == 0)
            return &layouts[i];
    return NULL;
}

static uint32_t header_bytes(const struct moed_panel_layout *l)
{
    uint32_t bytes = 0;

    if (l->wide != NULL)
        return MOED_WIDE_HEADER + l->wide->scales * MOED_PANEL_ROWS;
    for (int f = 0; f < 2; f++)
        bytes += (uint32_t)l->fields[f].size * l->fields[f].count * MOED_PANEL_ROWS;
    return bytes;
}

/* Inputs of a panel's block: those of the file's, but for widened types without small scales. */
static uint32_t block_cols(const struct moed_panel_layout *l)
{
    return l->wide != NULL && l->wide->scales == 0 ? 32 : l->cols;
}

static uint32_t block_bytes(const struct moed_panel_layout *l)
{
    if (l->planes == 0)
        return l->bytes * MOED_PANEL_ROWS;
    return header_bytes(l) + block_cols(l) * l->planes * MOED_PANEL_ROWS / 8;
}

bool moed_panel_bytes(const struct moed_panel_layout *l, uint64_t cols, uint64_t *out)
{
    uint64_t padded = cols;

    if (l->float_group == 2)
        padded += cols % 2; /* half a group is padded with a zero */
    return padded >= cols && !__builtin_mul_overflow(padded / block_cols(l), block_bytes(l), out);
}

/* ---- floats ---- */

/* Where element `col` of lane `row` lies. */
static size_t float_at(const struct moed_panel_layout *l, uint32_t row, uint32_t col)
{
    const size_t group = col / l->float_group;

    return ((group * MOED_PANEL_ROWS + row) * l->float_group + col % l->float_group) * l->bytes;
}

static void pack_float_row(const struct moed_panel_layout *l, const uint8_t *src, uint32_t row,
                           uint32_t cols, uint8_t *dst)
{
    for (uint32_t c = 0; c < cols; c++) {
        if (l->bytes == 4)
            memcpy(dst + float_at(l, row, c), src + (size_t)c * 4, 4);
        else
            memcpy(dst + float_at(l, row, c), src + (size_t)c * 2, 2);
    }
}

static void unpack_float_row(const struct moed_panel_layout *l, const uint8_t *src, uint32_t row,
                             uint32_t cols, uint8_t *dst)
{
    for (uint32_t c = 0; c < cols; c++)
        memcpy(dst + (size_t)c * l->bytes, src + float_at(l, row, c), l->bytes);
}

/* ---- headers ---- */

/* Field value `k` of lane `row` lies at header + k × 16 × size + row × size. */
static void pack_header(const struct moed_panel_layout *l, const uint8_t *block, uint32_t row,
                        uint8_t *header)
{
    for (int f = 0; f < 2; f++) {
        const struct field *field = &l->fields[f];

        for (uint32_t k = 0; k < field->count; k++) {
            memcpy(header + (size_t)row * field->size, block + field->at + k * field->size,
                   field->size);
            header += MOED_PANEL_ROWS * field->size;
        }
    }
}

static void unpack_header(const struct moed_panel_layout *l, const uint8_t *header, uint32_t row,
                          uint8_t *block)
{
    for (int f = 0; f < 2; f++) {
        const struct field *field = &l->fields[f];

        for (uint32_t k = 0; k < field->count; k++) {
            memcpy(block + field->at + k * field->size, header + (size_t)row * field->size,
                   field->size);
            header += MOED_PANEL_ROWS * field->size;
        }
    }
}

/* ---- codes: four at a time, since a group of 4 inputs lies together everywhere ---- */

#define LANE(plane, vector, row) ((plane) + ((size_t)(vector)*MOED_PANEL_ROWS + (row)) * 4)

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return v;
}

static void store32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, 4);
}

/* Codes of 32 inputs of one lane into the planes at dst. */
static void pack_codes(uint32_t planes, const uint8_t *codes, uint32_t row, uint8_t *dst)
{
    const int above = planes & PLANE_4 ? 4 : planes & PLANE_2 ? 2 : 0;
    uint32_t c[GROUPS];

    memcpy(c, codes, sizeof c);
    if (planes & PLANE_8)
        for (int g = 0; g < GROUPS; g++)
            store32(LANE(dst, g, row), c[g]);
    if (planes & PLANE_4) {
        for (int j = 0; j < 4; j++)
            store32(LANE(dst, j, row), (c[2 * j] & 0x0f0f0f0fU) | (c[2 * j + 1] & 0x0f0f0f0fU)
                                                                      << 4);
        dst += 256;
    }
    if (planes & PLANE_2) {
        const int from = planes & PLANE_4 ? 4 : 0;

        for (int h = 0; h < 2; h++) {
            uint32_t v = 0;

            for (int q = 0; q < 4; q++)
                v |= ((c[4 * h + q] >> from) & 0x03030303U) << (2 * q);
            store32(LANE(dst, h, row), v);
        }
        dst += 128;
    }
    if (planes & PLANE_1) {
        uint32_t v = 0;

        for (int g = 0; g < GROUPS; g++)
            v |= ((c[g] >> above) & 0x01010101U) << g;
        store32(LANE(dst, 0, row), v);
    }
}

static void unpack_codes(uint32_t planes, const uint8_t *src, uint32_t row, uint8_t *codes)
{
    const int above = planes & PLANE_4 ? 4 : planes & PLANE_2 ? 2 : 0;
    uint32_t c[GROUPS] = {0};

    for (int g = 0; (planes & PLANE_8) && g < GROUPS; g++)
        c[g] = load32(LANE(src, g, row));
    if (planes & PLANE_4) {
        for (int g = 0; g < GROUPS; g++)
            c[g] = (load32(LANE(src, g / 2, row)) >> (4 * (g % 2))) & 0x0f0f0f0fU;
        src += 256;
    }
    if (planes & PLANE_2) {
        const int to = planes & PLANE_4 ? 4 : 0;

        for (int g = 0; g < GROUPS; g++)
            c[g] |= ((load32(LANE(src, g / 4, row)) >> (2 * (g % 4))) & 0x03030303U) << to;
        src += 128;
    }
    for (int g = 0; (planes & PLANE_1) && g < GROUPS; g++)
        c[g] |= ((load32(LANE(src, 0, row)) >> g) & 0x01010101U) << above;
    memcpy(codes, c, sizeof c);
}

/* ---- rows ---- */

static void pack_row(const struct moed_panel_layout *l, const uint8_t *src, uint32_t row,
                     uint32_t cols, uint8_t *dst)
{
    const uint32_t bytes = block_bytes(l);
    const uint32_t header = header_bytes(l);
    const uint32_t sub_bytes = 32 * l->planes * MOED_PANEL_ROWS / 8;
    uint8_t codes[256];

    for (uint32_t b = 0; b < cols / l->cols; b++, src += l->bytes, dst += bytes) {
        pack_header(l, src, row, dst);
        l->codes->get(src, codes);
        for (uint32_t s = 0; s < l->cols / 32; s++)
            pack_codes(l->planes, codes + s * 32, row, dst + header + s * sub_bytes);
    }
}

static void unpack_row(const struct moed_panel_layout *l, const uint8_t *src, uint32_t row,
                       uint32_t cols, uint8_t *dst)
{
    const uint32_t bytes = block_bytes(l);
    const uint32_t header = header_bytes(l);
    const uint32_t sub_bytes = 32 * l->planes * MOED_PANEL_ROWS / 8;
    uint8_t codes[256];

    for (uint32_t b = 0; b < cols / l->cols; b++, src += bytes, dst += l->bytes) {
        memset(dst, 0, l->bytes);
        unpack_header(l, src, row, dst);
        for (uint32_t s = 0; s < l->cols / 32; s++)
            unpack_codes(l->planes, src + header + s * sub_bytes, row, codes + s * 32);
        l->codes->put(codes, dst);
    }
}

/* ---- widened types ---- */

static void pack_wide_header(const struct moed_wide *wide, const struct moed_widened *block,
                             uint32_t row, uint8_t *header)
{
    memcpy(header + row * sizeof block->d, &block->d, sizeof block->d);
    memcpy(header + 64, wide->table, sizeof wide->table);
    for (uint32_t s = 0; s < wide->scales; s++)
        header[MOED_WIDE_HEADER + s * MOED_PANEL_ROWS + row] = block->scale[s];
}

static void pack_wide_row(const struct moed_panel_layout *l, const uint8_t *src, uint32_t row,
                          uint32_t cols, uint8_t *dst)
{
    const uint32_t bytes = block_bytes(l);
    const uint32_t header = header_bytes(l);
    struct moed_widened block;

    for (uint32_t b = 0; b < cols / l->cols; b++, src += l->bytes) {
        l->wide->get(src, &block);
        for (uint32_t c = 0; c < l->cols; c += block_cols(l), dst += bytes) {
            pack_wide_header(l->wide, &block, row, dst);
            for (uint32_t s = 0; s < block_cols(l) / 32; s++)
                pack_codes(l->planes, block.codes + c + s * 32, row, dst + header + s * 256);
        }
    }
}

bool moed_panel_is_wide(const struct moed_panel_layout *l)
{
    return l->wide != NULL;
}

void moed_panel_pack(const struct moed_panel_layout *l, const uint8_t *src, size_t row_bytes,
                     uint32_t rows, uint32_t cols, uint8_t *dst)
{
    uint64_t bytes = 0;

    if (rows < MOED_PANEL_ROWS || cols % 2 != 0) {
        moed_panel_bytes(l, cols, &bytes);
        memset(dst, 0, bytes);
    }
    for (uint32_t r = 0; r < rows; r++) {
        if (l->planes == 0)
            pack_float_row(l, src + r * row_bytes, r, cols, dst);
        else if (l->wide != NULL)
            pack_wide_row(l, src + r * row_bytes, r, cols, dst);
        else
            pack_row(l, src + r * row_bytes, r, cols, dst);
    }
}

void moed_panel_unpack(const struct moed_panel_layout *l, const uint8_t *src, uint32_t rows,
                       uint32_t cols, uint8_t *dst, size_t row_bytes)
{
    for (uint32_t r = 0; r < rows; r++) {
        if (l->planes == 0)
            unpack_float_row(l, src, r, cols, dst + r * row_bytes);
        else
            unpack_row(l, src, r, cols, dst + r * row_bytes);
    }
}
