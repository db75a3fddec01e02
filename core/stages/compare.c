#include "stages/compare.h"

#include "base/json.h"
#include "host/sections.h"
#include "stages/chosen.h"
#include "stages/rundir.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    json_t **inner = calloc(c->n, sizeof(json_t *));
    int rc = inner ? NAS_OK : no_memory(err);
    for (size_t k = 0; k < c->n && !rc; k++) rc = find_in_object(c, path, values, k, inner, err);
    free(inner);
    return rc;
}

/* ---- JSON ---- */

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

static int print_json(const comparison *c, nas_error *err) {
    json_t *json = json_pack("{s:O, s:o, s:O}", "runs", c->runs, "platforms", platforms_json(c),
                             "differences", c->differences);
    if (!json) return no_memory(err);
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    fputc('\n', stdout);
    json_decref(json);
    return NAS_OK;
}

/* ---- Tables ---- */

/* A value as a cell shows it; "-" where there is none. */
static void show(const json_t *value, nas_cell *cell) {
    char *text = value && !json_is_null(value) && !json_is_string(value)
                     ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6))
                     : NULL;
    const char *word = json_is_string(value) ? json_string_value(value) : text;
    snprintf(cell->text, sizeof cell->text, "%.*s", (int)sizeof cell->text - 1, word ? word : "-");
    if (text && json_is_object(value))
        snprintf(cell->text, sizeof cell->text, "{...}");
    else if (text && strlen(text) > 60)
        snprintf(cell->text + 57, 4, "...");
    free(text);
}

static double number_at(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static uint64_t count_at(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : UINT64_MAX;
}

static double reference_top1(const json_t *run, const char *name) {
    const json_t *reference = json_object_get(run, "reference");
    return number_at(json_object_get(reference, name), "test_top1");
}

static int print_runs(const comparison *c, nas_error *err) {
    static const char *const keys[] = {"run",      "seed", "dataset", "space",  "labelled",
                                       "sampling", "loss", "steps",   "search", "score"};
    enum { KEYS = sizeof keys / sizeof *keys };
    nas_table table;
    int rc = nas_table_create(c->n + 1, KEYS + 2, &table, err);
    if (rc) return rc;
    for (size_t k = 0; k < KEYS; k++) {
        const json_t *first = json_object_get(json_array_get(c->runs, 0), keys[k]);
        bool differs = false;
        for (size_t i = 0; i < c->n; i++) {
            const json_t *value = json_object_get(json_array_get(c->runs, i), keys[k]);
            show(value, nas_table_at(&table, i + 1, k));
            differs = differs || !json_equal(value, first);
        }
        nas_cell *title = nas_table_at(&table, 0, k);
        snprintf(title->text, sizeof title->text, "%s%s", keys[k], k && differs ? "*" : "");
    }
    static const char *const subnets[] = {"largest", "smallest"};
    for (size_t k = 0; k < 2; k++) {
        nas_cell *title = nas_table_at(&table, 0, KEYS + k);
        snprintf(title->text, sizeof title->text, "%s top-1", subnets[k]);
        for (size_t i = 0; i < c->n; i++)
            *nas_table_at(&table, i + 1, KEYS + k) =
                nas_text_percent(reference_top1(json_array_get(c->runs, i), subnets[k]));
    }
    nas_table_print(&table, stdout);
    nas_table_free(&table);
    return NAS_OK;
}

/* "constraints" of family.json for a table. */
static nas_cell limits_of(const json_t *platform) {
    static const nas_place place = {"family.json", "constraints", "."};
    nas_constraints limits;
    json_t *resolved = NULL;
    if (nas_options_parse(nas_constraints_options, sizeof *nas_constraints_options,
                          json_object_get(platform, "constraints"), NULL, &place, &limits,
                          &resolved, NULL))
        return (nas_cell){"?"};
    json_decref(resolved);
    return nas_limits_text(&limits);
}

static void fill_platform(nas_cell *cells, const json_t *platform) {
    const json_t *cost = json_object_get(platform, "predicted");
    if (!platform) {
        snprintf(cells[0].text, sizeof cells[0].text, "not in this run");
        return;
    }
    cells[0] = limits_of(platform);
    cells[1] = nas_text_value(number_at(cost, "latency_ms"), "ms");
    cells[2] = nas_text_count(count_at(platform, "macs"));
    cells[3] = nas_text_count(count_at(platform, "params"));
    cells[4] = nas_text_bytes(count_at(cost, "peak_bytes"));
    cells[5] = nas_text_percent(number_at(platform, "test_top1"));
}

static int print_platforms(const comparison *c, nas_error *err) {
    static const char *const titles[] = {"platform", "run",    "at most",     "latency",
                                         "MACs",     "params", "peak memory", "test top-1"};
    size_t n = json_array_size(c->names);
    nas_table table;
    int rc = nas_table_create(n * c->n + 1, sizeof titles / sizeof *titles, &table, err);
    if (rc) return rc;
    nas_table_head(&table, titles);
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < c->n; i++) {
            const char *name = json_string_value(json_array_get(c->names, p));
            nas_cell *cells = nas_table_at(&table, p * c->n + i + 1, 0);
            snprintf(cells[0].text, sizeof cells[0].text, "%s", i ? "" : name);
            snprintf(cells[1].text, sizeof cells[1].text, "%s", c->dirs[i]);
            fill_platform(cells + 2, find_platform(c->families[i], name));
        }
    nas_table_print(&table, stdout);
    nas_table_free(&table);
    return NAS_OK;
}

static int print_differences(const comparison *c, nas_error *err) {
    size_t n = json_array_size(c->differences);
    nas_table table;
    if (!n) puts("the pipelines are equal");
    if (!n) return NAS_OK;
    int rc = nas_table_create(n + 1, c->n + 1, &table, err);
    if (rc) return rc;
    snprintf(table.cells->text, sizeof table.cells->text, "what differs in the pipelines");
    for (size_t i = 0; i < c->n; i++)
        snprintf(nas_table_at(&table, 0, i + 1)->text, sizeof table.cells->text, "%s", c->dirs[i]);
    for (size_t d = 0; d < n; d++) {
        const json_t *item = json_array_get(c->differences, d);
        show(json_object_get(item, "key"), nas_table_at(&table, d + 1, 0));
        for (size_t i = 0; i < c->n; i++)
            show(json_array_get(json_object_get(item, "values"), i),
                 nas_table_at(&table, d + 1, i + 1));
    }
    nas_table_print(&table, stdout);
    nas_table_free(&table);
    return NAS_OK;
}

static int print_tables(const comparison *c, nas_error *err) {
    int rc = print_runs(c, err);
    if (!rc) putchar('\n');
    if (!rc) rc = print_platforms(c, err);
    if (!rc) putchar('\n');
    return rc ? rc : print_differences(c, err);
}

/* ---- All of it ---- */

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

int nas_compare(const char *const *dirs, size_t n, bool json, nas_error *err) {
    comparison c = {.n = n,
                    .dirs = dirs,
                    .pipelines = calloc(n, sizeof(json_t *)),
                    .families = calloc(n, sizeof(json_t *)),
                    .runs = json_array(),
                    .names = json_array(),
                    .differences = json_array()};
    bool good = c.pipelines && c.families && c.runs && c.names && c.differences;
    int rc = good ? NAS_OK : no_memory(err);
    for (size_t i = 0; i < n && !rc; i++) rc = read_run(&c, i, err);
    if (!rc) rc = find(&c, "", c.pipelines, err);
    if (!rc) rc = json ? print_json(&c, err) : print_tables(&c, err);
    free_all(&c);
    return rc;
}
