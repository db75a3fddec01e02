#include "base/json.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "run/rundir.h"

#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: nashost compare DIR... [--json]\n"
    "\n"
    "Tables finished runs side by side: what each was made with, the subnet of each platform, and\n"
    "every key in which their pipelines differ. A column that differs is marked with *.\n"
    "\n"
    "  --json   print the comparison as JSON\n";

/* One run, and what was learnt of all of them. The files' content is changed: a pipeline's
 * platforms become an object by their names, so that they can be compared. */
typedef struct comparison {
    size_t n;
    const char *const *dirs;
    json_t **pipelines, **families; /* [n] */
    json_t *runs;                   /* as printed */
    json_t *names;                  /* of all platforms, in the order of their appearance */
    json_t *differences;            /* as printed */
} comparison;

static int no_memory(nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a comparison");
}

/* ---- Reading ---- */

static int read_file(const char *dir, const char *name, const char *command, json_t **json,
                     nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    int rc = nas_rundir_needs(dir, name, command, err);
    if (!rc) rc = nas_rundir_path(dir, name, path, sizeof path, err);
    if (!rc) rc = nas_json_load(path, json, err);
    if (rc || json_is_object(*json)) return rc;
    return nas_fail(err, NAS_ERR_INPUT, "%s: expected an object, found %s", path,
                    nas_json_kind(*json));
}

/* Turns [{"name": "a", ...}, ...] into {"a": {...}, ...}. */
static int index_platforms(json_t *pipeline, nas_error *err) {
    const json_t *list = json_object_get(pipeline, "platforms");
    json_t *object = json_object();
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        if (json_object_set(object, name ? name : "?", item)) return no_memory(err);
    }
    return json_object_set_new(pipeline, "platforms", object) ? no_memory(err) : NAS_OK;
}

static bool holds_name(const json_t *names, const char *name) {
    for (size_t i = 0; i < json_array_size(names); i++)
        if (strcmp(json_string_value(json_array_get(names, i)), name) == 0) return true;
    return false;
}

static int add_names(comparison *c, const json_t *family, nas_error *err) {
    const json_t *platforms = json_object_get(family, "platforms");
    for (size_t i = 0; i < json_array_size(platforms); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(platforms, i), "name"));
        if (!name || holds_name(c->names, name)) continue;
        if (json_array_append_new(c->names, json_string(name))) return no_memory(err);
    }
    return NAS_OK;
}

static json_t *plugin_of(const json_t *section) {
    return json_object_get(section, "plugin");
}

/* What a run was made with. NULL: out of memory. */
static json_t *run_json(const char *dir, const json_t *pipeline, const json_t *family) {
    const json_t *train = json_object_get(pipeline, "train");
    const json_t *search = json_object_get(pipeline, "search");
    return json_pack(
        "{s:s, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?}", "run", dir, "seed",
        json_object_get(pipeline, "seed"), "dataset",
        plugin_of(json_object_get(pipeline, "dataset")), "space", json_object_get(family, "space"),
        "labelled", json_object_get(json_object_get(pipeline, "split"), "labelled"), "loss",
        plugin_of(json_object_get(train, "ssl")), "sampling",
        json_object_get(train, "subnet_sampling"), "steps", json_object_get(train, "steps"),
        "search", plugin_of(search), "score", plugin_of(json_object_get(search, "score")),
        "reference", json_object_get(family, "reference"));
}

static int read_run(comparison *c, size_t i, nas_error *err) {
    const char *dir = c->dirs[i];
    int rc = read_file(dir, "pipeline.json", "run", &c->pipelines[i], err);
    if (!rc) rc = read_file(dir, "family.json", "report", &c->families[i], err);
    if (!rc) rc = index_platforms(c->pipelines[i], err);
    if (!rc) rc = add_names(c, c->families[i], err);
    if (!rc && json_array_append_new(c->runs, run_json(dir, c->pipelines[i], c->families[i])))
        rc = no_memory(err);
    return rc;
}

/* ---- Differences ---- */

static bool all_equal(json_t *const *values, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (values[i] != values[0] && !json_equal(values[i], values[0])) return false;
    return true;
}

static bool all_objects(json_t *const *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!json_is_object(values[i])) return false;
    return true;
}

static int add_difference(comparison *c, const char *path, json_t *const *values, nas_error *err) {
    json_t *list = json_array();
    int failed = 0;
    for (size_t i = 0; i < c->n; i++)
        failed |= values[i] ? json_array_append(list, values[i])
                            : json_array_append_new(list, json_null());
    json_t *item = json_pack("{s:s, s:o}", "key", path, "values", list);
    return failed || json_array_append_new(c->differences, item) ? no_memory(err) : NAS_OK;
}

static int find(comparison *c, const char *path, json_t *const *values, nas_error *err);

/* The keys of object k that none before it has. */
static int find_in_object(comparison *c, const char *path, json_t *const *values, size_t k,
                          json_t **inner, nas_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach(values[k], key, value) {
        char deeper[256];
        bool seen = false;
        for (size_t i = 0; i < c->n; i++) {
            inner[i] = json_object_get(values[i], key);
            seen = seen || (i < k && inner[i]);
        }
        if (seen) continue;
        snprintf(deeper, sizeof deeper, "%s%s%s", path, *path ? "." : "", key);
        int rc = find(c, deeper, inner, err);
        if (rc) return rc;
    }
    return NAS_OK;
}

/* Adds every key below path at which values [n], NULL where a run has none, differ. */
static int find(comparison *c, const char *path, json_t *const *values, nas_error *err) {
    if (all_equal(values, c->n)) return NAS_OK;
    if (!all_objects(values, c->n)) return add_difference(c, path, values, err);
    json_t **inner = calloc(c->n + 1, sizeof(json_t *));
    int rc = inner ? NAS_OK : no_memory(err);
    for (size_t k = 0; k < c->n && !rc; k++) rc = find_in_object(c, path, values, k, inner, err);
    free(inner);
    return rc;
}

/* ---- The result ---- */

/* The platform's entry of a family, or NULL. */
static json_t *find_platform(const json_t *family, const char *name) {
    const json_t *platforms = json_object_get(family, "platforms");
    for (size_t i = 0; i < json_array_size(platforms); i++) {
        json_t *item = json_array_get(platforms, i);
        const char *found = json_string_value(json_object_get(item, "name"));
        if (found && strcmp(found, name) == 0) return item;
    }
    return NULL;
}

static json_t *platforms_json(const comparison *c) {
    json_t *all = json_array();
    bool good = all != NULL;
    for (size_t p = 0; p < json_array_size(c->names) && good; p++) {
        const char *name = json_string_value(json_array_get(c->names, p));
        json_t *list = json_array();
        for (size_t i = 0; i < c->n && good; i++) {
            json_t *found = find_platform(c->families[i], name);
            good = !(found ? json_array_append(list, found)
                           : json_array_append_new(list, json_null()));
        }
        good = !json_array_append_new(all, json_pack("{s:s, s:o}", "name", name, "runs", list)) &&
               good;
    }
    if (good) return all;
    json_decref(all);
    return NULL;
}

static json_t *comparison_json(const comparison *c) {
    json_t *json = json_object();
    nas_json_put(&json, "runs", json_incref(c->runs));
    nas_json_put(&json, "platforms", platforms_json(c));
    nas_json_put(&json, "differences", json_incref(c->differences));
    return json;
}

static void free_all(comparison *c) {
    for (size_t i = 0; i < c->n; i++) {
        if (c->pipelines) json_decref(c->pipelines[i]);
        if (c->families) json_decref(c->families[i]);
    }
    free(c->pipelines);
    free(c->families);
    json_decref(c->runs);
    json_decref(c->names);
    json_decref(c->differences);
}

int nas_compare(const char *const *dirs, size_t n, json_t **result, nas_error *err) {
    comparison c = {.n = n,
                    .dirs = dirs,
                    .pipelines = calloc(n + 1, sizeof(json_t *)),
                    .families = calloc(n + 1, sizeof(json_t *)),
                    .runs = json_array(),
                    .names = json_array(),
                    .differences = json_array()};
    bool good = c.pipelines && c.families && c.runs && c.names && c.differences;
    int rc = good ? NAS_OK : no_memory(err);
    for (size_t i = 0; i < n && !rc; i++) rc = read_run(&c, i, err);
    if (!rc) rc = find(&c, "", c.pipelines, err);
    *result = rc ? NULL : comparison_json(&c);
    if (!rc && !*result) rc = no_memory(err);
    free_all(&c);
    return rc;
}

/* ---- Tables ---- */

/* Marks a column with * in which the runs differ. */
static void title_of(const json_t *runs, const char *key, bool mark, char *title, size_t size) {
    const json_t *first = json_object_get(json_array_get(runs, 0), key);
    bool differs = false;
    for (size_t i = 1; i < json_array_size(runs); i++)
        differs = differs || !json_equal(json_object_get(json_array_get(runs, i), key), first);
    snprintf(title, size, "%s%s", key, mark && differs ? "*" : "");
}

static int print_runs(const json_t *runs, nas_error *err) {
    static const char *const keys[] = {"run",      "seed", "dataset", "space",  "labelled",
                                       "sampling", "loss", "steps",   "search", "score"};
    enum { KEYS = sizeof keys / sizeof *keys };
    char titles[KEYS][24];
    nas_column columns[KEYS + 2] = {
        [KEYS] = {"largest top-1", "reference.largest.test_top1", NAS_SHOW_PERCENT},
        [KEYS + 1] = {"smallest top-1", "reference.smallest.test_top1", NAS_SHOW_PERCENT}};
    for (size_t k = 0; k < KEYS; k++) {
        title_of(runs, keys[k], k > 0, titles[k], sizeof titles[k]);
        columns[k] = (nas_column){titles[k], keys[k], NAS_SHOW_TEXT};
    }
    return nas_render_table(runs, columns, KEYS + 2, err);
}

/* A row for each platform in each run. NULL: out of memory. */
static json_t *rows_json(const json_t *result) {
    const json_t *runs = json_object_get(result, "runs");
    size_t p, r;
    json_t *platform, *found, *rows = json_array();
    json_array_foreach(json_object_get(result, "platforms"), p, platform) {
        json_array_foreach(json_object_get(platform, "runs"), r, found) {
            json_t *row = json_is_object(found)
                              ? nas_json_copy(found)
                              : json_pack("{s:s}", "constraints", "not in this run");
            const char *name = json_string_value(json_object_get(platform, "name"));
            nas_json_put(&row, "platform", json_string(r ? "" : name));
            nas_json_put(&row, "run", json_incref(json_object_get(json_array_get(runs, r), "run")));
            nas_json_add(&rows, row);
        }
    }
    return rows;
}

static int print_platforms(const json_t *result, nas_error *err) {
    static const nas_column columns[] = {
        {"platform", "platform", NAS_SHOW_TEXT},
        {"run", "run", NAS_SHOW_TEXT},
        {"at most", "constraints", NAS_SHOW_LIMITS},
        {"latency", "predicted", NAS_SHOW_LATENCY},
        {"MACs", "macs", NAS_SHOW_COUNT},
        {"params", "params", NAS_SHOW_COUNT},
        {"peak memory", "predicted.peak_bytes", NAS_SHOW_BYTES},
        {"test top-1", "test_top1", NAS_SHOW_PERCENT},
    };
    json_t *rows = rows_json(result);
    if (!rows) return no_memory(err);
    int rc = nas_render_table(rows, columns, sizeof columns / sizeof *columns, err);
    json_decref(rows);
    return rc;
}

static int print_differences(const json_t *result, nas_error *err) {
    const json_t *differences = json_object_get(result, "differences");
    const json_t *runs = json_object_get(result, "runs");
    size_t n = json_array_size(runs);
    if (!json_array_size(differences)) {
        puts("the pipelines are equal");
        return NAS_OK;
    }
    nas_column *columns = calloc(n + 1, sizeof *columns);
    char(*paths)[32] = calloc(n + 1, sizeof *paths);
    int rc = columns && paths ? NAS_OK : no_memory(err);
    for (size_t i = 0; i < n && !rc; i++) {
        snprintf(paths[i], sizeof paths[i], "values.%zu", i);
        const char *run = json_string_value(json_object_get(json_array_get(runs, i), "run"));
        columns[i + 1] = (nas_column){run, paths[i], NAS_SHOW_TEXT};
    }
    if (!rc) columns[0] = (nas_column){"what differs in the pipelines", "key", NAS_SHOW_TEXT};
    if (!rc) rc = nas_render_table(differences, columns, n + 1, err);
    free(columns);
    free(paths);
    return rc;
}

/* ---- The subcommand ---- */

int nas_compare_print(const json_t *result, nas_error *err) {
    int rc = print_runs(json_object_get(result, "runs"), err);
    if (!rc) putchar('\n');
    if (!rc) rc = print_platforms(result, err);
    if (!rc) putchar('\n');
    return rc ? rc : print_differences(result, err);
}

static int compare(const nas_args *args, nas_error *err) {
    json_t *result;
    int rc = nas_compare(args->operands, args->n_operands, &result, err);
    return rc ? rc : nas_cli_result(args, result, nas_compare_print, err);
}

int nas_cli_compare(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "compare", .operands = "DIR...", .help = help, .alone = true, .run = compare};
    return nas_cli_subcommand(&command, argc, argv);
}
