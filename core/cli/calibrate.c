#include "base/file.h"
#include "cli/cli.h"
#include "host/call.h"

#include <nashost/hardware.h>

static const char help[] =
    "usage: nashost calibrate --hardware ID --table FILE --out FILE [options]\n"
    "\n"
    "Fits a hardware model to the measurements of a latency table, which `nashost lut build`\n"
    "makes, and writes the fitted model to a file that the model's options can name.\n"
    "\n"
    "  --hardware ID    a hardware plugin that can be calibrated\n"
    "  --options JSON   its options: the model to start from\n"
    "  --table FILE     the measurements\n"
    "  --out FILE       the fitted model\n"
    "  --plugins FILE   a further manifest of plugins; may be given again\n"
    "  --quiet          only warnings\n";

typedef struct fit {
    const nas_calibrate_api *api;
    const nas_instance *hardware;
    const char *table;
} fit;

static int write_fitted(void *context, const char *temporary, nas_error *err) {
    const fit *f = context;
    nas_call call;
    nas_call_begin(&call, f->hardware, "calibrate");
    int status = f->api->calibrate(f->hardware->self, f->table, temporary, &call.err);
    return nas_call_end(&call, status, err);
}

static int write_model(const nas_args *args, const nas_instance *hardware, nas_error *err) {
    fit f = {nas_instance_extension(hardware, NAS_EXT_CALIBRATE), hardware, args->table};
    if (f.api) return nas_file_replace(args->out, write_fitted, &f, err);
    return nas_fail(err, NAS_ERR_INPUT, "plugin '%s' cannot be calibrated: it has no extension %s",
                    args->hardware, NAS_EXT_CALIBRATE);
}

static int calibrate(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    nas_instance hardware = {0};
    const char *missing = !args->hardware ? "hardware" : !args->table ? "table" : "out";
    int rc = NAS_OK;
    if (!args->hardware || !args->table || !args->out)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "calibrate: --%s is missing; see `nashost calibrate --help`", missing);
    if (!rc) rc = nas_session_open(args, true, &session, err);
    if (!rc) rc = nas_session_hardware(&session, args, &hardware, err);
    if (!rc) {
        rc = write_model(args, &hardware, err);
        nas_instance_destroy(&hardware);
    }
    nas_session_close(&session);
    return rc;
}

int nas_cli_calibrate(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "calibrate",
        .flags = NAS_FLAG_HARDWARE | NAS_FLAG_OPTIONS | NAS_FLAG_TABLE | NAS_FLAG_OUT |
                 NAS_FLAG_PLUGINS | NAS_FLAG_QUIET,
        .help = help,
        .run = calibrate,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
