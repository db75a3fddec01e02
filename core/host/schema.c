#include "host/schema.h"

#include "host/options.h"
#include "host/sections.h"

#include <math.h>
#include <string.h>

/* A failed allocation anywhere is found in the end: `failed` is then set. */
typedef struct maker {
    nas_registry *registry;
    json_t *definitions; /* "$defs": each plugin's options, by its id */
    int failed;
} maker;

/* Sets object[key] to a new reference. */
static void put(maker *m, json_t *object, const char *key, json_t *value) {
    m->failed |= json_object_set_new(object, key, value);
}

static void append(maker *m, json_t *array, json_t *value) {
    m->failed |= json_array_append_new(array, value);
}

static bool may_be_null(const nas_option *option) {
    return option->fallback && strcmp(option->fallback, "null") == 0;
}

/* ---- One option ---- */

static const char *type_of(const nas_option *option) {
    switch (option->type) {
    case NAS_TYPE_BOOL:
        return "boolean";
    case NAS_TYPE_INT:
        return "integer";
    case NAS_TYPE_FLOAT:
        return "number";
    case NAS_TYPE_STRINGS:
        return "array";
    case NAS_TYPE_STRING:
    case NAS_TYPE_PATH:
    case NAS_TYPE_ENUM:
        break;
    }
    return "string";
}

/* A whole number without a fraction. */
static json_t *limit_json(const nas_option *option, double limit) {
    bool whole = option->type == NAS_TYPE_INT && fabs(limit) < 0x1p62;
    return whole ? json_integer((json_int_t)limit) : json_real(limit);
}

static void put_range(maker *m, json_t *schema, const nas_option *option) {
    bool number = option->type == NAS_TYPE_INT || option->type == NAS_TYPE_FLOAT;
    if (!number || (option->min == 0 && option->max == 0)) return;
    if (isfinite(option->min)) put(m, schema, "minimum", limit_json(option, option->min));
    if (isfinite(option->max)) put(m, schema, "maximum", limit_json(option, option->max));
}

static void put_choices(maker *m, json_t *schema, const nas_option *option) {
    json_t *words = json_array();
    for (size_t i = 0; option->choices[i]; i++) append(m, words, json_string(option->choices[i]));
    if (may_be_null(option)) append(m, words, json_null());
    put(m, schema, "enum", words);
}

/* A number, or one of the words that may stand for it. */
static void put_words(maker *m, json_t *schema, const nas_option *option) {
    json_t *words = json_array(), *number = json_pack("{s:s}", "type", "integer");
    for (size_t i = 0; option->choices[i]; i++) append(m, words, json_string(option->choices[i]));
    put_range(m, number, option);
    put(m, schema, "anyOf", json_pack("[o, {s:o}]", number, "enum", words));
}

static json_t *option_schema(maker *m, const nas_option *option) {
    const char *type = type_of(option), *unit = option->unit;
    bool words = option->type == NAS_TYPE_INT && option->choices;
    json_t *schema = json_object();
    put(m, schema, "description",
        json_sprintf("%s%s%s%s%s", option->help, unit ? " (" : "", unit ? unit : "",
                     unit ? ")" : "", option->type == NAS_TYPE_PATH ? " [a path]" : ""));
    if (words)
        put_words(m, schema, option);
    else
        put(m, schema, "type",
            may_be_null(option) ? json_pack("[s, s]", type, "null") : json_string(type));
    if (option->type == NAS_TYPE_ENUM) put_choices(m, schema, option);
    if (option->type == NAS_TYPE_STRINGS)
        put(m, schema, "items", json_pack("{s:s}", "type", "string"));
    if (!words) put_range(m, schema, option);
    if (option->fallback) put(m, schema, "default", nas_option_default(option));
    return schema;
}

/* Adds a table's options to the properties, and the names of those without a default to required.
 */
static void add_options(maker *m, const nas_option *options, size_t option_size, json_t *properties,
                        json_t *required) {
    for (size_t i = 0; options; i++) {
        const nas_option *option = nas_option_at(options, option_size, i);
        if (!option->name) break;
        put(m, properties, option->name, option_schema(m, option));
        if (!option->fallback) append(m, required, json_string(option->name));
    }
}

/* An object that has no other keys than these; takes both references. */
static json_t *object_schema(maker *m, json_t *properties, json_t *required) {
    json_t *schema = json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties,
                               "additionalProperties", 0);
    if (json_array_size(required))
        put(m, schema, "required", required);
    else
        json_decref(required);
    return schema;
}

/* ---- Plugins ---- */

static void warn(const maker *m, const char *message) {
    const nas_services *services = nas_registry_services(m->registry);
    if (services->log) services->log(services->context, NAS_WARNING, message);
}

/* Defines the options of a plugin; true if one of them is required. */
static bool define(maker *m, const nas_plugin *plugin) {
    json_t *properties = json_object(), *required = json_array();
    add_options(m, plugin->options, plugin->option_size, properties, required);
    bool needed = json_array_size(required) > 0;
    json_t *schema = object_schema(m, properties, required);
    put(m, schema, "description", json_sprintf("%s (%s)", plugin->summary, plugin->source));
    put(m, m->definitions, plugin->id, schema);
    return needed;
}

/* {"if": the plugin is this one, "then": its options are these} */
static json_t *condition(maker *m, const nas_plugin *plugin) {
    json_t *reference = json_sprintf("#/$defs/%s", plugin->id);
    json_t *rule = json_pack("{s:{s:{s:{s:s}}, s:[s]}, s:{s:{s:{s:o}}}}", "if", "properties",
                             "plugin", "const", plugin->id, "required", "plugin", "then",
                             "properties", "options", "$ref", reference);
    if (define(m, plugin))
        put(m, json_object_get(rule, "then"), "required", json_pack("[s]", "options"));
    return rule;
}

/* Lets "plugin" be each usable plugin of the kind, and "options" be that one's. */
static void add_plugins(maker *m, nas_kind kind, json_t *schema) {
    json_t *properties = json_object_get(schema, "properties");
    json_t *choices = json_array(), *rules = json_array();
    for (size_t i = 0; i < nas_registry_count(m->registry); i++) {
        const nas_manifest_entry *entry = nas_registry_entry(m->registry, i);
        const nas_plugin *plugin;
        nas_error why;
        if (entry->kind != kind) continue;
        if (nas_registry_load(m->registry, kind, entry->id, &plugin, &why)) {
            warn(m, why.message);
            continue;
        }
        append(m, choices,
               json_pack("{s:s, s:s}", "const", plugin->id, "description", plugin->summary));
        append(m, rules, condition(m, plugin));
    }
    put(m, properties, "options", json_pack("{s:s}", "type", "object"));
    if (json_array_size(choices)) { /* an empty list is no valid schema */
        put(m, json_object_get(properties, "plugin"), "oneOf", choices);
        put(m, schema, "allOf", rules);
        return;
    }
    json_decref(choices);
    json_decref(rules);
    put(m, json_object_get(properties, "plugin"), "not", json_object());
}

/* ---- Sections ---- */

static json_t *section_schema(maker *m, nas_section_id id, int depth);

static bool is_required(const nas_section *section, const json_t *schema) {
    if (section->type) return section->required;
    return section->min || json_object_get(schema, "required");
}

/* Sections lie three deep at most. */
static void add_inner(maker *m, nas_section_id parent, json_t *properties, json_t *required,
                      int depth) {
    for (int i = 0; i < NAS_SECTIONS && depth < 4; i++) {
        const nas_section *section = &nas_sections[i];
        if (section->parent != parent) continue;
        json_t *schema = section_schema(m, (nas_section_id)i, depth + 1);
        if (is_required(section, schema)) append(m, required, json_string(section->key));
        put(m, properties, section->key, schema);
    }
}

static json_t *table_schema(maker *m, nas_section_id id, int depth) {
    const nas_section *section = &nas_sections[id];
    json_t *properties = json_object(), *required = json_array();
    add_options(m, section->options, sizeof *section->options, properties, required);
    add_inner(m, id, properties, required, depth);
    json_t *schema = object_schema(m, properties, required);
    if (section->plugin) add_plugins(m, section->plugin, schema);
    return schema;
}

/* An object, or something else: what its schema says of keys does not touch other types. */
static json_t *form_schema(maker *m, const nas_section *section) {
    if (!section->form) return json_pack("{s:s}", "type", section->type);
    json_t *schema = section->form();
    put(m, schema, "type", json_pack("[s, s]", section->type, "object"));
    return schema;
}

static json_t *section_schema(maker *m, nas_section_id id, int depth) {
    const nas_section *section = &nas_sections[id];
    json_t *schema = section->type ? form_schema(m, section) : table_schema(m, id, depth);
    put(m, schema, "description", json_string(section->help));
    if (!section->max) return schema;
    return json_pack("{s:s, s:I, s:I, s:o}", "type", "array", "minItems", (json_int_t)section->min,
                     "maxItems", (json_int_t)section->max, "items", schema);
}

int nas_schema(nas_registry *registry, json_t **schema, nas_error *err) {
    maker m = {.registry = registry, .definitions = json_object()};
    *schema = json_pack("{s:s, s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema",
                        "title", "nashost pipeline");
    json_t *root = section_schema(&m, NAS_AT_ROOT, 0);
    m.failed |= json_object_update(*schema, root);
    put(&m, *schema, "$defs", m.definitions);
    json_decref(root);
    if (!m.failed && *schema) return NAS_OK;
    json_decref(*schema);
    *schema = NULL;
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a schema");
}
