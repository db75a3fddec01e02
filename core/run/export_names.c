#include "run/export_names.h"

#include "base/memory.h"
#include "host/exporter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 3 }; /* a file, the second one of a format that has two, and what describes them */

typedef struct file_name {
    char text[128]; /* "": the format has no such file */
    size_t platform, export;
} file_name;

static void fill(const nas_instance *plugin, const char *platform, file_name name[NAMES]) {
    nas_export_name(plugin, platform, name[0].text, sizeof name[0].text);
    char *second = nas_export_second(plugin, name[0].text);
    snprintf(name[1].text, sizeof name[1].text, "%.120s", second ? second : "");
    snprintf(name[2].text, sizeof name[2].text, "%.120s.json", name[0].text);
    free(second);
}

static int twice(const nas_pipeline *pipeline, const file_name *one, const file_name *other,
                 nas_error *err) {
    const nas_use *use = &pipeline->exports[one->export].use;
    char platform[64] = "";
    if (one->platform != other->platform)
        snprintf(platform, sizeof platform, " for platform '%s'",
                 pipeline->platforms[other->platform].name);
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: %s: '%s' writes family/%s for platform '%s', as %s does already%s; keep "
                    "one of them%s",
                    pipeline->file, use->path, use->id, one->text,
                    pipeline->platforms[one->platform].name,
                    pipeline->exports[other->export].use.path, platform,
                    *platform ? ", or give the platform another name" : "");
}

static int compare(const nas_pipeline *pipeline, const file_name *names, size_t n, nas_error *err) {
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (names[i].text[0] && strcmp(names[i].text, names[k].text) == 0)
                return twice(pipeline, &names[i], &names[k], err);
    return NAS_OK;
}

int nas_export_names_check(const nas_pipeline *pipeline, const nas_instance *exports,
                           nas_error *err) {
    size_t n = 0;
    for (size_t p = 0; p < pipeline->n_platforms; p++) n += pipeline->platforms[p].exports.n;
    file_name *names = nas_alloc(n * NAMES + 1, sizeof *names);
    if (!names) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", pipeline->file);
    n = 0;
    for (size_t p = 0; p < pipeline->n_platforms; p++) {
        const nas_platform *platform = &pipeline->platforms[p];
        for (size_t i = 0; i < platform->exports.n; i++, n += NAMES) {
            size_t export = platform->exports.first + i;
            for (int k = 0; k < NAMES; k++) names[n + (size_t)k] = (file_name){"", p, export};
            fill(&exports[export], platform->name, &names[n]);
        }
    }
    int rc = compare(pipeline, names, n, err);
    free(names);
    return rc;
}
