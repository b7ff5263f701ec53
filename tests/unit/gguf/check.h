/* check: cmocka with what it needs included first, and messages checked word by word. */
#ifndef MOED_TEST_GGUF_CHECK_H
#define MOED_TEST_GGUF_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MAX_WORDS 5

/* Fails, showing the message, unless each of the words (up to the first NULL) is in it. */
static inline void check_words(const char *message, const char *const words[MAX_WORDS])
{
    for (size_t i = 0; i < MAX_WORDS && words[i] != NULL; i++)
        if (strstr(message, words[i]) == NULL)
            fail_msg("no \"%s\" in: %s", words[i], message);
}

#endif
