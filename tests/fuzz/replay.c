/* replay: runs a fuzz target over the files of a corpus, without libFuzzer: any compiler, any
 * sanitizer, and an ordinary test. Usage: replay DIRECTORY-OR-FILE… */
#include "fuzz.h"

#include <dirent.h>

static unsigned replayed;

/* Bytes of exactly the file's size, so that a read past them is one past the allocation. */
static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    long size = -1;
    int rc = -1;

    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    if (size >= 0 && fseek(file, 0, SEEK_SET) == 0)
        data = malloc((size_t)size + (size == 0));
    if (data != NULL && fread(data, 1, (size_t)size, file) == (size_t)size) {
        LLVMFuzzerTestOneInput(data, (size_t)size);
        replayed++;
        rc = 0;
    } else {
        perror(path);
    }
    free(data);
    if (file != NULL)
        fclose(file);
    return rc;
}

static int replay_directory(DIR *directory, const char *path)
{
    const struct dirent *entry;
    int rc = 0;

    while ((entry = readdir(directory))) {
        char *file = NULL;
        if (entry->d_name[0] == '.')
            continue;
        if (asprintf(&file, "%s/%s", path, entry->d_name) < 0)
            return -1;
        if (replay_file(file) != 0)
            rc = -1;
        free(file);
    }
    return rc;
}

int main(int argc, char **argv)
{
    int rc = 0;

    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        if ((directory != NULL ? replay_directory(directory, argv[i]) : replay_file(argv[i])) != 0)
            rc = 1;
        if (directory != NULL)
            closedir(directory);
    }
    printf("%u inputs replayed\n", replayed);
    return replayed > 0 ? rc : 1;
}
