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

/* Output columns of a task: small enough that one row's work fills all cores. */
#define BLOCK_COLS 32
/* Rows that one multiply call takes, so that a task's products stay in the cache. */
#define BLOCK_ROWS 256
/* Rows of a pass: enough to read each expert once for many rows; bounds the workspace. */
#define MAX_PASS_ROWS 1024

struct cpu_scratch {  /* of one thread */
    float *tile;      /* decoded weight rows: MOED_TILE_ROWS × the most columns */
    float *gate, *up; /* products of one task: BLOCK_ROWS × BLOCK_COLS */
    float *route;     /* 2 E */
};

struct cpu_workspace {
    struct moed_workspace base;
    uint32_t pass_rows;
    uint64_t entries; /* (row, expert) pairs of a pass that fit */
    struct moed_plan plan;
    float *normed;                 /* [pass, H] */
    float *logits;                 /* [pass, E] */
    float *latent_in, *latent_sum; /* [pass, L], or NULL when no layer is latent */
    float *act;                    /* [entries, F] */
    float *shared_weight;          /* [pass] */
    uint8_t *skip, *shared;        /* [pass] */
    uint8_t *seen;                 /* [E + 1] experts of the whole call */
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

/* A block of a matrix's rows as the kernels take it. */
static inline struct moed_weight_block matrix_block(const struct matrix *m, uint32_t expert,
                                                    uint32_t row, uint32_t rows)
{
    return (struct moed_weight_block){
        .format = m->format,
        .data = m->data + expert * m->expert_bytes + row * m->row_bytes,
        .row_bytes = m->row_bytes,
        .rows = rows,
        .cols = m->cols,
    };
}

/* ---- phases, in order; called by every thread of the team ---- */
void cpu_norm_rows(struct pass *p);   /* x */
void cpu_logits(struct pass *p);      /* logits */
void cpu_choose(struct pass *p);      /* ids, weights, skip, shared */
void cpu_plan(struct pass *p);        /* plan */
void cpu_latent_in(struct pass *p);   /* latent_in */
void cpu_gate_up(struct pass *p);     /* act */
void cpu_down(struct pass *p);        /* output */
void cpu_finish_rows(struct pass *p); /* post norm, residual */

/* out[i × ld + r] = view row i · matrix row r, for all rows of the view and of the matrix. */
void cpu_multiply_all(struct pass *p, const struct matrix *m, const struct moed_row_view *x,
                      float *out, size_t ld);

#endif
