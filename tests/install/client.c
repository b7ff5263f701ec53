/* client.c: a program of somebody else's against the installed libmoed-client: asks the lane that
 * its argument names, with copies and without, and compares the answers. */
#include <moed/client.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3 };

static int fail(const char *what, const struct moed_error *err)
{
    fprintf(stderr, "%s: %d %s: %s\n", what, err->code, moed_error_name(err->code), err->message);
    return 1;
}

static int ask(struct moed_client *client, const struct moed_client_layer *layer)
{
    const size_t n = (size_t)ROWS * layer->hidden;
    float *in = calloc(n, sizeof *in), *out = calloc(n, sizeof *out);
    struct moed_call copied = {.layer = layer->layer, .rows = ROWS, .hidden = in, .output = out};
    struct moed_call placed = {.layer = layer->layer, .rows = ROWS};
    struct moed_error err;
    void *rows;

    if (in == NULL || out == NULL)
        return 1;
    for (size_t i = 0; i < n; i++)
        in[i] = (float)(i % 7) - 3;
    if (moed_client_forward(client, &copied, &err) != 0)
        return fail("forward", &err);
    if (moed_client_place(client, &placed, MOED_WANT_OUTPUT | MOED_WANT_LOGITS, &rows, &err) != 0)
        return fail("place", &err);
    for (int i = 0; i < 2; i++) { /* the slot may be used again */
        memcpy(rows, in, n * sizeof *in);
        memset(placed.output, 0, n * sizeof *out);
        if (moed_client_forward(client, &placed, &err) != 0)
            return fail("forward in place", &err);
        if (memcmp(placed.output, out, n * sizeof *out) != 0)
            return fprintf(stderr, "the answer in place differs\n"), 1;
    }
    moed_client_release(client, &placed);
    free(in);
    free(out);
    return 0;
}

int main(int argc, char **argv)
{
    const struct moed_client_options options = {.size = sizeof options, .slots = 2};
    const struct moed_client_layer *layers;
    struct moed_client *client;
    struct moed_error err;
    uint32_t n;

    if (argc != 2)
        return 2;
    if (moed_client_open("lane:/nobody/there", NULL, &client, &err) != MOED_E_IO)
        return fail("a lane that is not there", &err);
    if (moed_client_open(argv[1], &options, &client, &err) != 0)
        return fail(argv[1], &err);
    layers = moed_client_layers(client, &n);
    for (uint32_t round = 0; round < 4; round++) /* more often than there are slots */
        for (uint32_t i = 0; i < n; i++)
            if (ask(client, &layers[i]) != 0)
                return 1;
    moed_client_close(client);
    return 0;
}
