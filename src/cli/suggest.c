/* suggest: see suggest.h. */
#include "suggest.h"

#include <ctype.h>
#include <string.h>

#define LONGEST 40 /* letters that are compared */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* The optimal string alignment distance: Levenshtein's with neighbours exchanged. */
uint32_t suggest_distance(const char *a, const char *b)
{
    const uint32_t n = (uint32_t)strnlen(a, LONGEST), m = (uint32_t)strnlen(b, LONGEST);
    uint32_t d[LONGEST + 1][LONGEST + 1];

    for (uint32_t i = 0; i <= n; i++)
        d[i][0] = i;
    for (uint32_t j = 0; j <= m; j++)
        d[0][j] = j;
    for (uint32_t i = 1; i <= n; i++) {
        for (uint32_t j = 1; j <= m; j++) {
            d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
                            d[i - 1][j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[n][m];
}

bool suggest_is_slip(const char *word, const char *meant)
{
    const size_t length = strlen(word);

    return suggest_distance(word, meant) <= (length < 4 ? 1U : length < 9 ? 2U : 3U);
}

/* What llama.cpp, vLLM and others call it. `option`: which of ours does it, and with what; NULL: no
 * option of a command that takes a model. */
static const struct {
    const char *words, *option, *value;
} known[] = {
    {" -m --model --model-path ", NULL, NULL},
    {" --host --port --bind --address -p ", "listen", " HOST:PORT"},
    {" -t -j --n-threads --num-threads -tb ", "threads", " N"},
    {" -ngl --n-gpu-layers --gpu-layers --gpu ", "backend", " cuda"},
    {" -dev --device --gpus --main-gpu -mg ", "devices", " 0,1"},
    {" -np --parallel ", "workers", " N"},
    {" -b --batch-size -ub --ubatch-size ", "max-batch-rows", " N"},
    {" --mmap --no-mmap ", "load", " resident|mmap"},
    {" -a --alias --served-model-name ", "name", " NAME"},
    {" --api-key ", "api-key-file", " FILE"},
    {" --ssl-cert-file --ssl-certfile ", "tls-cert", " FILE"},
    {" --ssl-key-file --ssl-keyfile ", "tls-key", " FILE"},
    {" -v --verbose -lv --verbosity ", "log-level", " debug"},
    {" -o --output --out ", NULL, NULL},
    {" -f -y --overwrite ", "force", ""},
};

static bool has_option(const struct option_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->options[i].name, name) == 0)
            return true;
    return false;
}

static bool lists(const char *words, const char *word, size_t size)
{
    for (const char *at = words; (at = strchr(at, ' ')) && at[1] != '\0'; at++)
        if (strncmp(at + 1, word, size) == 0 && at[1 + size] == ' ')
            return true;
    return false;
}

/* The option with the nearest name, or NULL; "--help" is one. */
static const char *nearest(const struct option_set *set, const char *name)
{
    const char *best = "help";

    for (size_t i = 0; i < set->n; i++)
        if (suggest_distance(name, set->options[i].name) < suggest_distance(name, best))
            best = set->options[i].name;
    return suggest_is_slip(name, best) ? best : NULL;
}

void suggest_option(const struct option_set *set, const char *word, char *out, size_t size)
{
    const size_t length = strcspn(word, "=");
    char name[LONGEST + 1];
    const char *meant;

    out[0] = '\0';
    for (size_t i = 0; i < MOED_ARRAY_LEN(known); i++) {
        if (!lists(known[i].words, word, length))
            continue;
        if (known[i].option == NULL)
            snprintf(out, size, ": the file is an operand, and stands without a flag before it");
        else if (has_option(set, known[i].option))
            snprintf(out, size, ": did you mean --%s%s?", known[i].option, known[i].value);
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)(length - strspn(word, "-")),
             word + strspn(word, "-"));
    meant = nearest(set, name);
    if (meant != NULL)
        snprintf(out, size, ": did you mean --%s?", meant);
}
