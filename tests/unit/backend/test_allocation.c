/* A warm forward pass allocates nothing: malloc and its kin are interposed and counted. */
#include "../support/tiny.h"

#include <moed/backend.h>

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_bool counting;
static atomic_int allocations;

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static void count(void)
{
    if (atomic_load(&counting))
        atomic_fetch_add(&allocations, 1);
}

/* dlsym itself may call calloc before it has been found: it is served from here. */
static char early[4096];
static size_t early_used;

void *malloc(size_t size)
{
    static void *(*real)(size_t);

    count();
    if (!real)
        *(void **)&real = next("malloc");
    return real(size);
}

void *calloc(size_t n, size_t size)
{
    static void *(*real)(size_t, size_t);
    static bool looking;

    count();
    if (!real && looking) {
        void *p = early + early_used;

        early_used += (n * size + 15) & ~(size_t)15;
        return early_used <= sizeof early ? p : NULL;
    }
    if (!real) {
        looking = true;
        *(void **)&real = next("calloc");
    }
    return real(n, size);
}

void *realloc(void *p, size_t size)
{
    static void *(*real)(void *, size_t);

    count();
    if (!real)
        *(void **)&real = next("realloc");
    return real(p, size);
}

int main(void)
{
    enum { rows = 40, hidden = 64, k = 2 };
    const struct tiny_spec spec = {.layers = 1,
                                   .hidden = hidden,
                                   .width = 96,
                                   .experts = 8,
                                   .used = k,
                                   .seed = 3,
                                   .type = "Q4_0"};
    const struct moed_backend_options options = {.name = "cpu", .threads = 2, .max_rows = rows};
    static float x[rows * hidden], y[rows * hidden], weights[rows * k];
    static int32_t ids[rows * k];
    static uint8_t not_finite[rows];
    struct moed_batch_rows batch = {.slots = k,
                                    .hidden = x,
                                    .output = y,
                                    .ids = ids,
                                    .weights = weights,
                                    .not_finite = not_finite};
    struct moed_workspace *workspace;
    struct moed_backend *backend;
    struct moed_model *model;
    struct moed_error err = {0};
    char path[256];
    int status;

    tiny_write(&spec, path);
    if (moed_model_open(path, NULL, &model, &err) != 0 ||
        moed_backend_open(model, &options, &backend, &err) != 0 ||
        moed_workspace_create(backend, &workspace, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    batch.rows = rows;
    status = moed_forward(workspace, 0, &batch, &err); /* warms the thread team */
    atomic_store(&counting, true);
    for (uint32_t n = 1; n <= rows && status == 0; n++) {
        batch.rows = n;
        status = moed_forward(workspace, 0, &batch, &err);
    }
    atomic_store(&counting, false);
    moed_workspace_destroy(workspace);
    moed_backend_close(backend);
    moed_model_close(model);
    unlink(path);
    printf("%d allocations in %d warm forward passes\n", atomic_load(&allocations), rows);
    return status != 0 || atomic_load(&allocations) != 0;
}
