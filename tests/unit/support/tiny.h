/* tiny: GGUF models made by tests: a qwen3moe layer with weights that a function chooses. */
#ifndef MOED_TEST_TINY_H
#define MOED_TEST_TINY_H

#include <stdint.h>

struct tiny_spec {
    const char *arch; /* NULL: qwen3moe */
    uint32_t layers, hidden, width, experts, used;
    const char *type; /* of the expert tensors; NULL: F32 */
    uint64_t seed;    /* of random weights, where `value` is NULL */
    /* The weight of `tensor` ("ffn_gate_exps" …) at element `i` of its data, F32 only. */
    float (*value)(const char *tensor, uint64_t i, void *context);
    void *context;
};

/* Writes the model under a temporary name into path[256]; exits the test program on failure. */
void tiny_write(const struct tiny_spec *spec, char path[256]);

#endif
