/* plan.h: the distinct requests of a run, and the answers that they have to get. */
#ifndef MOED_LOAD_PLAN_H
#define MOED_LOAD_PLAN_H

#include "src/client/client.h"
#include "src/load/load.h"

struct planned {
    char *bytes; /* headers and body */
    size_t size;
    uint32_t layer, hidden, rows;
    enum moed_dtype dtype;
    enum moed_load_format format;
    char *expected; /* body of the answer that it got alone; NULL: not to be compared */
    size_t expected_size;
};

struct plan {
    const struct moed_load_options *options;
    struct moed_url url;
    struct moed_trust *trust; /* NULL unless https */
    struct moed_address address;
    char model[256];           /* its name */
    uint32_t *layers, *hidden; /* [n_layers]: block numbers, widths */
    uint32_t n_layers;
    struct planned *requests; /* [n] */
    uint32_t n;
};

/* Asks the server what it serves, makes the requests, and asks each of them once, alone. The codes
 * of moed_load_run. */
int plan_init(struct plan *plan, const struct moed_load_options *options, struct moed_error *err);
void plan_fini(struct plan *plan);
/* "layer 3, 4 rows of f32, raw", for messages. */
const char *planned_describe(const struct planned *planned, char out[96]);

/* ---- served.c ---- */
/* Fills in layers, widths and the model's name: from GET /v1/moe/info or from the options. */
int plan_find_layers(struct plan *plan, struct moed_error *err);

/* ---- body.c ---- */
/* Writes the bytes of a request, whose other fields are set, around rows[rows, hidden].
 * MOED_E_NO_MEMORY. */
int plan_write_forward(const struct plan *plan, const float *rows, struct planned *request,
                       struct moed_error *err);
/* Those of GET `path`. */
int plan_write_get(const struct plan *plan, const char *path, struct planned *request,
                   struct moed_error *err);

#endif
