/* version: see version.h. */
#include "version.h"

#include <moed/version.h>

#include <stdio.h>

#include "src/backend/backend.h"

#include "kernels/cpu/cpu.h"

#if MOED_WITH_SERVER
#include "src/server/server.h"
#endif

static void print_sets(void)
{
    const struct moed_isa *best = moed_isa_best();

    printf("isa        ");
    for (size_t i = 0; moed_isa_at(i); i++)
        printf(" %s%s", moed_isa_at(i)->name,
               moed_isa_at(i) == best        ? " (chosen here)"
               : moed_isa_at(i)->supported() ? ""
                                             : " (not here)");
    printf("\n");
}

void version_print(void)
{
    printf("moed %s\nbackends   ", MOED_VERSION);
    for (size_t i = 0; moed_backend_known(i); i++)
        printf(" %s", moed_backend_known(i));
    printf("\n");
    print_sets();
#if MOED_WITH_SERVER
    printf("libraries  ");
    for (size_t i = 0; moed_server_library(i); i++)
        printf("%s %s", i > 0 ? "," : "", moed_server_library(i));
    printf("\n");
#else
    printf("libraries   none: built without the server\n");
#endif
    printf("compiler    %s\n", __VERSION__);
}
