/*
 * Stands in for libFuzzer: runs a fuzzer over its seeds, tests/fuzz/corpus/NAME/, or over the files
 * it is given, so that what was found once is tried in every `make check`.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    static uint8_t data[1 << 20];
    FILE *file = fopen(path, "rb");
    uint8_t *copy;
    size_t size;

    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    size = fread(data, 1, sizeof(data), file);
    fclose(file);
    /* of the exact size, so that a sanitizer sees one byte too far */
    copy = malloc(size ? size : 1);
    if (!copy)
        return 1;
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    return 0;
}

static int replay_directory(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char *name;
    int failed = 0, count = 0;

    if (!dir) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        if (asprintf(&name, "%s/%s", path, entry->d_name) < 0)
            abort();
        failed |= replay(name);
        free(name);
        count++;
    }
    closedir(dir);
    printf("%d seeds\n", count);
    return failed || count == 0;
}

int main(int argc, char **argv)
{
    const char *srcdir = getenv("PINPROXY_SRCDIR");
    const char *slash = strrchr(argv[0], '/');
    char *path;
    int i, failed = 0;

    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    if (argc < 2) {
        if (asprintf(&path, "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".",
                     slash ? slash + 1 : argv[0])
            < 0)
            abort();
        failed = replay_directory(path);
        free(path);
        return failed;
    }
    for (i = 1; i < argc; i++)
        failed |= replay(argv[i]);
    return failed;
}
