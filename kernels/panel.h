/* panel: weight matrices as the CPU kernels read them: 16 rows interleaved, so that each lane of a
 * vector is a row and no sum ever crosses lanes. Packing moves codes and scales, and never rounds
 * them: moed_panel_unpack() gives the file's bytes back.
 *
 * A panel is a run of blocks, each what 16 rows hold of `cols` consecutive inputs:
 *
 *   header   for each scale field of the type, in the order of its layout: 16 lanes, one a row
 *   codes    for each 32 inputs, for each plane of the type (8, 4, 2, 1 bits):
 *              8 bits   [8 groups][16 rows][4 inputs]           512 bytes
 *              4 bits   [4 pairs of groups][16 rows][4 inputs]  256 bytes, even group low
 *              2 bits   [2 halves][16 rows][4 inputs]           128 bytes, group q of 4 at bit 2q
 *              1 bit    [16 rows][4 inputs]                      64 bytes, group g of 8 at bit g
 *
 * where a group is 4 consecutive inputs: what one lane of vpdpbusd or one row of an AMX tile takes.
 * F32 and F16 panels are [inputs][16 rows]; BF16 panels are [inputs / 2][16 rows][2 inputs].
 *
 * Types whose codes are indices into grids, or digits, are widened to nibbles with a table
 * (panel_wide.h). Their header is
 *   d        [16 rows] f32
 *   table    [16] u8: values + 128; then 48 bytes that are nothing
 *   scales   [8 or 16][16 rows] u8, for each 32 or 16 of 256 inputs; or none, and d is of 32 inputs
 */
#ifndef MOED_KERNELS_PANEL_H
#define MOED_KERNELS_PANEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats.h"

#define MOED_PANEL_ROWS 16

struct moed_panel_layout;

/* NULL where a format has no panel form: its rows stay as they are in the file. */
const struct moed_panel_layout *moed_panel_layout_of(const struct moed_format *format);

/* Bytes of one panel of `cols` inputs, a multiple of the format's block; false if it wraps. */
bool moed_panel_bytes(const struct moed_panel_layout *layout, uint64_t cols, uint64_t *out);

/* Bytes before the scales of a widened panel's header. */
#define MOED_WIDE_HEADER 128

/* Whether panels are wider than the file, and hold its values but not its bytes. */
bool moed_panel_is_wide(const struct moed_panel_layout *layout);

/* `rows` (1 to 16) rows of `row_bytes`, as in the file; the lanes of missing rows become zeros. */
void moed_panel_pack(const struct moed_panel_layout *layout, const uint8_t *src, size_t row_bytes,
                     uint32_t rows, uint32_t cols, uint8_t *dst);
/* The file's bytes again; not of widened formats. */
void moed_panel_unpack(const struct moed_panel_layout *layout, const uint8_t *src, uint32_t rows,
                       uint32_t cols, uint8_t *dst, size_t row_bytes);

#endif
