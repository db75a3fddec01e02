#include "base/embedded.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "host/descriptor.h"

#include <stdlib.h>
#include <string.h>

static const char folder[] = "templates/plugin/";

/* What a template's marks stand for. */
typedef struct names {
    const char *id, *kind, *home;
} names;

/* What is left of a line. "@KIND TEXT" stands in that kind's files alone, "@!KIND TEXT" in those of
 * the others. NULL: the line is left out. */
static const char *choose(const char *line, size_t *length, const names *n) {
    char kind[16];
    bool other = line[0] == '@' && line[1] == '!';
    size_t word = strcspn(line + (other ? 2 : 1), " @\n");
    if (line[0] != '@' || line[word + (other ? 2 : 1)] != ' ') return line;
    snprintf(kind, sizeof kind, "%.*s", (int)word, line + (other ? 2 : 1));
    if ((strcmp(kind, n->kind) == 0) == other) return NULL;
    size_t skip = word + (other ? 3 : 2);
    *length -= skip;
    return line + skip;
}

/* What the mark at text stands for, and its length; NULL: it is none. */
static const char *meaning(const char *text, size_t *length, const names *n) {
    const struct {
        const char *mark, *value;
    } marks[] = {{"@ID@", n->id}, {"@KIND@", n->kind}, {"@HOME@", n->home}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        *length = strlen(marks[i].mark);
        if (strncmp(text, marks[i].mark, *length) == 0) return marks[i].value;
    }
    return NULL;
}

static void write_line(FILE *out, const char *line, size_t length, const names *n) {
    const char *end = line + length;
    while (line < end) {
        size_t mark;
        const char *value = meaning(line, &mark, n);
        if (value)
            fputs(value, out);
        else
            fputc(*line, out);
        line += value ? mark : 1;
    }
}

/* The template's text for this plugin. The caller frees; NULL: out of memory. */
static char *fill(const nas_embedded *template, const names *n, size_t *bytes) {
    char *text = NULL;
    FILE *out = open_memstream(&text, bytes);
    if (!out) return NULL;
    for (const char *line = template->text; *line;) {
        size_t length = strcspn(line, "\n") + 1, kept = length;
        const char *rest = choose(line, &kept, n);
        if (rest) write_line(out, rest, kept, n);
        line += length;
    }
    if (fclose(out) == 0) return text;
    free(text);
    return NULL;
}

/* The file that a template of the folder makes, into name [128]: KIND.c is ID.c, KIND_test.c is
 * test_ID.c, another kind's is none. False: none. */
static bool target(const nas_embedded *template, const names *n, char *name) {
    char program[64], test[64];
    if (strncmp(template->name, folder, sizeof folder - 1) != 0) return false;
    const char *file = template->name + sizeof folder - 1, *dot = strrchr(file, '.');
    snprintf(program, sizeof program, "%s.c", n->kind);
    snprintf(test, sizeof test, "%s_test.c", n->kind);
    if (strcmp(file, program) == 0)
        snprintf(name, 128, "%s.c", n->id);
    else if (strcmp(file, test) == 0)
        snprintf(name, 128, "test_%s.c", n->id);
    else
        snprintf(name, 128, "%s", file);
    return strcmp(name, file) != 0 || !dot || strcmp(dot, ".c") != 0;
}

static int write_one(const nas_embedded *template, const names *n, const char *path,
                     nas_error *err) {
    size_t bytes;
    char *text = fill(template, n, &bytes);
    if (!text) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    int rc = nas_file_write(path, text, bytes, err);
    free(text);
    return rc;
}

static int write_all(const names *n, const char *out, nas_error *err) {
    char name[128];
    int rc = nas_folder_make(out, err);
    for (const nas_embedded *t = nas_embedded_files; t->name && !rc; t++) {
        if (!target(t, n, name)) continue;
        char *path = nas_path_join(out, name);
        rc = path ? write_one(t, n, path, err)
                  : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", out);
        free(path);
    }
    return rc;
}

/* ---- The command ---- */

static int check(const names *n, const char *out, nas_error *err) {
    if (!nas_kind_from_name(n->kind))
        return nas_fail(err, NAS_ERR_INPUT,
                        "plugins new: KIND: expected dataset, ssl, search, hardware, score, "
                        "export, import or cluster, found \"%.60s\"",
                        n->kind);
    if (!nas_id_valid(n->id))
        return nas_fail(err, NAS_ERR_INPUT,
                        "plugins new: NAME: expected [a-z][a-z0-9_-]* of at most 31 characters, "
                        "found \"%.60s\"",
                        n->id);
    if (!nas_file_exists(out)) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s is there already; name another folder with --out", out);
}

/* Two plugins of one id could not be used together. */
static int check_free(const nas_registry *registry, const char *id, nas_error *err) {
    for (size_t i = 0; i < nas_registry_count(registry); i++) {
        const nas_manifest_entry *entry = nas_registry_entry(registry, i);
        if (strcmp(entry->id, id) == 0)
            return nas_fail(err, NAS_ERR_INPUT,
                            "plugins new: NAME: \"%s\" is a plugin of %s; give another name", id,
                            entry->manifest);
    }
    return NAS_OK;
}

static int tell(const nas_args *args, const names *n, const char *out) {
    if (args->json)
        return nas_cli_print_json(json_pack("{s:s, s:s, s:o}", "id", n->id, "kind", n->kind,
                                            "folder", nas_text_json(out)));
    printf("%s: a %s plugin that works; `make check` builds and tests it, `make run` trains with "
           "it\n",
           out, n->kind);
    return NAS_EXIT_OK;
}

static int make_plugin(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    names n = {.kind = args->operands[0], .id = args->operands[1]};
    const char *out = args->out ? args->out : n.id;
    int rc = check(&n, out, err);
    if (!rc) rc = nas_session_open(args, true, &session, err);
    if (!rc) rc = check_free(session.registry, n.id, err);
    if (!rc) {
        n.home = nas_registry_folder(session.registry, 0);
        rc = write_all(&n, out, err);
    }
    if (!rc && tell(args, &n, out)) rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    nas_session_close(&session);
    return rc;
}

int nas_cli_plugins_new(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "plugins new", .operands = "KIND NAME", .flags = NAS_FLAG_OUT, .run = make_plugin};
    return nas_cli_subcommand(&command, argc, argv);
}
