/* A program that knows nothing of moed but its installed header: runs one row of the first layer
 * of the model that its argument names, routed by the server's rule and then by the answer. */
#include <moed/moed.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct moed_layer_info info = {.size = sizeof info};
    struct moed_error err;
    struct moed *m;

    if (argc != 2 || moed_open(argv[1], NULL, &m, &err) != 0) {
        fprintf(stderr, "%s\n", argc == 2 ? err.message : "usage: embed MODEL.gguf");
        return 1;
    }
    if (moed_layer_at(m, 0, &info) != 0 || strcmp(moed_version(), MOED_VERSION) != 0)
        return 1;

    float *hidden = calloc(info.hidden, sizeof *hidden);
    float *output = calloc(info.hidden, sizeof *output);
    float *again = calloc(info.hidden, sizeof *again);
    struct moed_routing routing = {.size = sizeof routing,
                                   .slots = info.used,
                                   .ids = calloc(info.used, sizeof(int32_t)),
                                   .weights = calloc(info.used, sizeof(float))};
    struct moed_timing timing = {.size = sizeof timing};
    struct moed_call call = {.size = sizeof call,
                             .layer = info.layer,
                             .rows = 1,
                             .hidden = hidden,
                             .output = output,
                             .routing = &routing,
                             .timing = &timing};
    double difference = 0.0;
    double size = 0.0;

    for (uint32_t i = 0; i < info.hidden; i++)
        hidden[i] = sinf((float)i);
    if (moed_run(m, &call, &err) != 0)
        goto failed;
    routing.supplied = 1;
    call.output = again;
    if (moed_run(m, &call, &err) != 0)
        goto failed;
    for (uint32_t i = 0; i < info.hidden; i++) {
        difference += fabs((double)output[i] - again[i]);
        size += fabs((double)output[i]);
    }
    printf("moed %s: layer %u, %u of %u experts, first expert %d\n", moed_version(), info.layer,
           info.used, info.experts, routing.ids[0]);
    moed_close(m);
    return size > 0.0 && difference == 0.0 && timing.steps == 1 &&
                   timing.total_ns >= timing.compute_ns
               ? 0
               : 1;

failed:
    fprintf(stderr, "%s\n", err.message);
    return 1;
}
