/* dtype: the element types in which rows travel, and the conversions between them.
 * bf16 and f16 are IEEE-style: conversion to them rounds to nearest, ties to even; NaN stays
 * NaN, overflow becomes infinity. Sources and targets need no alignment. */
#ifndef MOED_KERNELS_DTYPE_H
#define MOED_KERNELS_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum moed_dtype { MOED_F32, MOED_F16, MOED_BF16, MOED_DTYPE_COUNT };

size_t moed_dtype_size(enum moed_dtype dtype);      /* bytes an element */
const char *moed_dtype_name(enum moed_dtype dtype); /* "f32", "f16", "bf16" */
int moed_dtype_parse(const char *name);             /* the enum, or -1 */
void moed_dtype_to_f32(enum moed_dtype dtype, const void *src, float *dst, size_t n);
void moed_dtype_from_f32(enum moed_dtype dtype, const float *src, void *dst, size_t n);
/* Whether none of `n` elements is NaN or infinite. */
bool moed_dtype_is_finite(enum moed_dtype dtype, const void *data, size_t n);

float moed_f16_to_f32(uint16_t bits);
uint16_t moed_f32_to_f16(float value);
float moed_bf16_to_f32(uint16_t bits);
uint16_t moed_f32_to_bf16(float value);

#endif
