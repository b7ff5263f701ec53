/* The instruction set that is chosen on the CPU which qemu plays: the best that it has. */
#include <stdio.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

int main(int argc, char **argv)
{
    const char *chosen = moed_isa_best()->name;

    if (argc == 2 && strcmp(chosen, argv[1]) == 0)
        return 0;
    printf("chosen: %s, expected: %s\n", chosen, argc == 2 ? argv[1] : "an argument");
    return 1;
}
