/* cpu: furniture of the CPU backend. A forward call is cut into passes of at most `pass_rows`
 * rows; a pass runs its phases in one parallel region, all threads of the team calling each phase
 * function, which shares its loop out and ends in a barrier. */
#ifndef MOED_BACKEND_CPU_H
#define MOED_BACKEND_CPU_H

#include <moed/moe.h>

#include "kernels/cpu/cpu.h"
#include "resident.h"
#include "vtable.h"

struct cpu_backend {
    struct moed_backend base;
    const struct moed_isa *isa;
    struct resident resident;
};

/* Output columns of a task: two panels, and one block of prepared inputs of the next product. */
#define BLOCK_COLS 32
/* Rows that one multiply call takes, so that a task's products stay in the cache. */
#define BLOCK_ROWS 128
/* Rows of a pass: enough to read each expert once for many rows; bounds the workspace. */
#define MAX_PASS_ROWS 1024

struct cpu_scratch {  /* of one thread */
    float *decoded;   /* weight rows that are not packed: MOED_TILE_ROWS × the most columns */
    float *gate, *up; /* products of one task: BLOCK_ROWS × BLOCK_COLS */
    float *sum;       /* a block of output columns: pass rows × BLOCK_COLS */
    float *route;     /* 2 E */
};

/* Activation rows, in f32 and in what other forms the next products want. */
struct row_set {
    const float *f32; /* [rows, width] */
    uint32_t width;
    uint8_t *prepared[MOED_ROWS_KINDS]; /* [rows] of moed_rows_bytes(); F32: never used */
};

struct cpu_workspace {
    struct moed_workspace base;
    uint32_t pass_rows;
    uint64_t entries; /* (row, routed expert) pairs of a pass that fit, and as many of chunks */
    struct moed_plan plan;
    struct row_set x, latent;      /* [pass, H] and [pass, L]: storage of prepared forms */
    float *normed;                 /* [pass, H] */
    float *logits;                 /* [pass, E] */
    float *latent_in, *latent_sum; /* [pass, L] */
    uint8_t *act;                  /* a row a plan's entry, prepared for the down projection */
    float *shared_weight;          /* [pass] */
    uint8_t *skip, *shared;        /* [pass] */
    uint8_t *seen;                 /* [2E + 1] planned experts of the whole call */
    struct cpu_scratch *scratch;   /* one a thread */
};

struct pass {
    struct cpu_workspace *ws;
    const struct moed_isa *isa;
    const struct resident_layer *layer;
    uint32_t threads;
    uint32_t rows, slots;
    const float *hidden; /* [rows, H] as they came */
    const float *x;      /* [rows, H] as router and experts see them */
    float *output, *weights, *logits;
    int32_t *ids;
    const uint8_t *flags; /* NULL: all 0 */
    uint8_t *not_finite;
    uint64_t weight_bytes;
};

static inline uint8_t row_flags(const struct pass *p, uint32_t row)
{
    return p->flags ? p->flags[row] : 0;
}

/* ---- phases, in order; called by every thread of the team ---- */
void cpu_norm_rows(struct pass *p);   /* x */
void cpu_logits(struct pass *p);      /* logits */
void cpu_choose(struct pass *p);      /* ids, weights, skip, shared */
void cpu_plan(struct pass *p);        /* plan */
void cpu_prepare(struct pass *p);     /* x and latent in the forms that gate and up want */
void cpu_gate_up(struct pass *p);     /* act */
void cpu_down(struct pass *p);        /* output */
void cpu_finish_rows(struct pass *p); /* post norm, residual */

/* ---- products (cpu_product.c) ---- */

/* What form of rows a matrix is multiplied with. */
static inline enum moed_rows_kind rows_kind(const struct matrix *m)
{
    return m->product ? m->product->rows : MOED_ROWS_F32;
}

static inline const void *row_of(const struct row_set *set, enum moed_rows_kind kind, size_t row)
{
    if (kind == MOED_ROWS_F32)
        return set->f32 + row * set->width;
    return set->prepared[kind] + row * moed_rows_bytes(kind, set->width);
}

struct product {
    const struct matrix *matrix;
    uint32_t expert;
    uint32_t col;            /* first output column, a multiple of BLOCK_COLS */
    const void *const *rows; /* [n] of the matrix's kind */
    uint32_t n;              /* up to BLOCK_ROWS */
};

/* tile[i × BLOCK_COLS + c] = row i · column col + c; BLOCK_COLS columns, or those that are left
 * rounded up to a panel. Returns how many columns count. By one thread. */
uint32_t cpu_product(const struct pass *p, const struct product *product, float *tile);

/* out[i × ld + c] for all columns of a matrix that is not per expert and rows [0, rows) of a set.
 * A phase: shared out to the team. */
void cpu_multiply_all(struct pass *p, const struct matrix *m, const struct row_set *set, float *out,
                      size_t ld);

#endif
