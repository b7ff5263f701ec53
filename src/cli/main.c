/* main: where the process begins and ends. The only code that reads the environment or decides
 * the exit status: 0 fine, 1 failed, 2 wrong usage. */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "src/backend/backend.h"

int main(int argc, char **argv)
{
    int status;

    moed_backend_unbind();
    status = commands_main(argc, argv, getenv);

    /* A full disk or a closed pipe shows only when the last bytes are written. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("moed: standard output");
        exit(1);
    }
    exit(status);
}
