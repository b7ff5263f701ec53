/* malformed: a file with one thing wrong, and what opening it must say. */
#ifndef MOED_TEST_GGUF_MALFORMED_H
#define MOED_TEST_GGUF_MALFORMED_H

#include "build.h"
#include "check.h"

struct malformed {
    const char *name;
    void (*build)(struct build *b);
    int code;
    const char *words[MAX_WORDS]; /* all must be in the message */
};

/* Runs each case as a cmocka test of its own name; returns the number that failed. */
int run_malformed(const char *group, const struct malformed *cases, size_t n);

#endif
