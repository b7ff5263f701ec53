/* cpu: furniture of the CPU backend. A forward call is cut into passes of at most `pass_rows`
 * rows; a pass runs its phases one after the other, and each shares its loop out to the team. */
#ifndef MOED_BACKEND_CPU_H
#define MOED_BACKEND_CPU_H

#include "src/moe/moe.h"

#include "kernels/cpu/cpu.h"
#include "src/backend/resident.h"
#include "src/backend/team.h"
#include "src/backend/vtable.h"

struct cpu_backend {
    struct moed_backend base;
    const struct moed_isa *isa;
    uint64_t solo_work; /* of moed_backend_options */
    struct resident resident;
};

/* Output columns of a product: two panels, and one block of prepared inputs of the next product. */
#define BLOCK_COLS 32
/* Blocks of columns of a task at most: its rows are gathered once, and its weights are one stream.
 * Fewer where that would leave threads idle. */
#define TASK_BLOCKS 8
/* Rows that are gathered at a time: at most so many, and so many bytes unless a row is very long,
 * since they are to stay in a core's cache while the task's weights pass. */
#define BLOCK_ROWS   128
#define GATHER_BYTES (512 * 1024)
#define GATHER_LEAST 16
/* Rows of a pass: enough to read each expert once for many rows; bounds the workspace. */
#define MAX_PASS_ROWS 1024

struct gathered { /* rows that a task multiplies by many blocks of a matrix */
    uint8_t *data;
    struct moed_outlier *outliers;
};

struct cpu_scratch {  /* of one thread */
    float *decoded;   /* weight rows that are not packed: MOED_TILE_ROWS × the most columns */
    float *gate, *up; /* products of one block: BLOCK_ROWS × BLOCK_COLS */
    float *sum;       /* a task's output columns: pass rows × TASK_BLOCKS · BLOCK_COLS */
    struct gathered of_up,
        of_gate;  /* rows of up, or of a matrix for all; of gate, where it takes others */
    float *route; /* 2 E */
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
    uint64_t pairs; /* token–expert pairs, routed ones, of a pass that fit, and as many of chunks */
    struct moed_plan plan;
    struct row_set x, latent;      /* [pass, H] and [pass, L]: storage of prepared forms */
    float *normed;                 /* [pass, H] */
    float *logits;                 /* [pass, E] */
    float *latent_in, *latent_sum; /* [pass, L] */
    uint8_t *act; /* a row a token–expert pair, prepared for the down projection */
    struct moed_outlier *act_outliers; /* of a part's rows, from its first pair's place */
    uint32_t *n_outliers;              /* of the part that begins with this pair */
    size_t outliers_each;              /* places a pair */
    float *shared_weight;              /* [pass] */
    uint8_t *skip, *shared;            /* [pass] */
    uint8_t *seen;                     /* [2E + 1] planned experts of the whole call */
    struct cpu_scratch *scratch;       /* one a thread */
    struct team *team;                 /* NULL: one thread */
};

struct pass {
    struct cpu_workspace *ws;
    const struct moed_isa *isa;
    const struct resident_layer *layer;
    struct team *team; /* NULL: the caller alone */
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
    return p->flags != NULL ? p->flags[row] : 0;
}

/* Scratch of the calling thread. */
static inline struct cpu_scratch *scratch_of(const struct pass *p)
{
    return &p->ws->scratch[team_rank()];
}

/* A phase's loop over the rows of a pass: each(p, row). */
void cpu_for_rows(struct pass *p, void (*each)(struct pass *p, uint32_t row));

/* ---- phases, in order ---- */
void cpu_norm_rows(struct pass *p);   /* x */
void cpu_logits(struct pass *p);      /* logits */
void cpu_topk(struct pass *p);        /* ids, weights, skip, shared */
void cpu_plan(struct pass *p);        /* plan */
void cpu_prepare(struct pass *p);     /* x and latent in the forms that gate and up want */
void cpu_gate_up(struct pass *p);     /* act */
void cpu_index(struct pass *p);       /* act_outliers */
void cpu_down(struct pass *p);        /* output */
void cpu_finish_rows(struct pass *p); /* post norm, residual */

/* ---- products (cpu_product.c) ---- */

/* What form of rows a matrix is multiplied with. */
static inline enum moed_rows_kind rows_kind(const struct matrix *m)
{
    return m->product != NULL ? m->product->rows : MOED_ROWS_F32;
}

static inline const void *row_of(const struct row_set *set, enum moed_rows_kind kind, size_t row)
{
    if (kind == MOED_ROWS_F32)
        return set->f32 + row * set->width;
    return set->prepared[kind] + row * moed_rows_bytes(kind, set->width);
}

/* Rows that are multiplied by one or more blocks of a matrix. */
struct inputs {
    struct moed_gather gathered;
    const void *rows[BLOCK_ROWS]; /* of the matrix's kind, where it is not packed */
};

/* How many rows of a matrix's inputs are taken at a time, 1 to BLOCK_ROWS. */
uint32_t cpu_rows_at_once(const struct matrix *m);
/* How a matrix takes its rows; one by one where it is not packed. */
struct moed_gather_shape cpu_shape(const struct matrix *m);
/* Storage for so many rows of up to `cols` inputs. */
bool cpu_gathered_init(struct gathered *g, uint32_t cols);
void cpu_gathered_fini(struct gathered *g);
/* in->rows[0] to [n − 1] as inputs of a matrix: gathered, if it is packed. */
void cpu_gather(const struct matrix *m, uint32_t n, struct gathered *g, struct inputs *in);

/* A block of BLOCK_COLS columns of an expert's matrix, or those that are left; col is a multiple of
 * BLOCK_COLS. */
struct block {
    const struct matrix *matrix;
    uint32_t expert, col;
};

/* Into the cache, while the memory has nothing else to do. */
void cpu_prefetch(const void *from, size_t bytes);
void cpu_prefetch_block(const struct block *block);

/* tile[i × BLOCK_COLS + c] = row i · column c of the block, columns rounded up to a panel. Returns
 * how many columns count. Meanwhile `next` is fetched, if there is one. By one thread. */
uint32_t cpu_product(const struct pass *p, const struct inputs *in, const struct block *block,
                     const struct block *next, float *tile);

/* out[i × ld + c] for all columns of a matrix that is not per expert and rows [0, rows) of a set.
 * Shared out to the team. */
void cpu_multiply_all(struct pass *p, const struct matrix *m, const struct row_set *set, float *out,
                      size_t ld);

#endif
