/* libraries: names and versions of what the server stands on, as they are at run time. */
#include "src/server/server.h"

#include <cjson/cJSON.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdio.h>
#include <uv.h>
#include <zlib.h>

const char *moed_server_library(size_t i)
{
    static char text[64];
    const struct {
        const char *name, *version;
    } libraries[] = {
        {"libuv", uv_version_string()},
        {"libmicrohttpd", MHD_get_version()},
        {"GnuTLS", gnutls_check_version(NULL)},
        {"zlib", zlibVersion()},
        {"cJSON", cJSON_Version()},
    };

    if (i >= MOED_ARRAY_LEN(libraries))
        return NULL;
    snprintf(text, sizeof text, "%s %s", libraries[i].name, libraries[i].version);
    return text;
}
