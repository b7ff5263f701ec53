/* problem: the body of every error: RFC 9457's members, and "error" for KServe's clients. */
#include "src/wire/wire.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_ID_MAX 128

static const char no_memory[] =
    "{\"type\":\"about:blank\",\"title\":\"Out of memory\","
    "\"status\":503,\"detail\":\"no memory for the error's text\","
    "\"error\":\"no memory for the error's text\","
    "\"code\":\"out_of_memory\"}\n";

/* A header's bytes need not be UTF-8, JSON's must. */
static void copy_printable(char out[REQUEST_ID_MAX + 1], const char *text)
{
    size_t n = 0;

    for (; text[n] != '\0' && n < REQUEST_ID_MAX; n++)
        out[n] = (char)(text[n] >= ' ' && text[n] <= '~' ? text[n] : '?');
    out[n] = '\0';
}

/* NULL if any part of it found no memory. */
static char *print(const struct moed_error_info *info, const char *detail, const char *request_id)
{
    cJSON *body = cJSON_CreateObject();
    char id[REQUEST_ID_MAX + 1];
    bool whole = cJSON_AddStringToObject(body, "type", "about:blank") != NULL &&
                 cJSON_AddStringToObject(body, "title", info->title) != NULL &&
                 cJSON_AddNumberToObject(body, "status", info->http) != NULL &&
                 cJSON_AddStringToObject(body, "detail", detail) != NULL &&
                 cJSON_AddStringToObject(body, "error", detail) != NULL &&
                 cJSON_AddStringToObject(body, "code", info->code) != NULL;
    char *text = NULL;

    if (whole && request_id != NULL) {
        copy_printable(id, request_id);
        whole = cJSON_AddStringToObject(body, "request_id", id) != NULL;
    }
    if (whole)
        text = cJSON_PrintUnformatted(body);
    cJSON_Delete(body);
    (void)moed_wire_ran_out(); /* `whole` says it */
    return text;
}

static char *copy(const char *text, size_t *size)
{
    char *out = strdup(text);

    *size = out != NULL ? strlen(out) : 0;
    return out;
}

size_t moed_wire_end_line(char *text)
{
    size_t size = strlen(text);

    text[size] = '\n';
    return size + 1;
}

char *moed_wire_print_problem(int code, const char *detail, const char *request_id, size_t *size)
{
    char *text = print(moed_error_info(code), detail, request_id);

    if (text == NULL)
        return copy(no_memory, size);
    *size = moed_wire_end_line(text);
    return text;
}
