/* keys.c: keys are compared by their sha256, each with every one of the list, so that neither a
 * common beginning nor the place in the list shows in the time. */
#include "keys.h"

#include "src/base/file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct moed_file_rule rule = {"--api-key-file", 1 << 20, .secret = true};

static struct key_digest digest(const char *key, size_t size)
{
    struct moed_sha256 sha256;
    struct key_digest out;

    moed_sha256_init(&sha256);
    moed_sha256_update(&sha256, key, size);
    moed_sha256_final(&sha256, out.hex);
    explicit_bzero(&sha256, sizeof sha256);
    return out;
}

static bool same(const struct key_digest *a, const struct key_digest *b)
{
    unsigned difference = 0;

    for (size_t i = 0; i < sizeof a->hex; i++)
        difference |= (unsigned)(a->hex[i] ^ b->hex[i]);
    return difference == 0;
}

static bool is_plain(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return true;
}

static int add(struct keys *keys, const char *line, size_t size, struct moed_error *err)
{
    struct key_digest *grown;

    if (size < KEY_MIN || size > KEY_MAX)
        return moed_fail(err, MOED_E_USAGE, "a key of %zu characters, expected %d to %d", size,
                         KEY_MIN, KEY_MAX);
    if (!is_plain(line, size))
        return moed_fail(err, MOED_E_USAGE,
                         "a key with a space or another character that a header cannot carry, "
                         "expected printable ASCII");
    grown = realloc(keys->at, (keys->n + 1) * sizeof *grown);
    if (grown == NULL)
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for %zu keys", keys->n + 1);
    keys->at = grown;
    keys->at[keys->n++] = digest(line, size);
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* A line without the white space around it. */
static const char *trim(const char *line, size_t *size)
{
    while (*size > 0 && is_blank(*line)) {
        line++;
        --*size;
    }
    while (*size > 0 && is_blank(line[*size - 1]))
        --*size;
    return line;
}

static int parse(const struct moed_text *file, struct keys *out, struct moed_error *err)
{
    const char *at = file->text, *end = file->text + file->size;
    int rc = 0;

    for (size_t number = 1; at < end && rc == 0; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        size_t size = (size_t)(stop - at);
        const char *line = trim(at, &size);

        if (size > 0 && *line != '#' && (rc = add(out, line, size, err)) != 0)
            moed_error_prefix(err, "line %zu", number);
        at = stop + 1;
    }
    if (rc == 0 && out->n == 0)
        rc = moed_fail(err, MOED_E_USAGE, "found no key, expected one a line");
    return rc;
}

int keys_read(const char *path, struct keys *out, struct moed_error *err)
{
    struct keys found = {0};
    struct moed_text file;
    int rc = moed_file_read(&rule, path, &file, err);

    if (rc != 0)
        return rc;
    rc = parse(&file, &found, err);
    moed_text_wipe(&file);
    if (rc != 0) {
        moed_error_prefix(err, "%s %s", rule.flag, path);
        keys_fini(&found);
        return rc;
    }
    *out = found;
    return 0;
}

void keys_fini(struct keys *keys)
{
    free(keys->at);
    *keys = (struct keys){0};
}

static bool holds(const struct keys *keys, const char *key)
{
    struct key_digest shown = digest(key, strlen(key));
    unsigned found = 0;

    for (size_t i = 0; i < keys->n; i++)
        found |= same(&shown, &keys->at[i]);
    return found != 0;
}

/* What follows the scheme (RFC 6750), or NULL. */
static const char *bearer(const char *authorization)
{
    static const char scheme[] = "Bearer ";

    if (authorization == NULL || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return NULL;
    authorization += sizeof scheme - 1;
    return authorization + strspn(authorization, " ");
}

bool keys_allow(const struct keys *keys, const char *authorization, const char *plain)
{
    const char *token = bearer(authorization);

    return (token != NULL && holds(keys, token)) || (plain != NULL && holds(keys, plain));
}
