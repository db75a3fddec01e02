#include "host/pipeline.h"

#include "base/file.h"
#include "base/json.h"
#include "host/instance.h"
#include "host/overrides.h"
#include "host/sections.h"
#include "host/space_file.h"
#include "space/genome.h"
#include "space/restrict.h"

#include <nashost/kit/names.h>
#include <stdlib.h>
#include <string.h>

/* What the readers below share. */
typedef struct reader {
    nas_pipeline *pipeline;
    nas_registry *registry;
    nas_error *err;
} reader;

/* An object of the pipeline while it is read: what the user wrote (NULL: nothing), where, and what
 * it resolves to. */
typedef struct node {
    const json_t *json;
    char path[64];
    json_t *resolved; /* borrowed from the pipeline's */
} node;

static int no_memory(const reader *r) {
    return nas_fail(r->err, NAS_ERR_MEMORY, "%s: out of memory", r->pipeline->file);
}

static nas_place place_of(const reader *r, const node *at) {
    return (nas_place){r->pipeline->file, at->path, r->pipeline->folder};
}

/* Parses at->json by a section's table and puts what it resolves to into parent, under the
 * section's key or at an array's end. */
static int parse(const reader *r, node *at, json_t *parent, nas_section_id id, void *config) {
    const nas_section *section = &nas_sections[id];
    const char *nested[NAS_MAX_NESTED];
    nas_place place = place_of(r, at);
    nas_section_nested(id, nested);
    int rc = nas_options_parse(section->options, sizeof *section->options, at->json, nested, &place,
                               config, &at->resolved, r->err);
    if (rc) return rc;
    int failed = section->max ? json_array_append_new(parent, at->resolved)
                              : json_object_set_new(parent, section->key, at->resolved);
    return failed ? no_memory(r) : NAS_OK;
}

/* The object under a key of parent. */
static node child(const node *parent, const char *key) {
    node at = {.json = json_object_get(parent->json, key)};
    snprintf(at.path, sizeof at.path, "%.40s%s%.20s", parent->path, parent->path[0] ? "." : "",
             key);
    return at;
}

static int parse_child(const reader *r, const node *parent, nas_section_id id, node *at,
                       void *config) {
    *at = child(parent, nas_sections[id].key);
    return parse(r, at, parent->resolved, id, config);
}

/* Loads the plugin `id` that the object `at` names and checks its options. */
static int read_plugin(const reader *r, const node *at, nas_section_id section, const char *id,
                       nas_use *use) {
    const nas_kind kind = nas_sections[section].plugin;
    const nas_plugin *plugin;
    nas_place place = place_of(r, at);
    nas_error why;
    int rc = nas_registry_load(r->registry, kind, id, &plugin, &why);
    if (rc == NAS_ERR_INPUT) return nas_fail_at(&place, "plugin", r->err, "%s", why.message);
    if (rc) return nas_fail(r->err, rc, "%s", why.message);
    node options = child(at, "options");
    place = place_of(r, &options);
    rc = nas_instance_validate(r->registry, kind, id, options.json, &place, &options.resolved,
                               r->err);
    if (rc) return rc;
    if (json_object_set_new(at->resolved, "options", options.resolved)) return no_memory(r);
    use->options = options.resolved;
    snprintf(use->id, sizeof use->id, "%s", id);
    snprintf(use->path, sizeof use->path, "%s", at->path);
    return NAS_OK;
}

/* {"plugin": ..., "options": {...}} */
static int read_use(const reader *r, const node *parent, nas_section_id id, nas_use *use) {
    node at;
    nas_use_section section;
    int rc = parse_child(r, parent, id, &at, &section);
    return rc ? rc : read_plugin(r, &at, id, section.plugin, use);
}

static int read_dataset(const reader *r, const node *root) {
    node at;
    nas_dataset_section section = {0};
    int rc = parse_child(r, root, NAS_AT_DATASET, &at, &section);
    if (rc) return rc;
    r->pipeline->dataset_config = section.config;
    return read_plugin(r, &at, NAS_AT_DATASET, section.plugin, &r->pipeline->dataset);
}

static int read_split(const reader *r, const node *root) {
    node at;
    return parse_child(r, root, NAS_AT_SPLIT, &at, &r->pipeline->split);
}

/* A copy of an optional key's object in *copy, which the resolved parent keeps; NULL: none. */
static int copy_object(const reader *r, const node *parent, const char *key, const json_t **copy) {
    json_t *json = json_object_get(parent->json, key);
    *copy = NULL;
    if (!json || json_is_null(json)) return NAS_OK;
    json_t *mine = nas_json_copy(json);
    if (json_object_set_new(parent->resolved, key, mine)) return no_memory(r);
    *copy = mine;
    return NAS_OK;
}

static int narrow_space(const nas_pipeline *pipeline, nas_space *space, nas_error *err) {
    char where[1024];
    snprintf(where, sizeof where, "%s: space_restrict", pipeline->file);
    return nas_space_restrict(space, pipeline->space_restrict, where, err);
}

int nas_pipeline_space(const nas_pipeline *pipeline, uint32_t channels, uint32_t classes,
                       nas_space *space, nas_error *err) {
    char where[1024];
    snprintf(where, sizeof where, "%s: space", pipeline->file);
    int rc = nas_space_parse(pipeline->space, where, channels, classes, space, err);
    return rc ? rc : narrow_space(pipeline, space, err);
}

/* The space is checked for one channel and two classes, the least that a data set can have: what
 * the data set really has is known when it is opened. */
static int read_space(const reader *r, const node *root, nas_space *space) {
    char source[1024];
    json_t *json;
    nas_place place = place_of(r, root);
    const json_t *value = json_object_get(root->json, "space");
    const char *weights = r->pipeline->init.weights;
    int rc = value || !weights
                 ? nas_space_find(value, &place, r->registry, &json, source, sizeof source, r->err)
                 : nas_space_of_weights(weights, &json, source, sizeof source, r->err);
    if (rc) return rc;
    if (json_object_set_new(root->resolved, "space", json)) return no_memory(r);
    r->pipeline->space = json;
    rc = copy_object(r, root, "space_restrict", &r->pipeline->space_restrict);
    if (!rc) rc = nas_space_parse(json, source, 1, 2, space, r->err);
    return rc ? rc : narrow_space(r->pipeline, space, r->err);
}

static int read_genome(const reader *r, const node *train, const nas_space *space) {
    nas_place place = place_of(r, train);
    char where[1024];
    nas_genome genome;
    int rc = copy_object(r, train, "genome", &r->pipeline->genome);
    const json_t *json = r->pipeline->genome;
    if (rc || (!json && r->pipeline->train.shape != NAS_STEP_FIXED)) return rc;
    if (!json)
        return nas_fail_at(&place, "genome", r->err,
                           "missing; subnet_sampling \"fixed\" trains the one subnet that it "
                           "describes");
    snprintf(where, sizeof where, "%s: %s.genome", place.file, place.path);
    return nas_genome_from_json(space, json, where, &genome, r->err);
}

static int read_train(const reader *r, const node *root, const nas_space *space) {
    node at;
    int rc = parse_child(r, root, NAS_AT_TRAIN, &at, &r->pipeline->train);
    if (!rc) rc = read_genome(r, &at, space);
    return rc ? rc : read_use(r, &at, NAS_AT_SSL, &r->pipeline->ssl);
}

/* One more objective by its name. */
static int read_objective(const reader *r, const node *at, size_t i, const char *name) {
    nas_search_config *config = &r->pipeline->search_config;
    nas_place place = place_of(r, at);
    int id = 0;
    if (!i && !strcmp(name, "score")) return NAS_OK;
    if (!i)
        return nas_fail_at(&place, "objectives", r->err,
                           "expected \"score\" first, which is what subnets are evaluated for, "
                           "found \"%.60s\"",
                           name);
    while (id < NAS_MAX_LIMITS && strcmp(name, nas_limit_names[id]) != 0) id++;
    const char *near = nas_nearest(name, nas_limit_names, NAS_MAX_LIMITS);
    if (id == NAS_MAX_LIMITS)
        return nas_fail_at(&place, "objectives", r->err,
                           "expected names of constraints after \"score\", found \"%.60s\"; did "
                           "you mean \"%s\"?",
                           name, near ? near : nas_limit_names[0]);
    for (size_t k = 0; k < config->n_objectives; k++)
        if (config->objectives[k] == id)
            return nas_fail_at(&place, "objectives", r->err, "\"%s\" stands there twice", name);
    config->objectives[config->n_objectives++] = id;
    return NAS_OK;
}

static int read_objectives(const reader *r, const node *at, const char *const *names) {
    int rc = NAS_OK;
    r->pipeline->search_config.named = names && names[0];
    for (size_t i = 0; names && names[i] && !rc; i++) rc = read_objective(r, at, i, names[i]);
    return rc;
}

static int read_search(const reader *r, const node *root) {
    node at;
    nas_search_section section = {0};
    const nas_section *known = &nas_sections[NAS_AT_SEARCH];
    int rc = parse_child(r, root, NAS_AT_SEARCH, &at, &section);
    if (rc) return rc;
    r->pipeline->search_config = section.config;
    rc = read_objectives(r, &at, section.objectives);
    nas_options_free(known->options, sizeof *known->options, &section);
    if (rc) return rc;
    rc = read_plugin(r, &at, NAS_AT_SEARCH, section.plugin, &r->pipeline->search);
    return rc ? rc : read_use(r, &at, NAS_AT_SCORE, &r->pipeline->score);
}

/* A platform's name becomes part of file names. */
static int check_name(const reader *r, const node *at, const char *name) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    nas_place place = place_of(r, at);
    size_t n = strspn(name, letters);
    if (n == 0 || n >= sizeof r->pipeline->platforms->name || name[n] || strchr(".-", name[0]))
        return nas_fail_at(&place, "name", r->err,
                           "expected 1 to 31 of the characters A-Z a-z 0-9 . _ -, the first a "
                           "letter, a digit or _, found \"%.60s\"",
                           name);
    for (size_t i = 0; i < r->pipeline->n_platforms; i++)
        if (strcmp(r->pipeline->platforms[i].name, name) == 0)
            return nas_fail_at(&place, "name", r->err,
                               "\"%s\" names platforms[%zu] already; give each its own name", name,
                               i);
    return NAS_OK;
}

/* Reads each element of an array of objects; a missing array is empty. */
static int read_list(const reader *r, const node *parent, nas_section_id id,
                     int (*read_item)(const reader *, node *, json_t *)) {
    const char *key = nas_sections[id].key;
    size_t min = nas_sections[id].min, max = nas_sections[id].max;
    const json_t *json = json_object_get(parent->json, key);
    nas_place place = place_of(r, parent);
    size_t n = json_array_size(json);
    char found[100];
    if ((json && !json_is_array(json)) || n < min || n > max) {
        if (json_is_array(json))
            snprintf(found, sizeof found, "%zu", n);
        else
            nas_found(json, found, sizeof found);
        return nas_fail_at(&place, key, r->err, "expected an array of %zu to %zu objects, found %s",
                           min, max, found);
    }
    json_t *list = json_array();
    if (json_object_set_new(parent->resolved, key, list)) return no_memory(r);
    int rc = NAS_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        node at = {.json = json_array_get(json, i)};
        snprintf(at.path, sizeof at.path, "%.24s%s%.16s[%zu]", parent->path,
                 parent->path[0] ? "." : "", key, i);
        rc = read_item(r, &at, list);
    }
    return rc;
}

static int read_export(const reader *r, node *at, json_t *list) {
    nas_export_section section;
    nas_export_use *export = &r->pipeline->exports[r->pipeline->n_exports];
    int rc = parse(r, at, list, NAS_AT_EXPORT, &section);
    if (!rc) rc = read_plugin(r, at, NAS_AT_EXPORT, section.plugin, &export->use);
    if (rc) return rc;
    export->verify = section.verify;
    r->pipeline->n_exports++;
    return NAS_OK;
}

static int read_exports(const reader *r, const node *parent, nas_section_id id,
                        nas_export_list *list) {
    list->first = r->pipeline->n_exports;
    int rc = read_list(r, parent, id, read_export);
    list->n = r->pipeline->n_exports - list->first;
    return rc;
}

static int read_platform(const reader *r, node *at, json_t *list) {
    nas_platform_section section;
    nas_platform platform = {0};
    node constraints;
    int rc = parse(r, at, list, NAS_AT_PLATFORMS, &section);
    if (!rc) rc = check_name(r, at, section.name);
    if (rc) return rc;
    snprintf(platform.name, sizeof platform.name, "%s", section.name);
    rc = read_use(r, at, NAS_AT_HARDWARE, &platform.hardware);
    if (!rc) rc = parse_child(r, at, NAS_AT_CONSTRAINTS, &constraints, &platform.constraints);
    if (!rc && json_object_get(at->json, "export"))
        rc = read_exports(r, at, NAS_AT_PLATFORM_EXPORT, &platform.exports);
    if (!rc) r->pipeline->platforms[r->pipeline->n_platforms++] = platform;
    return rc;
}

/* For platforms without a list of their own. */
static int read_common_exports(const reader *r, const node *root) {
    nas_pipeline *pipeline = r->pipeline;
    nas_export_list list;
    int rc = read_exports(r, root, NAS_AT_EXPORT, &list);
    const json_t *platforms = json_object_get(root->resolved, "platforms");
    for (size_t i = 0; i < pipeline->n_platforms; i++)
        if (!json_object_get(json_array_get(platforms, i), "export"))
            pipeline->platforms[i].exports = list;
    return rc;
}

static int read_root(const reader *r, const json_t *json) {
    const nas_option *options = nas_sections[NAS_AT_ROOT].options;
    const char *nested[NAS_MAX_NESTED];
    nas_pipeline *pipeline = r->pipeline;
    node root = {.json = json}, augment, init;
    nas_place place = place_of(r, &root);
    nas_root_section section;
    nas_space space;
    nas_section_nested(NAS_AT_ROOT, nested);
    int rc = nas_options_parse(options, sizeof *options, json, nested, &place, &section,
                               &pipeline->resolved, r->err);
    if (rc) return rc;
    root.resolved = pipeline->resolved;
    pipeline->seed = section.seed;
    rc = read_dataset(r, &root);
    if (!rc) rc = read_split(r, &root);
    if (!rc) rc = parse_child(r, &root, NAS_AT_INIT, &init, &pipeline->init);
    if (!rc) rc = read_space(r, &root, &space);
    if (!rc) rc = parse_child(r, &root, NAS_AT_AUGMENT, &augment, &pipeline->augment);
    if (!rc) rc = read_train(r, &root, &space);
    if (!rc) rc = read_search(r, &root);
    if (!rc) rc = read_list(r, &root, NAS_AT_PLATFORMS, read_platform);
    return rc ? rc : read_common_exports(r, &root);
}

/* Notes the file and its absolute folder. */
static int set_file(nas_pipeline *pipeline, const char *file, nas_error *err) {
    char *folder = nas_path_folder(file);
    pipeline->file = strdup(file);
    pipeline->folder = folder ? realpath(folder, NULL) : NULL;
    free(folder);
    if (pipeline->file && pipeline->folder) return NAS_OK;
    return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", file);
}

int nas_pipeline_load(const char *file, const char *const *overrides, size_t n_overrides,
                      nas_registry *registry, nas_pipeline *pipeline, nas_error *err) {
    json_t *json;
    *pipeline = (nas_pipeline){0};
    int rc = nas_json_load(file, &json, err);
    if (rc == NAS_ERR_IO) /* a name that the user mistyped, most likely */
        return err ? err->code = NAS_ERR_INPUT : NAS_ERR_INPUT;
    if (rc) return rc;
    rc = set_file(pipeline, file, err);
    if (!rc && json_is_object(json)) rc = nas_overrides_apply(json, overrides, n_overrides, err);
    const reader r = {pipeline, registry, err};
    if (!rc) rc = read_root(&r, json);
    json_decref(json);
    if (rc) nas_pipeline_free(pipeline);
    return rc;
}

void nas_pipeline_free(nas_pipeline *pipeline) {
    if (!pipeline) return;
    json_decref(pipeline->resolved);
    free(pipeline->file);
    free(pipeline->folder);
    *pipeline = (nas_pipeline){0};
}
