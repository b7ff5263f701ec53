/* grids: the code books of the IQ types. An entry holds its values as indices into the few levels
 * of its family, value j at bit 2j (8 values, IQ2 and IQ1) or 3j (4 values, IQ3):
 *
 *   IQ2, IQ1   bit  15..14 … 3..2 1..0      IQ3   bit  11..9 8..6 5..3 2..0
 *            value    7         1    0             value    3    2    1    0     */
#ifndef MOED_KERNELS_GRIDS_H
#define MOED_KERNELS_GRIDS_H

#include <stdint.h>

extern const uint16_t moed_grid_iq2_xxs[256]; /* levels 8 25 43 */
extern const uint16_t moed_grid_iq2_xs[512];  /* the same */
extern const uint16_t moed_grid_iq2_s[1024];  /* the same */
extern const uint16_t moed_grid_iq3_xxs[256]; /* levels 4 12 20 28 36 44 52 62 */
extern const uint16_t moed_grid_iq3_s[512];   /* levels 1 3 5 7 9 11 13 15 */
extern const uint16_t moed_grid_iq1_s[2048];  /* levels -1 0 1; IQ1_M uses it too */

#endif
