#include "stages/eval.h"

#include "base/json.h"
#include "base/memory.h"
#include "space/fields.h"
#include "stages/context.h"
#include "stages/evaluate.h"
#include "stages/rundir.h"
#include "stages/table.h"

#include <stdlib.h>
#include <string.h>

typedef struct subnet {
    char name[64];
    nas_genome genome;
    nas_figures figures;
} subnet;

typedef struct eval {
    const nas_context *context;
    size_t n;
    subnet *subnets;
} eval;

/* ---- Which subnets ---- */

/* Makes room for more subnets. */
static int grow(eval *e, size_t more, nas_error *err) {
    subnet *subnets = nas_alloc(e->n + more, sizeof *subnets);
    if (!subnets) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu subnets", more);
    if (e->n) memcpy(subnets, e->subnets, e->n * sizeof *subnets);
    free(e->subnets);
    e->subnets = subnets;
    return NAS_OK;
}

static void add(eval *e, const char *name, const nas_genome *genome) {
    subnet *s = &e->subnets[e->n++];
    snprintf(s->name, sizeof s->name, "%s", name);
    s->genome = *genome;
    nas_genome_canonical(&e->context->space, &s->genome);
}

static int read_subnet(eval *e, const nas_spot *spot, const json_t *json, const char *name,
                       nas_error *err) {
    const json_t *given = json_object_get(json, "name"), *inner = json_object_get(json, "genome");
    nas_genome genome;
    char where[1024];
    nas_spot at = inner ? nas_spot_key(spot, "genome") : *spot;
    snprintf(where, sizeof where, "%s%s%s", at.where, at.path[0] ? ": " : "", at.path);
    int rc = nas_genome_from_json(&e->context->space, inner ? inner : json, where, &genome, err);
    if (rc) return rc;
    size_t length = json_string_length(given), most = sizeof e->subnets->name - 1;
    at = nas_spot_key(spot, "name");
    if (given && (length < 1 || length > most))
        return nas_spot_fail(&at, given, err, "a string of 1 to %zu bytes", most);
    add(e, given ? json_string_value(given) : name, &genome);
    return NAS_OK;
}

static int read_array(eval *e, const nas_spot *root, const json_t *array, const char *stem,
                      nas_error *err) {
    size_t n = json_array_size(array);
    if (!n) return nas_spot_fail(root, array, err, "at least one subnet");
    int rc = grow(e, n, err);
    for (size_t i = 0; i < n && !rc; i++) {
        char name[sizeof e->subnets->name];
        nas_spot item = nas_spot_item(root, i);
        snprintf(name, sizeof name, "%.40s[%zu]", stem, i);
        rc = read_subnet(e, &item, json_array_get(array, i), name, err);
    }
    return rc;
}

/* The file's name without folder and extension. JSON takes UTF-8 alone, which it need not be. */
static void stem_of(const char *file, char *stem, size_t size) {
    const char *slash = strrchr(file, '/');
    snprintf(stem, size, "%s", slash ? slash + 1 : file);
    stem[strcspn(stem, ".")] = 0;
    for (char *c = stem; *c; c++)
        if ((unsigned char)*c > '~') *c = '?';
}

static int read_file(eval *e, const char *file, nas_error *err) {
    json_t *json;
    char stem[48];
    nas_spot root = nas_spot_root(file);
    int rc = nas_json_load(file, &json, err);
    if (rc == NAS_ERR_IO) /* a name that the user mistyped, most likely */
        return err ? err->code = NAS_ERR_INPUT : NAS_ERR_INPUT;
    if (rc) return rc;
    stem_of(file, stem, sizeof stem);
    if (json_is_array(json)) {
        rc = read_array(e, &root, json, stem, err);
    } else {
        rc = grow(e, 1, err);
        if (!rc) rc = read_subnet(e, &root, json, stem, err);
    }
    json_decref(json);
    return rc;
}

static int choose(eval *e, const char *const *files, size_t n, nas_error *err) {
    const nas_space *space = &e->context->space;
    nas_genome largest = nas_genome_largest(space), smallest = nas_genome_smallest(space);
    int rc = NAS_OK;
    for (size_t i = 0; i < n && !rc; i++) rc = read_file(e, files[i], err);
    if (n) return rc;
    rc = grow(e, 2, err);
    if (rc) return rc;
    add(e, "largest", &largest);
    add(e, "smallest", &smallest);
    return NAS_OK;
}

/* ---- What becomes of them ---- */

static int judge(eval *e, nas_error *err) {
    const nas_context *context = e->context;
    nas_evaluator evaluator;
    nas_images test = {0};
    int rc = nas_evaluator_open(context, &evaluator, err);
    if (rc) return rc;
    rc = nas_source_read(&context->source, NAS_SPLIT_TEST, &test, err);
    for (size_t i = 0; i < e->n && !rc; i++) {
        subnet *s = &e->subnets[i];
        rc = nas_evaluator_figures(&evaluator, &s->genome, &test, &s->figures, err);
    }
    nas_images_free(&test);
    nas_evaluator_close(&evaluator);
    return rc;
}

/* NULL: out of memory. */
static json_t *subnet_json(const nas_space *space, const subnet *s) {
    json_t *json = json_pack("{s:s}", "name", s->name);
    json_t *figures = nas_figures_json(space, &s->genome, &s->figures);
    bool good = figures && json_object_update(json, figures) == 0;
    json_decref(figures);
    if (good) return json;
    json_decref(json);
    return NULL;
}

static int print_json(const eval *e, nas_error *err) {
    const nas_context *context = e->context;
    json_t *list = json_array();
    bool good = true;
    for (size_t i = 0; i < e->n && good; i++)
        good = !json_array_append_new(list, subnet_json(&context->space, &e->subnets[i]));
    json_t *all =
        json_pack("{s:I, s:s, s:s, s:I, s:o}", "seed", (json_int_t)context->pipeline->seed,
                  "dataset", context->pipeline->dataset.id, "space", context->space.name,
                  "labelled", (json_int_t)context->pipeline->labelled, "subnets", list);
    if (good && all) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
    }
    json_decref(all);
    if (good && all) return NAS_OK;
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu subnets", e->n);
}

static int print_table(const eval *e, nas_error *err) {
    static const char *const titles[] = {"subnet",           "MACs",       "params",
                                         "validation top-1", "test top-1", "genome"};
    nas_table table;
    int rc = nas_table_create(e->n + 1, sizeof titles / sizeof *titles, &table, err);
    if (rc) return rc;
    nas_table_head(&table, titles);
    for (size_t i = 0; i < e->n; i++) {
        const subnet *s = &e->subnets[i];
        nas_cell *cells = nas_table_at(&table, i + 1, 0);
        snprintf(cells[0].text, sizeof cells[0].text, "%s", s->name);
        cells[1] = nas_text_count(s->figures.macs);
        cells[2] = nas_text_count(s->figures.params);
        cells[3] = nas_text_percent(s->figures.validation_top1);
        cells[4] = nas_text_percent(s->figures.test_top1);
        nas_genome_short(&e->context->space, &s->genome, cells[5].text, sizeof cells[5].text);
    }
    nas_table_print(&table, stdout);
    nas_table_free(&table);
    return NAS_OK;
}

/* ---- The stage ---- */

static int load(nas_context *context, nas_error *err) {
    const char *out = context->request->out;
    char path[NAS_RUNDIR_PATH];
    int rc = nas_rundir_path(out, "split.json", path, sizeof path, err);
    if (!rc) rc = nas_context_split(context, path, err);
    if (!rc) rc = nas_rundir_path(out, "supernet.safetensors", path, sizeof path, err);
    return rc ? rc : nas_supernet_load(context->supernet, path, err);
}

int nas_eval(const nas_run_request *request, const char *const *files, size_t n, nas_error *err) {
    int rc = nas_rundir_trained(request->out, err);
    if (rc) return rc;
    nas_context *context = nas_alloc(1, sizeof *context);
    if (!context) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    eval e = {.context = context};
    rc = nas_context_open(request, context, err);
    if (!rc) rc = choose(&e, files, n, err);
    if (!rc) rc = load(context, err);
    if (!rc) rc = judge(&e, err);
    if (!rc) rc = request->json ? print_json(&e, err) : print_table(&e, err);
    free(e.subnets);
    nas_context_close(context);
    free(context);
    return rc;
}
