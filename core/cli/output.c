#include "base/json.h"
#include "base/json_text.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int exit_code(int code) {
    switch (code) {
    case NAS_ERR_INPUT:
        return NAS_EXIT_USAGE;
    case NAS_ERR_INFEASIBLE:
        return NAS_EXIT_INFEASIBLE;
    case NAS_ERR_PLUGIN:
        return NAS_EXIT_PLUGIN;
    case NAS_ERR_INTERRUPTED:
        return NAS_EXIT_INTERRUPTED;
    default:
        return NAS_EXIT_FAILED;
    }
}

static const char *code_name(int code) {
    static const char *const names[] = {"ok",     "input",      "io",          "memory",
                                        "plugin", "infeasible", "interrupted", "numeric"};
    return code >= 0 && code < (int)(sizeof names / sizeof *names) ? names[code] : "unknown";
}

/* A message may quote what a file holds: no control character may reach a terminal. */
static void make_printable(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f) *text = ' ';
}

int nas_cli_fail(const nas_error *err, bool json) {
    nas_error shown = *err;
    make_printable(shown.message);
    fprintf(stderr, "nashost: error: %s\n", shown.message);
    if (json)
        nas_cli_print_json(json_pack("{s:{s:s, s:i, s:o}}", "error", "code", code_name(err->code),
                                     "exit", exit_code(err->code), "message",
                                     nas_text_json(shown.message)));
    return exit_code(err->code);
}

int nas_cli_print_json(json_t *json) {
    char *text = json ? nas_json_text(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    if (!text) {
        fputs("nashost: error: out of memory\n", stderr);
        return NAS_EXIT_FAILED;
    }
    puts(text);
    free(text);
    return NAS_EXIT_OK;
}

int nas_cli_result(const nas_args *args, json_t *result,
                   int (*table)(const json_t *result, nas_error *err), nas_error *err) {
    if (args->json)
        return nas_cli_print_json(result) ? nas_fail(err, NAS_ERR_MEMORY, "out of memory") : NAS_OK;
    int rc = table(result, err);
    json_decref(result);
    return rc;
}

int nas_cli_finish(int status) {
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    fprintf(stderr, "nashost: error: cannot write to the standard output: %s\n",
            errno ? strerror(errno) : "an earlier write failed");
    return status ? status : NAS_EXIT_FAILED;
}
