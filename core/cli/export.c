#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "host/exporter.h"
#include "run/context.h"
#include "run/rundir.h"
#include "stages/int8.h"
#include "stages/sidecar.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char help[] =
    "usage: nashost export DIR --format NAME --out FILE [--genome FILE | --platform NAME] "
    "[options]\n"
    "\n"
    "Writes one subnet of a finished training for deployment, its batch norm calibrated and "
    "folded\n"
    "into the weights. DIR is the run directory. `nashost plugins list --kind export` tells the\n"
    "formats.\n"
    "\n"
    "  --format NAME     the export plugin\n"
    "  --out FILE        the file to write; FILE.json, which describes it, is put beside it\n"
    "  --genome FILE     a JSON file with a genome or a {\"genome\": ...}\n"
    "  --platform NAME   the subnet that was found for this platform of the pipeline; if neither\n"
    "                    is given, the largest subnet\n"
    "  --options JSON    the plugin's options; if not given, their defaults\n"
    "  --threads N       threads; if not given, OMP_NUM_THREADS or every processor\n"
    "  --plugins FILE    a further manifest of plugins; may be given again\n"
    "  --json            print the result as JSON\n"
    "\n"
    "`nashost infer` computes the logits that the result should give.\n";

/* ---- The work ---- */

/* What was written. NULL: out of memory. */
static json_t *export_json(const nas_space *space, const nas_instance *plugin,
                           const nas_export_request *what, const nas_named *subnet) {
    char *second = nas_export_second(plugin, what->out);
    const char *const names[] = {what->out, second};
    json_t *json = json_object(), *files = json_array();
    struct stat status;
    long long bytes = 0;
    for (int i = 0; i < 2 && names[i]; i++) {
        if (stat(names[i], &status) == 0) bytes += status.st_size;
        nas_json_add(&files, nas_text_json(names[i]));
    }
    free(second);
    nas_json_put(&json, "files", files);
    nas_json_put(&json, "description", json_sprintf("%s.json", what->out));
    nas_json_put(&json, "format", nas_text_json(what->format));
    nas_json_put(&json, "bytes", json_integer(bytes));
    nas_json_put(&json, "subnet", nas_text_json(subnet->name));
    nas_json_put(&json, "genome", nas_genome_to_json(space, &subnet->genome));
    return json;
}

static int write_subnet(const nas_context *context, const nas_instance *plugin,
                        const nas_named *subnet, const char *path, nas_error *err) {
    nas_evaluator evaluator;
    nas_folded folded = {0};
    int rc = nas_evaluator_open(context, &evaluator, err);
    if (rc) return rc;
    rc = nas_folded_make(&evaluator, &subnet->genome, &folded, err);
    const uint32_t bits = nas_export_int8(plugin);
    if (!rc && bits) rc = nas_int8_calibrate(&evaluator, &folded, err);
    if (!rc) folded.lowered->network.weight_bits = bits;
    if (!rc) rc = nas_export_file(plugin, &folded.lowered->network, path, err);
    if (!rc) rc = nas_sidecar_write(&(nas_sidecar){&evaluator, &folded, plugin, path, NAN, 0}, err);
    nas_folded_free(&folded);
    nas_evaluator_close(&evaluator);
    return rc;
}

static int export_subnet(nas_context *context, const nas_export_request *what, json_t **result,
                         nas_error *err) {
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
    if (!rc && !(*result = export_json(&context->space, &plugin, what, &subnet)))
        rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", what->out);
    nas_instance_destroy(&plugin);
    return rc;
}

int nas_export(const nas_run_request *request, const nas_export_request *what, json_t **result,
               nas_error *err) {
    nas_context *context;
    *result = NULL;
    int rc = nas_context_create(request, &context, err);
    if (!rc) rc = export_subnet(context, what, result, err);
    nas_context_destroy(context);
    return rc;
}

/* ---- The subcommand ---- */

int nas_export_print(const json_t *result, nas_error *err) {
    (void)err;
    size_t i;
    json_t *file;
    json_array_foreach(json_object_get(result, "files"), i, file) {
        printf("%s%s", i ? ", " : "", json_string_value(file));
    }
    printf(": %lld bytes, %s, subnet %s\n",
           (long long)json_integer_value(json_object_get(result, "bytes")),
           json_string_value(json_object_get(result, "format")),
           nas_show_cell(json_object_get(result, "genome"), NAS_SHOW_GENOME).text);
    return NAS_OK;
}

static int check(const nas_args *args, nas_error *err) {
    const char *missing = !args->format ? "format" : !args->out ? "out" : NULL;
    if (missing)
        return nas_fail(err, NAS_ERR_INPUT, "export: --%s is missing; see `nashost export --help`",
                        missing);
    return nas_args_one_genome("export", args, err);
}

static int export(const nas_args *args, nas_error *err) {
    nas_run_dir run = {0};
    json_t *options = NULL, *result;
    int rc = check(args, err);
    if (!rc) rc = nas_args_options(args, &options, err);
    if (!rc) rc = nas_rundir_trained(args->positional, err);
    if (!rc) rc = nas_run_dir_open(args, &run, err);
    const nas_export_request what = {
        .genome = args->n_genomes ? args->genomes[0] : NULL,
        .platform = args->platform,
        .format = args->format,
        .options = options,
        .out = args->out,
    };
    if (!rc) rc = nas_export(&run.request, &what, &result, err);
    if (!rc) rc = nas_cli_result(args, result, nas_export_print, err);
    nas_run_dir_close(&run);
    json_decref(options);
    return rc;
}

int nas_cli_export(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "export",
        .operands = "DIR",
        .flags = NAS_FLAG_FORMAT | NAS_FLAG_OUT | NAS_FLAG_GENOME | NAS_FLAG_PLATFORM |
                 NAS_FLAG_OPTIONS | NAS_FLAG_THREADS | NAS_FLAG_PLUGINS,
        .help = help,
        .alone = true,
        .run = export,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
