/* side: see side.h. The columns that a file may set are one table; a line is "name = value". */
#include "side.h"

#include "src/base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 65535

struct reader {
    const char *path;
    struct model_side *out;
    struct moed_error *err;
    const struct moed_gguf *gguf;
    const char *arch;
    uint32_t line;
};

struct entry { /* of a line */
    char *name, *value;
};

enum column_kind { COLUMN_TEXT, COLUMN_FLAG, COLUMN_NUMBER, COLUMN_WORD };

struct column {
    const char *name;
    enum column_kind kind;
    size_t offset;     /* in struct model_arch */
    const char *words; /* of a WORD, in the order of its enum */
};

#define AT(field) offsetof(struct model_arch, field)

static const struct column columns[] = {
    {"score", COLUMN_WORD, AT(router.score), "softmax|sigmoid|identity|sqrt_softplus"},
    {"select", COLUMN_WORD, AT(router.select), "score|logits|sigmoid"},
    {"weight_from", COLUMN_WORD, AT(router.weight_from), "score|softmax_chosen"},
    {"group_score", COLUMN_WORD, AT(router.group_score), "top2_sum|max"},
    {"renorm", COLUMN_FLAG, AT(router.renorm), NULL},
    {"scale", COLUMN_NUMBER, AT(router.scale), NULL},
    {"weight_on_input", COLUMN_FLAG, AT(router.weight_on_input), NULL},
    {"refuses_routing", COLUMN_TEXT, AT(router.refuses_routing), NULL},
    {"refuses_routing_with", COLUMN_TEXT, AT(refuses_routing_with), NULL},
    {"activation", COLUMN_WORD, AT(experts.activation),
     "silu|gelu|relu|relu_sq|swiglu_oai|situ|gelu_ungated"},
    {"alpha", COLUMN_NUMBER, AT(experts.alpha), NULL},
    {"limit", COLUMN_NUMBER, AT(experts.limit), NULL},
    {"beta", COLUMN_NUMBER, AT(experts.beta), NULL},
    {"lambda", COLUMN_NUMBER, AT(experts.lambda), NULL},
    {"clamp", COLUMN_WORD, AT(experts.clamp), "none|post|pre"},
    {"clamp_limit", COLUMN_NUMBER, AT(experts.clamp_limit), NULL},
    {"norm_kind", COLUMN_WORD, AT(block.norm), "rms|layer|none"},
    {"norm", COLUMN_TEXT, AT(norm), NULL},
    {"post_norm", COLUMN_TEXT, AT(post_norm[0]), NULL},
    {"residual", COLUMN_WORD, AT(block.residual), "input|normed|caller"},
    {"residual_scale", COLUMN_NUMBER, AT(block.residual_scale), NULL},
    {"ffn_scale", COLUMN_NUMBER, AT(block.ffn_scale), NULL},
    {"refuses_norm", COLUMN_TEXT, AT(block.refuses_norm), NULL},
    {"refuses_residual", COLUMN_TEXT, AT(block.refuses_residual), NULL},
    {"width_key", COLUMN_TEXT, AT(width_key), NULL},
    {"select_bias", COLUMN_WORD, AT(select_bias), "never|optional|required"},
    {"shared", COLUMN_WORD, AT(shared), "none|sum|gated"},
    {"shared_suffix", COLUMN_TEXT, AT(shared_suffix), NULL},
    {"shared_up_fused", COLUMN_FLAG, AT(shared_up_fused), NULL},
    {"shared_ffn_scale", COLUMN_NUMBER, AT(shared_ffn_scale), NULL},
    {"softmax_groups_by_max", COLUMN_FLAG, AT(softmax_groups_by_max), NULL},
    {"chunks", COLUMN_FLAG, AT(chunks), NULL},
};

/* "key.NAME": which field a key of the GGUF file overrides; in the order of enum model_field. */
static const char fields[] =
    "|score|renorm|scale|clamp|shared_clamp|beta|lambda|residual_scale|chunk_scale";

static int complain(const struct reader *r, const char *what, const char *found,
                    const char *expected)
{
    return moed_fail(r->err, MOED_E_USAGE, "%s, line %u: %s: found \"%.60s\", expected %s", r->path,
                     r->line, what, found, expected);
}

/* The place of `word` in a list "a|b|c", or -1. */
static int place_in(const char *words, const char *word)
{
    const size_t length = strlen(word);

    for (int i = 0;; i++) {
        const size_t n = strcspn(words, "|");

        if (n == length && strncmp(words, word, n) == 0)
            return i;
        if (words[n] == '\0')
            return -1;
        words += n + 1;
    }
}

static int set_flag(struct reader *r, const struct entry *e, bool *field)
{
    const int place = place_in("false|true", e->value);

    if (place < 0)
        return complain(r, e->name, e->value, "true or false");
    *field = place == 1;
    return 0;
}

static int set_number(struct reader *r, const struct entry *e, float *field)
{
    char *end;
    const float value = strtof(e->value, &end);

    if (end == e->value || *end != '\0' || !isfinite(value))
        return complain(r, e->name, e->value, "a finite number");
    *field = value;
    return 0;
}

static int set_word(struct reader *r, const struct entry *e, const char *words, void *field)
{
    const int place = place_in(words, e->value);

    if (place < 0)
        return complain(r, e->name, e->value, words);
    memcpy(field, &place, sizeof place); /* every enum of the row is as large as an int */
    return 0;
}

static int set_column(struct reader *r, const struct column *column, const struct entry *e)
{
    char *field = (char *)&r->out->row + column->offset;

    switch (column->kind) {
    case COLUMN_FLAG:
        return set_flag(r, e, (bool *)field);
    case COLUMN_NUMBER:
        return set_number(r, e, (float *)(void *)field);
    case COLUMN_WORD:
        return set_word(r, e, column->words, field);
    default: /* the text lives as long as the row */
        *(const char **)(void *)field = strcmp(e->value, "none") == 0 ? NULL : e->value;
        return 0;
    }
}

/* "key.scale = expert_weights_scale [required]": added to what the row has; later ones win. */
static int set_key(struct reader *r, const struct entry *e)
{
    const int field = place_in(fields, e->name + strlen("key."));
    char *required = strchr(e->value, ' ');
    size_t i = 0;

    if (field <= MODEL_FIELD_END)
        return complain(r, "key", e->name + strlen("key."), fields + 1);
    if (required != NULL) {
        *required++ = '\0';
        required += strspn(required, " \t");
        if (strcmp(required, "required") != 0)
            return complain(r, e->name, required, "a key, and \"required\" or nothing after it");
    }
    while (i < MODEL_KEYS_MAX && r->out->row.keys[i].field != MODEL_FIELD_END)
        i++;
    if (i == MODEL_KEYS_MAX)
        return moed_fail(r->err, MOED_E_USAGE,
                         "%s, line %u: the row has %d keys, which is the most", r->path, r->line,
                         MODEL_KEYS_MAX);
    r->out->row.keys[i] =
        (struct model_override){(enum model_field)field, e->value, required != NULL};
    return 0;
}

/* What the row starts from; only before other columns, which it would undo. */
static int set_like(struct reader *r, const struct entry *e)
{
    const struct model_arch *row = model_arch_find(r->gguf, r->arch, e->value);
    const char *name = r->out->row.name;

    if (row == NULL)
        return complain(r, "like", e->value, "an architecture of moed's table");
    r->out->row = *row;
    r->out->row.name = name;
    return 0;
}

static int take(struct reader *r, const struct entry *e, uint32_t place)
{
    const bool is_name = strcmp(e->name, "name") == 0;

    if (is_name != (place == 0))
        return complain(r, "the first line", e->name, "\"name\", there and nowhere else");
    if (is_name) {
        r->out->row.name = e->value;
        return 0;
    }
    if (strcmp(e->name, "like") == 0)
        return place == 1 ? set_like(r, e) : complain(r, "like", e->name, "it right after name");
    if (strncmp(e->name, "key.", 4) == 0)
        return set_key(r, e);
    for (size_t i = 0; i < MOED_ARRAY_LEN(columns); i++) {
        if (strcmp(columns[i].name, e->name) == 0)
            return set_column(r, &columns[i], e);
    }
    return complain(r, "column", e->name, "one of src/model/README.md, or key.FIELD");
}

/* Cuts the blanks at both ends off. */
static char *trim(char *text)
{
    size_t n;

    text += strspn(text, " \t\r");
    n = strlen(text);
    while (n > 0 && strchr(" \t\r", text[n - 1]) != NULL)
        text[--n] = '\0';
    return text;
}

/* Splits "name = value" in place. */
static int split(const struct reader *r, char *line, struct entry *out)
{
    char *equals = strchr(line, '=');

    *out = (struct entry){line, line};
    if (equals == NULL)
        return complain(r, "the line", line, "\"name = value\"");
    *equals = '\0';
    out->name = trim(line);
    out->value = trim(equals + 1);
    if (*out->value == '\0' && strcmp(out->name, "shared_suffix") != 0) /* dense: no suffix */
        return complain(r, out->name, "", "a value");
    return 0;
}

static int read_lines(struct reader *r)
{
    uint32_t entries = 0;
    struct entry entry;
    char *rest = r->out->text;
    char *line;
    int rc = 0;

    while (rc == 0 && (line = strsep(&rest, "\n"))) {
        r->line++;
        line[strcspn(line, "#")] = '\0';
        line = trim(line);
        if (*line == '\0')
            continue;
        rc = split(r, line, &entry);
        if (rc == 0)
            rc = take(r, &entry, entries++);
    }
    if (rc == 0 && entries == 0)
        rc = complain(r, "the file", "", "\"name = …\"");
    return rc;
}

static int read_text(const char *path, char **out, struct moed_error *err)
{
    static const struct moed_file_rule rule = {"architecture file", TEXT_MAX, .secret = false};
    struct moed_text file;
    int rc = moed_file_read(&rule, path, &file, err);

    if (rc == 0 && strlen(file.text) != file.size) {
        moed_text_wipe(&file);
        rc = moed_fail(err, MOED_E_IO, "architecture file %s: found a NUL, expected text", path);
    }
    if (rc == 0)
        *out = file.text;
    return rc;
}

int model_side_read(const char *path, const struct moed_gguf *gguf, const char *arch,
                    struct model_side *out, struct moed_error *err)
{
    struct reader r = {.path = path, .out = out, .err = err, .gguf = gguf, .arch = arch};
    int rc = read_text(path, &out->text, err);

    return rc != 0 ? rc : read_lines(&r);
}

void model_side_free(struct model_side *side)
{
    free(side->text);
    side->text = NULL;
}
