/* json_memory.c: see json_memory.h. */
#include "json_memory.h"

#include "json_scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void *(*allocate)(size_t size) = malloc;
static _Thread_local bool ran_out;

static void *take(size_t size)
{
    void *memory = allocate(size);

    ran_out = ran_out || memory == NULL;
    return memory;
}

void json_memory_use(void *(*function)(size_t size))
{
    cJSON_Hooks hooks = {.malloc_fn = take, .free_fn = free};

    allocate = function;
    cJSON_InitHooks(&hooks);
}

void moed_wire_watch_memory(void)
{
    json_memory_use(malloc);
}

bool moed_wire_ran_out(void)
{
    const bool so = ran_out;

    ran_out = false;
    return so;
}

int json_cannot_read(struct moed_error *err, const char *format, ...)
{
    char text[256];
    va_list arguments;

    if (moed_wire_ran_out())
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory to read the request's JSON");
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return moed_fail(err, MOED_E_MALFORMED, "%s", text);
}
