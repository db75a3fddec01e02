/* The plugins that tests/plugins.mk builds, and manifests that name them. */
#ifndef NAS_TESTS_SAMPLES_H
#define NAS_TESTS_SAMPLES_H

#include "fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAMPLES_PATH (FIXTURE_PATH + 64)

/* The folder of this program, to path [FIXTURE_PATH]. 0 or -1. */
static inline int samples_here(char *path) {
    ssize_t n = readlink("/proc/self/exe", path, FIXTURE_PATH - 1);
    if (n <= 0) return -1;
    path[n] = 0;
    char *slash = strrchr(path, '/');
    if (slash) *slash = 0;
    return slash ? 0 : -1;
}

/* The file of a bad plugin, by its variant, or of a toy, toy_KIND, to path [SAMPLES_PATH]; returns
 * path. */
static inline char *samples_file(const char *name, char *path) {
    char here[FIXTURE_PATH];
    const char *folder = strncmp(name, "toy_", 4) == 0 ? "toy_plugins" : "bad_plugins";
    path[0] = 0;
    if (!samples_here(here)) snprintf(path, SAMPLES_PATH, "%s/%s/%s.so", here, folder, name);
    return path;
}

/* Writes folder/name with text. 0 or -1. */
static inline int samples_write(const char *folder, const char *name, const char *text) {
    return fixture_write(folder, name, text, strlen(text), false);
}

/* A line of a manifest. */
static inline int samples_line(char *text, size_t size, const char *id, const char *kind,
                               const char *variant) {
    char path[SAMPLES_PATH];
    return snprintf(text, size, "{\"id\": \"%s\", \"kind\": \"%s\", \"path\": \"%s\"}", id, kind,
                    samples_file(variant, path));
}

/* Writes folder/plugins.json with one good plugin of each kind: sample (ssl), t-dataset, t-search,
 * t-hardware, t-score, t-export. 0 or -1. */
static inline int samples_manifest(const char *folder) {
    static const char *const kinds[] = {"dataset", "search", "hardware", "score", "export"};
    char text[8 * SAMPLES_PATH], id[32];
    size_t used = (size_t)snprintf(text, sizeof text, "{\"plugins\": [");
    used += (size_t)samples_line(text + used, sizeof text - used, "sample", "ssl", "good");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(id, sizeof id, "t-%s", kinds[i]);
        used += (size_t)snprintf(text + used, sizeof text - used, ",\n");
        used += (size_t)samples_line(text + used, sizeof text - used, id, kinds[i], kinds[i]);
    }
    snprintf(text + used, sizeof text - used, "]}\n");
    return samples_write(folder, "plugins.json", text);
}

#endif
