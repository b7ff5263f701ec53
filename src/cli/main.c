/* main: where the process begins and ends. The only code that reads the environment or decides
 * the exit status: 0 fine, 1 failed, 2 wrong usage. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "command.h"
#include "src/backend/backend.h"

/* Who starts us may have closed 0, 1 or 2: the next file or socket would get the number, and what
 * is printed with it. Nobody can read what goes to the standard output then: writing there stays an
 * error. */
static void fill_standard_descriptors(void)
{
    static const int modes[] = {O_RDONLY, O_RDONLY, O_WRONLY};

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd)
            exit(1);
}

int main(int argc, char **argv)
{
    const struct environment environment = {getenv, environ};
    int status;

    fill_standard_descriptors();
    moed_backend_unbind();
    status = commands_main(argc, argv, &environment);

    /* A full disk or a closed pipe shows only when the last bytes are written. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("moed: standard output");
        exit(1);
    }
    exit(status);
}
