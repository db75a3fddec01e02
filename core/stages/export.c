#include "stages/export.h"

#include "base/memory.h"
#include "host/exporter.h"
#include "stages/int8.h"
#include "stages/rundir.h"
#include "stages/subnets.h"

#include <stdlib.h>
#include <sys/stat.h>

/* What was written: a new array of names; *bytes: of all. NULL: out of memory. */
static json_t *list_files(const nas_instance *plugin, const char *out, long long *bytes) {
    char *second = nas_export_second(plugin, out);
    const char *const names[] = {out, second};
    json_t *files = json_array();
    struct stat status;
    *bytes = 0;
    for (int i = 0; i < 2 && names[i]; i++) {
        if (stat(names[i], &status) == 0) *bytes += status.st_size;
        json_array_append_new(files, json_string(names[i]));
    }
    free(second);
    return files;
}

static int print(const nas_run_request *request, const nas_export_request *what,
                 const nas_space *space, const nas_instance *plugin, const nas_named *subnet,
                 nas_error *err) {
    long long bytes;
    json_t *files = list_files(plugin, what->out, &bytes);
    if (!request->json) {
        char genome[256];
        nas_genome_short(space, &subnet->genome, genome, sizeof genome);
        for (size_t i = 0; i < json_array_size(files); i++)
            printf("%s%s", i ? ", " : "", json_string_value(json_array_get(files, i)));
        printf(": %lld bytes, %s, subnet %s\n", bytes, what->format, genome);
        json_decref(files);
        return NAS_OK;
    }
    json_t *json = json_pack("{s:o, s:s, s:I, s:s, s:o}", "files", files, "format", what->format,
                             "bytes", (json_int_t)bytes, "subnet", subnet->name, "genome",
                             nas_genome_to_json(space, &subnet->genome));
    if (json) {
        json_dumpf(json, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
        json_decref(json);
    }
    return json ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", what->out);
}

static int write_subnet(const nas_context *context, const nas_instance *plugin,
                        const nas_named *subnet, const char *path, nas_error *err) {
    nas_evaluator evaluator;
    nas_folded folded = {0};
    int rc = nas_evaluator_open(context, &evaluator, err);
    if (rc) return rc;
    rc = nas_folded_make(&evaluator, &subnet->genome, &folded, err);
    if (!rc && nas_int8_wanted(plugin)) rc = nas_int8_calibrate(&evaluator, &folded, err);
    if (!rc) rc = nas_export_file(plugin, &folded.lowered->network, path, err);
    nas_folded_free(&folded);
    nas_evaluator_close(&evaluator);
    return rc;
}

static int export_subnet(nas_context *context, const nas_export_request *what, nas_error *err) {
    const nas_run_request *request = context->request;
    const nas_place place = {"--options", "", "."};
    nas_instance plugin;
    nas_named subnet;
    int rc =
        nas_subnets_one(&context->space, request->out, what->genome, what->platform, &subnet, err);
    if (!rc) rc = nas_context_load(context, err);
    if (!rc)
        rc = nas_instance_create(request->registry, NAS_KIND_EXPORT, what->format, what->options,
                                 &place, &plugin, err);
    if (rc) return rc;
    rc = write_subnet(context, &plugin, &subnet, what->out, err);
    if (!rc) rc = print(request, what, &context->space, &plugin, &subnet, err);
    nas_instance_destroy(&plugin);
    return rc;
}

int nas_export(const nas_run_request *request, const nas_export_request *what, nas_error *err) {
    int rc = nas_rundir_trained(request->out, err);
    if (rc) return rc;
    nas_context *context = nas_alloc(1, sizeof *context);
    if (!context) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    rc = nas_context_open(request, context, err);
    if (!rc) rc = export_subnet(context, what, err);
    nas_context_close(context);
    free(context);
    return rc;
}
