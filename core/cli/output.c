#include "base/json.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* ---- No control character of a file's may reach a terminal ---- */

/* Blanks those of n bytes: C0 but for the characters in kept, DEL, and C1 in UTF-8. */
static void blank_controls(char *text, size_t n, const char *kept) {
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i], next = i + 1 < n ? (unsigned char)text[i + 1] : 0;
        if ((c < ' ' && !(c && strchr(kept, c))) || c == 0x7f) text[i] = ' ';
        if (c == 0xc2 && next >= 0x80 && next < 0xa0) text[i] = text[i + 1] = ' ';
    }
}

static void make_printable(char *text) {
    blank_controls(text, strlen(text), "");
}

static ssize_t write_printable(void *cookie, const char *data, size_t n) {
    char piece[4096];
    size_t done = 0;
    (void)cookie;
    while (done < n) {
        size_t some = n - done < sizeof piece ? n - done : sizeof piece;
        memcpy(piece, data + done, some);
        blank_controls(piece, some, "\n\t");
        ssize_t put = write(STDOUT_FILENO, piece, some);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return 0; /* a failure, to whom asks ferror() */
        done += (size_t)put;
    }
    return (ssize_t)n;
}

void nas_cli_filter_output(void) {
    const cookie_io_functions_t functions = {.write = write_printable};
    FILE *filtered = fopencookie(NULL, "w", functions);
    if (!filtered) return;
    setvbuf(filtered, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, BUFSIZ);
    stdout = filtered;
}

int nas_cli_fail(const nas_error *err, bool json) {
    nas_error shown = *err;
    if (!shown.message[0]) return exit_code(err->code);
    make_printable(shown.message);
    fprintf(stderr, "nashost: error: %s\n", shown.message);
    if (json)
        nas_cli_print_json(json_pack("{s:{s:s, s:i, s:o}}", "error", "code", code_name(err->code),
                                     "exit", exit_code(err->code), "message",
                                     nas_text_json(shown.message)));
    return exit_code(err->code);
}

int nas_cli_print_json(json_t *json) {
    char *text = json ? nas_json_text(json, JSON_INDENT(2), NULL) : NULL;
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
