/* bench_rows: what rounding activation rows costs: the relative error of one product and of a whole
 * SwiGLU expert, whose down projection rounds its inputs once more, for int8 under one scale for 32
 * inputs, for 16, and for 16 where outliers are taken out (kernels/cpu/rows.h).
 * The weights are exact, so that the rows' rounding is all there is. Usage: bench_rows */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/base/base.h"

#include "kernels/cpu/cpu.h"
#include "kernels/random.h"

enum { H = 2048, F = 768, ROWS = 8 };

/* The numbers that a row's rounded form stands for. */
typedef void round_fn(const float *x, int n, double *out);

static void round_under_scales(const float *x, int n, int run, double *out)
{
    for (int first = 0; first < n; first += run) {
        float largest = 0.0F;

        for (int i = first; i < first + run; i++)
            largest = fmaxf(largest, fabsf(x[i]));
        for (int i = first; i < first + run; i++)
            out[i] = largest > 0 ? rint(x[i] * 127.0 / largest) * largest / 127.0 : 0.0;
    }
}

static void round_32(const float *x, int n, double *out)
{
    round_under_scales(x, n, 32, out);
}

static void round_16(const float *x, int n, double *out)
{
    round_under_scales(x, n, 16, out);
}

/* What the kernels do. */
static void round_as_kernels_do(const float *x, int n, double *out)
{
    struct moed_q8 blocks[H / 32];

    moed_isa_best()->prepare(MOED_ROWS_Q8, x, (uint32_t)n, blocks);
    for (int i = 0; i < n; i++) {
        const struct moed_q8 *b = &blocks[i / 32];
        const int half = i % 32 / 16;

        out[i] = (double)b->scale[half] * b->q[i % 32];
        if (b->outlier[half] != 0.0F && b->outlier_at[half] == i % 32)
            out[i] = b->outlier[half];
    }
}

struct expert {
    float *gate, *up, *down; /* [F, H] [F, H] [H, F] */
};

static float *gaussian(struct moed_random *random, size_t n)
{
    float *x = moed_calloc(n, sizeof(*x));

    if (x == NULL) {
        fprintf(stderr, "bench_rows: no memory\n");
        exit(1);
    }
    for (size_t i = 0; i < n; i++)
        x[i] = moed_random_gaussian(random);
    return x;
}

static void multiply(const float *weights, int rows, int cols, const double *x, double *out)
{
    for (int r = 0; r < rows; r++) {
        out[r] = 0.0;
        for (int c = 0; c < cols; c++)
            out[r] += (double)weights[(size_t)r * (size_t)cols + (size_t)c] * x[c];
    }
}

struct answers {
    double product[F], layer[H];
};

/* `form` NULL: rows are not rounded. */
static void compute(const struct expert *e, const float *x, round_fn *form, struct answers *out)
{
    double input[H], up[F], act[F];
    float narrow[F];

    for (int i = 0; i < H; i++)
        input[i] = x[i];
    if (form != NULL)
        form(x, H, input);
    multiply(e->gate, F, H, input, out->product);
    multiply(e->up, F, H, input, up);
    for (int i = 0; i < F; i++) {
        const double gate = out->product[i] / sqrt(H); /* as if weights had that deviation */

        act[i] = gate / (1.0 + exp(-gate)) * up[i];
        narrow[i] = (float)act[i];
    }
    if (form != NULL)
        form(narrow, F, act);
    multiply(e->down, H, F, act, out->layer);
}

struct error {
    double difference, size;
};

static void add_error(struct error *e, const double *a, const double *b, int n)
{
    for (int i = 0; i < n; i++) {
        e->difference += (a[i] - b[i]) * (a[i] - b[i]);
        e->size += b[i] * b[i];
    }
}

/* One channel in 100, the same in all rows, is `larger` times as large. */
static void report(const struct expert *e, const char *rows, float larger)
{
    static const struct {
        const char *name;
        round_fn *form;
    } forms[] = {{"scale for 32", round_32},
                 {"scale for 16", round_16},
                 {"scale for 16, outliers taken out", round_as_kernels_do}};
    struct error product[MOED_ARRAY_LEN(forms)] = {0}, layer[MOED_ARRAY_LEN(forms)] = {0};
    struct moed_random random;

    moed_random_seed(&random, 2);
    for (int t = 0; t < ROWS; t++) {
        float *x = gaussian(&random, H);
        struct answers exact, rounded;

        for (int i = 50; i < H; i += 100)
            x[i] *= larger;
        compute(e, x, NULL, &exact);
        for (size_t k = 0; k < MOED_ARRAY_LEN(forms); k++) {
            compute(e, x, forms[k].form, &rounded);
            add_error(&product[k], rounded.product, exact.product, F);
            add_error(&layer[k], rounded.layer, exact.layer, H);
        }
        free(x);
    }
    for (size_t k = 0; k < MOED_ARRAY_LEN(forms); k++)
        printf("| %s | %s | %.2e | %.2e |\n", rows, forms[k].name,
               sqrt(product[k].difference / product[k].size),
               sqrt(layer[k].difference / layer[k].size));
}

int main(void)
{
    struct moed_random random;
    struct expert e;

    moed_random_seed(&random, 1);
    e.gate = gaussian(&random, (size_t)F * H);
    e.up = gaussian(&random, (size_t)F * H);
    e.down = gaussian(&random, (size_t)F * H);
    printf("| rows | int8 | one product | a SwiGLU expert |\n|---|---|---|---|\n");
    report(&e, "Gaussian", 1.0F);
    report(&e, "1 % of channels 8 times larger", 8.0F);
    report(&e, "1 % of channels 100 times larger", 100.0F);
    free(e.gate);
    free(e.up);
    free(e.down);
    return 0;
}
