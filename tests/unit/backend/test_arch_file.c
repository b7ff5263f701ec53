/* Architectures from outside, to the end: each golden model under a name that the table does not
 * have, with a file that says what it is like, still gives the golden answer. */
#include "../support/golden.h"

#include "src/model/model.h"
#include <moed/moed.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tally {
    int passed, failed;
};

static void fail(struct tally *t, const struct golden_case *c, const char *what)
{
    printf("FAILED %s: %s\n", c->name, what);
    t->failed++;
}

static void *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rbe");
    char *data;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        exit(1);
    *size = (size_t)ftell(file);
    rewind(file);
    data = malloc(*size);
    if (data == NULL || fread(data, 1, *size, file) != *size)
        exit(1);
    fclose(file);
    return data;
}

static void write_file(char path[64], const char *kind, const void *data, size_t size)
{
    FILE *file;
    int fd;

    snprintf(path, 64, "/tmp/moed-%s-XXXXXX", kind);
    fd = mkstemp(path);
    file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        exit(1);
}

static void read_arch(const char *path, char arch[64])
{
    struct moed_model *model;

    if (moed_model_open(path, NULL, &model, NULL) != 0)
        exit(1);
    snprintf(arch, 64, "%s", model->arch);
    moed_model_close(model);
}

/* The same file with its architecture's name turned round, which leaves its length. */
static void rename_arch(const struct golden_case *c, const char *arch, const char *name,
                        char path[64])
{
    const size_t length = strlen(arch);
    size_t size;
    char *data = read_file(c->model, &size);

    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(data + i, arch, length) == 0)
            memcpy(data + i, name, length);
    write_file(path, "renamed", data, size);
    free(data);
}

static void check_answer(struct tally *t, const struct golden_case *c, const char *model,
                         const char *arch_file)
{
    const struct moed_options options = {
        .size = sizeof options, .backend = "reference", .arch_file = arch_file};
    const size_t n = (size_t)c->rows * c->hidden;
    float *output = malloc(n * sizeof *output);
    const struct moed_call call = {
        .size = sizeof call, .layer = c->layer, .rows = c->rows, .hidden = c->x, .output = output};
    struct moed_error err = {0};
    struct moed *m = NULL;

    if (moed_open(model, NULL, &m, &err) != MOED_E_UNSUPPORTED)
        fail(t, c, "was known without the file");
    else if (moed_open(model, &options, &m, &err) != 0 || moed_run(m, &call, &err) != 0)
        fail(t, c, err.message);
    else if (!(golden_error(output, c->output, n) <= golden_tolerance(c, "reference")))
        fail(t, c, "another answer");
    else
        t->passed++;
    moed_close(m);
    free(output);
}

static void check(const struct golden_case *c, void *context)
{
    char arch[64], name[64] = "", text[256], model[64], side[64];
    size_t length;

    if (strncmp(c->name, "arch/", 5) != 0)
        return;
    read_arch(c->model, arch);
    length = strlen(arch);
    for (size_t i = 0; i < length; i++)
        name[i] = arch[length - 1 - i];
    rename_arch(c, arch, name, model);
    snprintf(text, sizeof text, "name = %s\nlike = %s\n", name, arch);
    write_file(side, "side", text, strlen(text));
    check_answer(context, c, model, side);
    unlink(side);
    if (strcmp(arch, "olmoe") == 0) { /* without a row to start from */
        snprintf(text, sizeof text, "name = %s\nwidth_key = feed_forward_length\n", name);
        write_file(side, "side", text, strlen(text));
        check_answer(context, c, model, side);
        unlink(side);
    }
    unlink(model);
}

int main(void)
{
    struct tally t = {0};

    golden_for_each(MOED_GOLDEN_DIR, check, &t);
    if (t.passed < 2)
        t.failed++;
    printf("%d passed, %d failed\n", t.passed, t.failed);
    return t.failed > 0;
}
