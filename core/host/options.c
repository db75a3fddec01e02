#include "host/options.h"

#include "base/file.h"
#include "base/json.h"

#include <math.h>
#include <nashost/kit/names.h>
#include <stdlib.h>
#include <string.h>

const nas_option *nas_option_at(const nas_option *options, size_t option_size, size_t i) {
    return (const nas_option *)(const void *)((const char *)options + i * option_size);
}

const char *nas_type_name(nas_type type) {
    static const char *const names[] = {"unknown", "bool", "int",  "float",
                                        "string",  "path", "enum", "strings"};
    return (size_t)type < sizeof names / sizeof *names ? names[type] : names[0];
}

char *nas_found(const json_t *value, char *buffer, size_t size) {
    const char *kind = nas_json_kind(value);
    const char *article = strchr("aeiou", kind[0]) ? "an" : "a";
    if (!value || json_is_null(value)) {
        snprintf(buffer, size, "%s", kind);
    } else if (json_is_object(value) || json_is_array(value)) {
        snprintf(buffer, size, "%s %s", article, kind);
    } else {
        char *text = nas_json_text(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15), NULL);
        snprintf(buffer, size, "%.60s%s (%s %s)", text ? text : "?",
                 text && strlen(text) > 60 ? "..." : "", article, kind);
        free(text);
    }
    return buffer;
}

int nas_fail_at(const nas_place *place, const char *key, nas_error *err, const char *format, ...) {
    char message[900];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    bool nested = place->path[0] && key;
    bool any = place->path[0] || key;
    return nas_fail(err, NAS_ERR_INPUT, "%s: %s%s%.80s%s%s", place->file, place->path,
                    nested ? "." : "", key ? key : "", any ? ": " : "", message);
}

/* "one, two, three" of names [n], for messages. */
static void list_names(const char *const *names, size_t n, char *buffer, size_t size) {
    size_t used = 0;
    buffer[0] = 0;
    for (size_t i = 0; i < n && used < size; i++) {
        if (!names[i]) continue;
        used += (size_t)snprintf(buffer + used, size - used, "%s%s", used ? ", " : "", names[i]);
    }
}

int nas_check_keys(const nas_place *place, const json_t *object, const char *const *names, size_t n,
                   nas_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        bool known = false;
        for (size_t i = 0; i < n; i++) known = known || (names[i] && strcmp(key, names[i]) == 0);
        if (known) continue;
        const char *near = nas_nearest(key, names, n);
        if (near) return nas_fail_at(place, key, err, "unknown key; did you mean \"%s\"?", near);
        char list[600];
        list_names(names, n, list, sizeof list);
        return list[0] ? nas_fail_at(place, key, err, "unknown key; known here: %s", list)
                       : nas_fail_at(place, key, err, "unknown key; none is known here");
    }
    return NAS_OK;
}

/* Whether words may stand for the number. */
static bool has_words(const nas_option *option) {
    return option->type == NAS_TYPE_INT && option->choices;
}

static void expected_number(const nas_option *option, char *buffer, size_t size) {
    const char *noun = option->type == NAS_TYPE_INT ? "an integer" : "a number";
    const char *unit = option->unit ? option->unit : "";
    const char *space = option->unit ? " " : "";
    if (option->min == 0 && option->max == 0)
        snprintf(buffer, size, "%s%s%s", noun, space, unit);
    else if (isinf(option->max))
        snprintf(buffer, size, "%s of at least %.15g%s%s", noun, option->min, space, unit);
    else
        snprintf(buffer, size, "%s from %.15g to %.15g%s%s", noun, option->min, option->max, space,
                 unit);
    size_t used = strlen(buffer);
    for (size_t i = 0; has_words(option) && option->choices[i] && used < size; i++)
        used += (size_t)snprintf(buffer + used, size - used, " or \"%s\"", option->choices[i]);
}

char *nas_option_expected(const nas_option *option, char *buffer, size_t size) {
    switch (option->type) {
    case NAS_TYPE_BOOL:
        snprintf(buffer, size, "true or false");
        break;
    case NAS_TYPE_INT:
    case NAS_TYPE_FLOAT:
        expected_number(option, buffer, size);
        break;
    case NAS_TYPE_STRING:
        snprintf(buffer, size, "a string");
        break;
    case NAS_TYPE_PATH:
        snprintf(buffer, size, "a path (a string)");
        break;
    case NAS_TYPE_ENUM: {
        size_t used = (size_t)snprintf(buffer, size, "one of ");
        for (size_t i = 0; option->choices[i] && used < size; i++)
            used += (size_t)snprintf(buffer + used, size - used, "%s\"%s\"", i ? ", " : "",
                                     option->choices[i]);
        break;
    }
    case NAS_TYPE_STRINGS:
        snprintf(buffer, size, "a list of strings");
        break;
    }
    return buffer;
}

/* The index of the choice that word names, or -1. */
static int choice_index(const nas_option *option, const char *word) {
    for (int i = 0; word && option->choices[i]; i++)
        if (strcmp(option->choices[i], word) == 0) return i;
    return -1;
}

static bool in_range(const nas_option *option, double value) {
    if (option->min == 0 && option->max == 0) return true;
    return value >= option->min && value <= option->max;
}

static bool is_string_list(const json_t *value) {
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_string(json_array_get(value, i))) return false;
    return json_is_array(value);
}

static bool accepts(const nas_option *option, const json_t *value) {
    switch (option->type) {
    case NAS_TYPE_BOOL:
        return json_is_boolean(value);
    case NAS_TYPE_INT:
        if (has_words(option) && choice_index(option, json_string_value(value)) >= 0) return true;
        return json_is_integer(value) && in_range(option, (double)json_integer_value(value));
    case NAS_TYPE_FLOAT:
        return json_is_number(value) && in_range(option, json_number_value(value));
    case NAS_TYPE_STRING:
    case NAS_TYPE_PATH:
        return json_is_string(value);
    case NAS_TYPE_ENUM:
        return choice_index(option, json_string_value(value)) >= 0;
    case NAS_TYPE_STRINGS:
        return is_string_list(value);
    }
    return false;
}

/* The value in the form that resolved keeps: a path absolute, a float as a real. A new reference;
 * NULL: out of memory. */
static json_t *canonical(const nas_option *option, const json_t *value, const char *folder) {
    if (option->type == NAS_TYPE_FLOAT) return json_real(json_number_value(value));
    if (option->type != NAS_TYPE_PATH || !json_string_length(value)) return nas_json_copy(value);
    char *path = nas_path_join(folder, json_string_value(value));
    json_t *absolute = path ? json_string(path) : NULL;
    free(path);
    return absolute;
}

/* The strings of an array, which own them, and a NULL; NULL: out of memory. */
static const char **list_strings(const json_t *array) {
    size_t n = json_array_size(array);
    const char **list = malloc((n + 1) * sizeof *list);
    for (size_t i = 0; list && i < n; i++) list[i] = json_string_value(json_array_get(array, i));
    if (list) list[n] = NULL;
    return list;
}

/* Writes a canonical value, or the absence of one (NULL), to the option's field; false: out of
 * memory. */
static bool store(const nas_option *option, const json_t *value, void *config) {
    void *field = (char *)config + option->offset;
    switch (option->type) {
    case NAS_TYPE_BOOL:
        *(bool *)field = json_is_true(value);
        break;
    case NAS_TYPE_INT:
        *(int64_t *)field = json_is_string(value)
                                ? -1 - choice_index(option, json_string_value(value))
                                : json_integer_value(value);
        break;
    case NAS_TYPE_FLOAT:
        *(double *)field = value ? json_real_value(value) : NAN;
        break;
    case NAS_TYPE_STRING:
    case NAS_TYPE_PATH:
        *(const char **)field = json_string_value(value);
        break;
    case NAS_TYPE_ENUM:
        *(int *)field = choice_index(option, json_string_value(value));
        break;
    case NAS_TYPE_STRINGS:
        *(const char ***)field = value ? list_strings(value) : NULL;
        return !value || *(const char ***)field;
    }
    return true;
}

static int refuse(const nas_option *option, const json_t *value, const nas_place *place,
                  nas_error *err) {
    char expected[500], found[100];
    nas_option_expected(option, expected, sizeof expected);
    nas_found(value, found, sizeof found);
    const char *near = NULL;
    if (option->choices && json_is_string(value)) {
        size_t n = 0;
        while (option->choices[n]) n++;
        near = nas_nearest(json_string_value(value), option->choices, n);
    }
    return nas_fail_at(place, option->name, err, "expected %s, found %s%s%s%s", expected, found,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static bool is_optional(const nas_option *option) {
    return option->fallback && strcmp(option->fallback, "null") == 0;
}

/* A null stands for "left out" where an option may be. */
static const json_t *given_value(const nas_option *option, const json_t *object) {
    const json_t *value = json_object_get(object, option->name);
    return json_is_null(value) && is_optional(option) ? NULL : value;
}

json_t *nas_option_default(const nas_option *option) {
    json_t *value = NULL;
    const char *text = option->fallback;
    if (text) (void)nas_json_parse(text, strlen(text), JSON_DECODE_ANY, "it", &value, NULL);
    return value;
}

static int parse_one(const nas_option *option, const json_t *object, const nas_place *place,
                     void *config, json_t *resolved, nas_error *err) {
    const json_t *given = given_value(option, object);
    if (!given && is_optional(option)) {
        store(option, NULL, config);
        return NAS_OK;
    }
    if (!given && !option->fallback) {
        char expected[500];
        return nas_fail_at(place, option->name, err, "missing; expected %s",
                           nas_option_expected(option, expected, sizeof expected));
    }
    json_t *fallback = given ? NULL : nas_option_default(option);
    const json_t *value = given ? given : fallback;
    if (!value) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", place->file);
    if (!accepts(option, value)) {
        int rc = refuse(option, value, place, err);
        json_decref(fallback);
        return rc;
    }
    json_t *kept = canonical(option, value, place->folder);
    json_decref(fallback);
    if (!kept && option->type == NAS_TYPE_PATH && !nas_text_valid(place->folder)) {
        char folder[300];
        return nas_fail_at(place, option->name, err,
                           "the pipeline's folder is not UTF-8: %s; rename it",
                           nas_text_escaped(place->folder, folder, sizeof folder));
    }
    if (json_object_set_new(resolved, option->name, kept) || !store(option, kept, config))
        return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", place->file);
    return NAS_OK;
}

/* Fails unless every key of object is an option or one of nested. */
static int check_known(const nas_option *options, size_t option_size, const json_t *object,
                       const char *const *nested, const nas_place *place, nas_error *err) {
    const char *names[NAS_MAX_OPTIONS + 32];
    size_t n = 0;
    for (; options && n < NAS_MAX_OPTIONS; n++) {
        names[n] = nas_option_at(options, option_size, n)->name;
        if (!names[n]) break;
    }
    for (; nested && *nested && n < sizeof names / sizeof *names; nested++) names[n++] = *nested;
    return nas_check_keys(place, object, names, n, err);
}

/* The lists of strings in config. */
typedef void (*list_fn)(const char ***list);

static void each_list(const nas_option *options, size_t option_size, void *config, list_fn fn) {
    for (size_t i = 0; options && i < NAS_MAX_OPTIONS; i++) {
        const nas_option *option = nas_option_at(options, option_size, i);
        if (!option->name) break;
        if (option->type == NAS_TYPE_STRINGS)
            fn((const char ***)(void *)((char *)config + option->offset));
    }
}

static void empty_list(const char ***list) {
    *list = NULL;
}

static void free_list(const char ***list) {
    free(*list);
    *list = NULL;
}

void nas_options_free(const nas_option *options, size_t option_size, void *config) {
    each_list(options, option_size, config, free_list);
}

int nas_options_parse(const nas_option *options, size_t option_size, const json_t *object,
                      const char *const *nested, const nas_place *place, void *config,
                      json_t **resolved, nas_error *err) {
    *resolved = NULL;
    each_list(options, option_size, config, empty_list);
    if (object && !json_is_object(object)) {
        char found[100];
        return nas_fail_at(place, NULL, err, "expected an object, found %s",
                           nas_found(object, found, sizeof found));
    }
    int rc = check_known(options, option_size, object, nested, place, err);
    if (rc) return rc;
    json_t *result = json_object();
    if (!result) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", place->file);
    for (size_t i = 0; options && !rc; i++) {
        const nas_option *option = nas_option_at(options, option_size, i);
        if (!option->name) break;
        rc = parse_one(option, object, place, config, result, err);
    }
    if (rc) {
        nas_options_free(options, option_size, config);
        json_decref(result);
    } else {
        *resolved = result;
    }
    return rc;
}

/* Size and alignment of an option's field; alignments equal sizes for all of these types. */
static size_t field_size(nas_type type) {
    switch (type) {
    case NAS_TYPE_BOOL:
        return sizeof(bool);
    case NAS_TYPE_INT:
        return sizeof(int64_t);
    case NAS_TYPE_FLOAT:
        return sizeof(double);
    case NAS_TYPE_STRING:
    case NAS_TYPE_PATH:
        return sizeof(const char *);
    case NAS_TYPE_ENUM:
        return sizeof(int);
    case NAS_TYPE_STRINGS:
        return sizeof(const char *const *);
    }
    return 0;
}

static bool good_name(const char *name) {
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && n < 64 && !name[n] && name[0] >= 'a';
}

static int check_field(const nas_option *o, size_t config_size, const char *who, nas_error *err) {
    size_t size = field_size(o->type);
    if (o->offset % size)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: option \"%s\": offset: expected a multiple of %zu for type %s, got "
                        "%zu; use offsetof and the C type that nas_type names",
                        who, o->name, size, nas_type_name(o->type), o->offset);
    if (size > config_size || o->offset > config_size - size)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: option \"%s\": offset: expected a field of %zu bytes within "
                        "config_size %zu, got offset %zu",
                        who, o->name, size, config_size, o->offset);
    return NAS_OK;
}

static int check_default(const nas_option *o, const char *who, nas_error *err) {
    if (!o->fallback || is_optional(o)) return NAS_OK;
    nas_error why;
    json_t *value;
    int rc = nas_json_parse(o->fallback, strlen(o->fallback), JSON_DECODE_ANY, "it", &value, &why);
    if (rc == NAS_ERR_MEMORY) return nas_fail(err, rc, "%s: out of memory", who);
    if (rc)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: option \"%s\": default: expected JSON text, got %.80s (%.100s)", who,
                        o->name, o->fallback, why.message);
    bool good = accepts(o, value);
    char expected[500], found[100];
    nas_found(value, found, sizeof found);
    json_decref(value);
    if (good) return NAS_OK;
    return nas_fail(err, NAS_ERR_PLUGIN, "%s: option \"%s\": default: expected %s, got %s", who,
                    o->name, nas_option_expected(o, expected, sizeof expected), found);
}

static int check_entry(const nas_option *o, size_t config_size, const char *who, nas_error *err) {
    if (!good_name(o->name))
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: option name: expected [a-z][a-z0-9_]* of at most 63 characters, got "
                        "\"%.80s\"",
                        who, o->name);
    if (!field_size(o->type))
        return nas_fail(err, NAS_ERR_PLUGIN, "%s: option \"%s\": type: expected %d to %d, got %d",
                        who, o->name, NAS_TYPE_BOOL, NAS_TYPE_STRINGS, (int)o->type);
    if (!o->help)
        return nas_fail(err, NAS_ERR_PLUGIN, "%s: option \"%s\": help: expected a line, got NULL",
                        who, o->name);
    if (!(o->min <= o->max))
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: option \"%s\": range: expected min <= max, got %g and %g", who,
                        o->name, o->min, o->max);
    if (o->type == NAS_TYPE_ENUM && (!o->choices || !o->choices[0]))
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: option \"%s\": choices: expected a list of words, got none", who,
                        o->name);
    int rc = check_field(o, config_size, who, err);
    return rc ? rc : check_default(o, who, err);
}

/* Fails if two options share a name or a byte of the configuration. */
static int check_apart(const nas_option *a, const nas_option *b, const char *who, nas_error *err) {
    if (strcmp(a->name, b->name) == 0)
        return nas_fail(err, NAS_ERR_PLUGIN, "%s: option \"%s\" stands twice in the table", who,
                        a->name);
    if (a->offset < b->offset + field_size(b->type) && b->offset < a->offset + field_size(a->type))
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: options \"%s\" and \"%s\": offset: expected fields of their own, got "
                        "%zu and %zu, which overlap",
                        who, a->name, b->name, a->offset, b->offset);
    return NAS_OK;
}

int nas_options_check(const nas_option *options, size_t option_size, size_t config_size,
                      const char *who, nas_error *err) {
    if (!options) return NAS_OK;
    if (option_size < sizeof(nas_option) || option_size % _Alignof(nas_option))
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "%s: option_size: expected sizeof(nas_option), at least %zu, got %zu", who,
                        sizeof(nas_option), option_size);
    for (size_t i = 0; i < NAS_MAX_OPTIONS; i++) {
        const nas_option *option = nas_option_at(options, option_size, i);
        if (!option->name) return NAS_OK;
        int rc = check_entry(option, config_size, who, err);
        for (size_t j = 0; j < i && !rc; j++)
            rc = check_apart(nas_option_at(options, option_size, j), option, who, err);
        if (rc) return rc;
    }
    return nas_fail(err, NAS_ERR_PLUGIN,
                    "%s: options: expected at most %d entries and then one whose name is NULL, got "
                    "no end",
                    who, NAS_MAX_OPTIONS);
}
