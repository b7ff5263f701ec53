/* foreign: what people name by mistake: a sentence that says what it is and what to do instead.
 * By the first bytes where they are no GGUF header, by the path where a file could not be opened
 * or is a piece of one. Signatures are those of the formats' own specifications. */
#include "file.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct signature {
    const char *bytes;
    size_t size;
    const char *is;
};

#define SIGNATURE(bytes, is)          \
    {                                 \
        bytes, sizeof(bytes) - 1, is, \
    }

static const struct signature signatures[] = {
    SIGNATURE("version https://git-lfs",
              "a git-lfs pointer, which stands for the file: run `git lfs pull`, or download the "
              "file itself"),
    SIGNATURE("PK\3\4",
              "a ZIP archive, as PyTorch's checkpoints are: unpack it, or convert the model to "
              "GGUF"),
    SIGNATURE("\x1f\x8b", "a gzip file: unpack it with `gunzip`"),
    SIGNATURE("\x28\xb5\x2f\xfd", "a zstd file: unpack it with `unzstd`"),
    SIGNATURE("\xfd"
              "7zXZ",
              "an xz file: unpack it with `unxz`"),
    SIGNATURE("BZh", "a bzip2 file: unpack it with `bunzip2`"),
    SIGNATURE("7z\xbc\xaf", "a 7z archive: unpack it"),
    SIGNATURE("tjgg", "a GGJT file, an obsolete format: convert the model to GGUF"),
    SIGNATURE("lmgg", "a GGML file, an obsolete format: convert the model to GGUF"),
    SIGNATURE("fmgg", "a GGMF file, an obsolete format: convert the model to GGUF"),
    SIGNATURE("algg", "a GGLA file, an adapter of an obsolete format: name the model"),
    SIGNATURE("\x93NUMPY", "an array of NumPy: name the model's GGUF file"),
    SIGNATURE("\x80\x02", "a Python pickle, as PyTorch wrote them: convert the model to GGUF"),
    SIGNATURE("\x89HDF", "an HDF5 file: convert the model to GGUF"),
    SIGNATURE("FUGG", "a GGUF file whose bytes are swapped: convert the model for this machine"),
};

/* The text that HTTP servers send instead of a file begins so, whatever its case. */
static const struct {
    const char *text, *is;
} texts[] = {
    {"<!doctype html", "an HTML page"}, {"<html", "an HTML page"}, {"<?xml", "an XML document"},
    {"{", "a JSON document"},           {"[", "a JSON document"},
};

static bool is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static const char *text_kind(const uint8_t *bytes, size_t size)
{
    const char *at = (const char *)bytes;

    if (size >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) {
        at += 3;
        size -= 3;
    }
    while (size > 0 && isspace((unsigned char)*at)) {
        at++;
        size--;
    }
    for (size_t i = 0; i < MOED_ARRAY_LEN(texts); i++) {
        const size_t length = strlen(texts[i].text);

        if (size >= length && strncasecmp(at, texts[i].text, length) == 0)
            return texts[i].is;
    }
    return NULL;
}

/* safetensors: the length of its JSON header as a u64, then that header. */
static bool is_safetensors(const uint8_t *bytes, size_t size)
{
    return size > 9 && is_zero(bytes + 5, 3) && bytes[8] == '{';
}

int moed_gguf_refuse_foreign(const uint8_t *bytes, size_t size, struct moed_error *err)
{
    const char *text = text_kind(bytes, size);

    for (size_t i = 0; i < MOED_ARRAY_LEN(signatures); i++)
        if (size >= signatures[i].size &&
            memcmp(bytes, signatures[i].bytes, signatures[i].size) == 0)
            return moed_fail(err, MOED_E_BAD_FILE, "not a GGUF file: found %s", signatures[i].is);
    if (is_safetensors(bytes, size))
        return moed_fail(err, MOED_E_BAD_FILE,
                         "not a GGUF file: found a safetensors file: convert the model to GGUF");
    if (text != NULL)
        return moed_fail(err, MOED_E_BAD_FILE,
                         "not a GGUF file: found %s, as servers send instead of a file that they "
                         "do not give: download it again, and look at what came",
                         text);
    if (size >= 4 && is_zero(bytes, size))
        return moed_fail(err, MOED_E_BAD_FILE,
                         "not a GGUF file: found zeros where it begins, as in a download that "
                         "only reserved its space: download it again");
    return moed_fail(err, MOED_E_BAD_FILE,
                     "not a GGUF file: found the magic bytes %02x %02x %02x %02x, expected "
                     "47 47 55 46 (\"GGUF\")",
                     bytes[0], bytes[1], bytes[2], bytes[3]);
}

/* ---- by the path ---- */

static bool ends_in(const char *text, const char *end)
{
    const size_t length = strlen(text), size = strlen(end);

    return length >= size && strcasecmp(text + length - size, end) == 0;
}

/* "model.gguf.part1of2", "model.gguf-split-a", "model.gguf-part-a": pieces made by cutting bytes.
 */
static bool is_piece(const char *path)
{
    const char *part = strcasestr(path, ".part");
    unsigned number, count;

    for (; part; part = strcasestr(part + 1, ".part"))
        if (sscanf(part + 5, "%uof%u", &number, &count) == 2)
            return true;
    return strcasestr(path, ".gguf-split-") != NULL || strcasestr(path, ".gguf-part-") != NULL;
}

static bool is_unfinished(const char *path)
{
    static const char *const ends[] = {".part",  ".crdownload", ".incomplete",
                                       ".aria2", ".download",   ".partial"};

    for (size_t i = 0; i < MOED_ARRAY_LEN(ends); i++)
        if (ends_in(path, ends[i]))
            return true;
    return false;
}

/* "owner/model" or "owner/model:Q4_K_M": one slash within, and no file's ending. */
static bool is_hub_name(const char *path)
{
    const char *slash = strchr(path, '/');

    return slash != NULL && slash != path && slash[1] != '\0' && strchr(slash + 1, '/') == NULL &&
           path[0] != '.' && path[0] != '~' && !ends_in(path, ".gguf");
}

static const char *advice_for(const char *path)
{
    const bool absent = access(path, F_OK) != 0;

    if (absent && strstr(path, "://") != NULL)
        return "this is a URL: download the file, and name it by its path";
    if (absent && is_hub_name(path))
        return "if this is the name of a model on a hub: download its GGUF file, and name that by "
               "its path";
    if (is_piece(path))
        return "its name is that of one piece of a file: join all pieces in their order "
               "(`cat PIECES >model.gguf`)";
    if (is_unfinished(path))
        return "its name is that of a download that has not ended";
    return NULL;
}

void moed_gguf_advise(const char *path, struct moed_error *err)
{
    const char *advice = err != NULL ? advice_for(path) : NULL;
    struct moed_error before;

    if (advice == NULL)
        return;
    before = *err;
    moed_fail(err, before.code, "%.600s; %s", before.message, advice);
}
