#include "base/json.h"
#include "cli/cli.h"
#include "host/instance.h"
#include "host/trial.h"
#include "run/checkpoint.h"
#include "stages/rehearsal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALL_SECONDS = 30 }; /* what one call of the tiny problem may take */

/* The first option without which the plugin cannot be created, or NULL. */
static const char *required_option(const nas_plugin *plugin) {
    for (size_t i = 0; plugin->options; i++) {
        const nas_option *o = nas_option_at(plugin->options, plugin->option_size, i);
        if (!o->name) break;
        if (!o->fallback) return o->name;
    }
    return NULL;
}

/* What the child process does. */
typedef struct job {
    const nas_args *args;
    nas_session *session;
    nas_kind kind;
    const json_t *options;
    const nas_place *place;
    const char *folder; /* to write into */
    nas_trial *trial;
} job;

static void log_line(void *context, nas_level level, const char *message) {
    const job *j = context;
    nas_log_line(&j->session->log, level, "%s", message);
}

static void calling(void *context, const char *id, const char *function) {
    (void)id;
    nas_trial_doing(((job *)context)->trial, function ? function : "the host after a call");
}

/* Loads, makes an instance, and calls each function. Whatever code the plugin fails with, here it
 * is the plugin that fails. */
static int use_plugin(void *context, nas_trial *trial) {
    job *j = context;
    const nas_plugin *plugin;
    nas_instance instance;
    nas_error *err = &trial->err;
    nas_services services = j->session->services;
    services.log = log_line;
    services.calling = calling;
    services.context = j;
    services.allow_commands = true; /* --options names it */
    j->trial = trial;
    int rc = nas_plugin_check_file(j->session->registry, j->args->positional, j->kind, j->args->id,
                                   &plugin, err);
    if (rc) return rc;
    rc = nas_instance_start(&services, plugin, j->args->positional, j->options, j->place, &instance,
                            err);
    if (rc == NAS_ERR_INPUT) return rc; /* the options, or a file that they name */
    if (!rc) {
        nas_error why = {0};
        rc = nas_rehearse(&instance, j->folder, &why);
        if (rc) nas_fail(err, rc, "%s: %.900s", j->args->positional, why.message);
    }
    if (rc && rc != NAS_ERR_MEMORY) rc = err->code = NAS_ERR_PLUGIN;
    return rc;
}

/* What a child that was ended may have left. */
static void remove_folder(const char *folder) {
    char path[PATH_MAX + NAME_MAX + 2];
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    while (entries && (entry = readdir(entries)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (strcmp(entry->d_name, "checkpoint") == 0) nas_checkpoint_remove(folder);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) unlink(path);
    }
    if (entries) closedir(entries);
    rmdir(folder);
}

static int try_plugin(job *j, nas_error *err) {
    const char *base = getenv("TMPDIR");
    char folder[PATH_MAX];
    nas_error why = {0};
    bool ran;
    snprintf(folder, sizeof folder, "%.4000s/nashost-check-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder))
        return nas_fail(err, NAS_ERR_IO, "cannot make a folder in %.900s: %s",
                        base && *base ? base : "/tmp", strerror(errno));
    j->folder = folder;
    double seconds = j->args->seconds ? j->args->seconds : CALL_SECONDS;
    int rc = nas_trial_run(use_plugin, j, seconds, &ran, &why);
    remove_folder(folder);
    if (!rc && !ran) return nas_fail(err, NAS_ERR_MEMORY, "no child process can be started");
    if (!rc) return NAS_OK;
    bool named = strncmp(why.message, j->args->positional, strlen(j->args->positional)) == 0 ||
                 why.message[0] == '/' || rc == NAS_ERR_INPUT;
    return nas_fail(err, rc, "%s%s%.900s", named ? "" : j->args->positional, named ? "" : ": ",
                    why.message);
}

static int try_all(const nas_args *args, nas_session *session, nas_kind kind, nas_error *err) {
    json_t *options = NULL;
    char *folder = realpath(".", NULL);
    const nas_place place = {"--options", "", folder ? folder : "."};
    job j = {.args = args, .session = session, .kind = kind, .place = &place};
    int rc = nas_args_options(args, &options, err);
    j.options = options;
    if (!rc) rc = try_plugin(&j, err);
    json_decref(options);
    free(folder);
    return rc;
}

/* missing: the required option for want of which no instance was made, or NULL. */
static int report(const nas_args *args, const nas_plugin *plugin, const char *missing) {
    const char *kind = nas_kind_name((nas_kind)plugin->kind);
    if (args->json)
        return nas_cli_print_json(json_pack("{s:o, s:b, s:s, s:s, s:s, s:b, s:s*}", "file",
                                            nas_text_json(args->positional), "ok", 1, "kind", kind,
                                            "id", plugin->id, "version", plugin->version, "created",
                                            !missing, "missing_option", missing));
    printf("%s: ok: %s plugin \"%s\" %s, ABI %u.%u\n", args->positional, kind, plugin->id,
           plugin->version, plugin->abi_major, plugin->abi_minor);
    if (missing)
        printf("no instance was created: the option \"%s\" is required; give --options\n", missing);
    return NAS_EXIT_OK;
}

static int check(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    const nas_plugin *plugin = NULL;
    const char *missing = NULL;
    nas_kind kind;
    int rc = nas_args_kind(args, &kind, err);
    if (!rc) rc = nas_session_open(args, false, &session, err);
    if (!rc)
        rc =
            nas_plugin_check_file(session.registry, args->positional, kind, args->id, &plugin, err);
    if (!rc && !args->options) missing = required_option(plugin);
    if (!rc && !missing) rc = try_all(args, &session, kind, err);
    if (!rc && report(args, plugin, missing)) rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    nas_session_close(&session);
    return rc;
}

int nas_cli_plugins_check(int argc, char **argv) {
    static const nas_subcommand command = {.name = "plugins check",
                                           .operands = "FILE",
                                           .flags = NAS_FLAG_PLUGINS | NAS_FLAG_ID | NAS_FLAG_KIND |
                                                    NAS_FLAG_OPTIONS | NAS_FLAG_SECONDS,
                                           .run = check};
    return nas_cli_subcommand(&command, argc, argv);
}
