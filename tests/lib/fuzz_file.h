/* For fuzzers of readers that take a path. */
#ifndef NAS_TESTS_FUZZ_FILE_H
#define NAS_TESTS_FUZZ_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* A file in memory that holds the input; its path, into path [32]. */
static inline const char *fuzz_file(const uint8_t *data, size_t bytes, char path[32]) {
    static int file = -1;
    if (file < 0) file = memfd_create("input", 0);
    if (file < 0 || ftruncate(file, 0) || pwrite(file, data, bytes, 0) != (ssize_t)bytes) abort();
    snprintf(path, 32, "/proc/self/fd/%d", file);
    return path;
}

/* A folder that is removed at the end, in which each of names (NULL-terminated) is a file that
 * holds the input. */
static inline const char *fuzz_folder(const uint8_t *data, size_t bytes, const char *const *names) {
    static char folder[] = "/tmp/nashost-fuzz-XXXXXX";
    static bool made;
    char path[128];
    if (!made && !mkdtemp(folder)) abort();
    made = true;
    for (size_t i = 0; names[i]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        FILE *file = fopen(path, "wb");
        if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file)) abort();
    }
    return folder;
}

/* What every reader must say of an input that it refuses: one line, and a code. */
#define FUZZ_JUDGE(rc, err)                                                                        \
    if ((rc) && ((err).code != (rc) || !(err).message[0] || strchr((err).message, '\n'))) abort()

#endif
