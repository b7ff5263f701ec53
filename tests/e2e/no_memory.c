/* Preloaded into the server by test_memory.py: the allocation that the file named by NO_MEMORY
 * gives the number of, counted among those of a cJSON item's size since the file was written,
 * fails. */
#include <cjson/cJSON.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);

void *malloc(size_t size)
{
    static long written, count;
    char text[16] = "";
    const char *path;
    struct stat file;
    int fd;

    if (size != sizeof(cJSON) || (path = getenv("NO_MEMORY")) == NULL || stat(path, &file) != 0)
        return __libc_malloc(size);
    if (file.st_mtim.tv_nsec != written) {
        written = file.st_mtim.tv_nsec;
        count = 0;
    }
    count++;
    fd = open(path, O_RDONLY);
    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) < 0)
            text[0] = '\0';
        close(fd);
    }
    return count == atol(text) ? NULL : __libc_malloc(size);
}
