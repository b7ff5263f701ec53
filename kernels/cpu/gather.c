/* gather: places rows, block by block, in tiles; lists the outliers of Q8 rows. */
#include "gather.h"

#include <string.h>

/* moed_tile_rows() makes the first n % tiles tiles one row higher than the rest. */
struct moed_gather_place moed_gather_place(const struct moed_gather_shape *shape, uint32_t n,
                                           uint32_t i)
{
    const size_t block = moed_rows_block_bytes(shape->kind);
    const uint32_t tiles = (n + shape->height - 1) / shape->height;
    const uint32_t low = n / tiles, in_high = n % tiles * (low + 1);
    const uint32_t h = i < in_high ? low + 1 : low;
    const uint32_t first = i < in_high ? i / h * h : in_high + (i - in_high) / h * h;

    return (struct moed_gather_place){
        first * moed_rows_bytes(shape->kind, shape->cols) + (i - first) * block, h * block};
}

void moed_gather_row(const struct moed_gather_shape *shape, uint32_t n, uint32_t i, const void *row,
                     void *data)
{
    const struct moed_gather_place place = moed_gather_place(shape, n, i);
    uint8_t *to = (uint8_t *)data + place.first;
    const uint8_t *from = row;

    if (shape->kind != MOED_ROWS_F32) {
        for (uint32_t c = 0; c < shape->cols; c += 32, from += 64, to += place.step)
            memcpy(to, from, 64);
        return;
    }
    for (uint32_t c = 0; c < shape->cols; c += 32, from += 128, to += place.step) {
        const size_t left = (shape->cols - c) * sizeof(float);

        if (left >= 128) {
            memcpy(to, from, 128);
        } else { /* the only kind that is not padded */
            memset(to, 0, 128);
            memcpy(to, from, left);
        }
    }
}

/* A Q8 block has at most two outliers. */
size_t moed_gather_outliers_max(uint32_t n, uint32_t cols)
{
    return ((size_t)cols + 31) / 32 * 2 * n;
}

/* Block b of h rows from row `first` on. */
static uint32_t list_block(const struct moed_q8 *x, uint32_t h, struct moed_outlier like,
                           struct moed_outlier *to)
{
    uint32_t n = 0;

    for (int half = 0; half < 2; half++)
        for (uint32_t j = 0; j < h; j++) {
            to[n] = (struct moed_outlier){x[j].outlier[half], like.input + x[j].outlier_at[half],
                                          like.row + j};
            n += x[j].outlier[half] != 0.0F;
        }
    return n;
}

static uint32_t any_outlier(const struct moed_q8 *x, uint32_t h)
{
    uint32_t any = 0;

    for (uint32_t j = 0; j < h; j++)
        any |= x[j].any_outlier;
    return any;
}

void moed_gather_view(const struct moed_gather_shape *shape, uint32_t n, const void *data,
                      struct moed_outlier *outliers, struct moed_gather *out)
{
    const struct moed_q8 *x = data;

    *out = (struct moed_gather){n, (shape->cols + 31) / 32, data, outliers, 0};
    for (uint32_t b = 0; shape->kind == MOED_ROWS_Q8 && b < out->blocks; b++)
        for (uint32_t i = 0, h; i < n; i += h) {
            const struct moed_q8 *tile = x + (size_t)i * out->blocks;
            const struct moed_outlier like = {.input = 32 * b, .row = i};

            h = moed_tile_rows(n - i, shape->height);
            if (any_outlier(tile + (size_t)b * h, h))
                out->n_outliers +=
                    list_block(tile + (size_t)b * h, h, like, outliers + out->n_outliers);
        }
}
