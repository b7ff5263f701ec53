/* recipe: a model to be written by a test: keys and tensors that can be changed one by one. */
#ifndef MOED_TEST_RECIPE_H
#define MOED_TEST_RECIPE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "src/model/model.h"

#define RECIPE_MAX 64

enum recipe_kind { RECIPE_U32, RECIPE_F32, RECIPE_BOOL };

struct recipe_key {
    char name[96];
    enum recipe_kind kind;
    double value;
};

struct recipe_tensor {
    char name[96];
    const char *type;
    uint32_t n_dims;
    uint64_t dims[4];
};

struct recipe {
    const char *arch;
    uint64_t seed; /* of random weights; 0: element i of F32 and F16 tensors is i mod 1000 */
    struct recipe_key keys[RECIPE_MAX];
    struct recipe_tensor tensors[RECIPE_MAX];
    size_t n_keys, n_tensors;
};

/* Sizes that every recipe starts with. */
#define RECIPE_H ((uint64_t)32)
#define RECIPE_F ((uint64_t)64)
#define RECIPE_E ((uint64_t)8)
#define RECIPE_K ((uint64_t)2)

/* One block, blk.0, of gated experts with router and ffn_norm, and the keys of any architecture. */
void recipe_init(struct recipe *r, const char *arch);
/* Keys without "ARCH."; set or changed. */
void recipe_key(struct recipe *r, const char *key, enum recipe_kind kind, double value);
void recipe_drop_key(struct recipe *r, const char *key);
/* Tensors with their whole name; added or changed. A dimension of 0 ends the list. */
void recipe_tensor(struct recipe *r, const char *name, const char *type, uint64_t d0, uint64_t d1,
                   uint64_t d2);
void recipe_drop(struct recipe *r, const char *name);
/* gate, up and down of `count` experts with the suffix "_exps" or "_shexp" in block `block`. */
void recipe_bank(struct recipe *r, unsigned block, const char *suffix, uint64_t width,
                 uint64_t count);

/* Writes it to a new file, whose name goes into path[64]. */
void recipe_write(const struct recipe *r, char path[64]);
/* Writes and opens it. */
int recipe_open(const struct recipe *r, const char *layers, struct moed_model **out,
                struct moed_error *err);
/* Opens it, fails the test with the message if it cannot. */
struct moed_model *recipe_must_open(const struct recipe *r);
/* Fails the test unless opening fails with `code` and a message that has all the words. */
void recipe_must_fail(const struct recipe *r, int code, const char *const words[4]);

#endif
