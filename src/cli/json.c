/* json: strings as JSON. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/base.h"

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Bytes that come before a control character or the end. */
static size_t run_length(const char *text)
{
    size_t n = 0;

    while (text[n] != '\0' && !is_control(text[n]))
        n++;
    return n;
}

void json_string(FILE *out, const char *text)
{
    char *clean = malloc(3 * strlen(text) + 1);

    fputc('"', out);
    while (clean != NULL && *text != '\0') {
        const size_t run = run_length(text);

        moed_clean_text(clean, text, run);
        for (const char *at = clean; *at; at++)
            fprintf(out, *at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
        text += run;
        if (*text != '\0')
            fprintf(out, "\\u%04x", (unsigned char)*text++);
    }
    fputc('"', out);
    free(clean);
}
