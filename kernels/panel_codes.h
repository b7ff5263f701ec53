/* panel_codes: a block's codes as one byte each, and back; furniture of the panels. */
#ifndef MOED_KERNELS_PANEL_CODES_H
#define MOED_KERNELS_PANEL_CODES_H

#include <stdint.h>

/* `block` is one block of the format; codes[] are in the order of its elements. put() writes the
 * code bits of a block whose other bytes are set elsewhere and whose code bits are zero. */
struct moed_codes {
    void (*get)(const uint8_t *block, uint8_t *codes);
    void (*put)(const uint8_t *codes, uint8_t *block);
};

extern const struct moed_codes moed_codes_q4_0, moed_codes_q4_1, moed_codes_q5_0, moed_codes_q5_1,
    moed_codes_q8_0, moed_codes_q2_k, moed_codes_q3_k, moed_codes_q4_k, moed_codes_q5_k,
    moed_codes_q6_k, moed_codes_iq4_xs, moed_codes_mxfp4, moed_codes_nvfp4;

#endif
