#include "space/keys.h"

#include "base/json.h"
#include "space/choices.h"

#include <nashost/kit/names.h>
#include <stdio.h>
#include <string.h>

enum { MOST_KEYS = 16 }; /* in one table */

/* ---- Reading ---- */

int nas_keys_check(const nas_spot *at, const json_t *json, const nas_key *keys, nas_error *err) {
    const char *names[MOST_KEYS];
    size_t n = 0;
    for (const nas_key *key = keys; key->name && n < MOST_KEYS; key++) names[n++] = key->name;
    return nas_field_keys(at, json, names, n, err);
}

static int read_text(const nas_spot *at, const json_t *json, const nas_key *key, void *field,
                     nas_error *err) {
    size_t length = json_string_length(json);
    if (length < key->min || length > key->max)
        return nas_spot_fail(at, json, err, "a string of %u to %u bytes", key->min, key->max);
    memcpy(field, json_string_value(json), length + 1);
    return NAS_OK;
}

static int read_integer(const nas_spot *at, const json_t *json, const nas_key *key, uint32_t *value,
                        nas_error *err) {
    json_int_t found = json_integer_value(json);
    if (!json_is_integer(json) || found < (json_int_t)key->min || found > (json_int_t)key->max ||
        (key->odd && found % 2 == 0))
        return nas_spot_fail(at, json, err, "an %sinteger from %u to %u", key->odd ? "odd " : "",
                             key->min, key->max);
    *value = (uint32_t)found;
    return NAS_OK;
}

static int read_number(const nas_spot *at, const json_t *json, const nas_key *key, double *value,
                       nas_error *err) {
    double found = json_number_value(json);
    if (!json_is_number(json) || !(found >= key->low && found <= key->high))
        return nas_spot_fail(at, json, err, "a number from %g to %g", key->low, key->high);
    *value = found;
    return NAS_OK;
}

static int read_choice(const nas_spot *at, const json_t *json, const nas_key *key, double *value,
                       nas_error *err) {
    uint32_t whole = 0;
    if (key->form == NAS_KEY_RATIOS) return read_number(at, json, key, value, err);
    int rc = read_integer(at, json, key, &whole, err);
    *value = whole;
    return rc;
}

/* A list of choices, or one number. They are told apart by a thousandth. */
static int read_list(const nas_spot *at, const json_t *json, const nas_key *key,
                     nas_ratios *choices, nas_error *err) {
    const char *one = key->form == NAS_KEY_RATIOS ? "a number" : "an integer";
    bool list = json_is_array(json);
    size_t n = list ? json_array_size(json) : 1;
    if ((!list && (key->form == NAS_KEY_RATIOS ? !json_is_number(json) : !json_is_integer(json))) ||
        n < 1 || n > NAS_MAX_CHOICES)
        return nas_spot_fail(at, json, err, "%s or an array of 1 to %d %ss", one, NAS_MAX_CHOICES,
                             strchr(one, ' ') + 1);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = list ? json_array_get(json, i) : json;
        nas_spot here = list ? nas_spot_item(at, i) : *at;
        int rc = read_choice(&here, item, key, &choices->value[i], err);
        if (rc) return rc;
        if (i > 0 && choices->value[i] < choices->value[i - 1] + 0.001)
            return nas_spot_fail(&here, item, err, "more than %g (choices ascend)",
                                 choices->value[i - 1]);
    }
    choices->n = (uint32_t)n;
    return NAS_OK;
}

static int read_choices(const nas_spot *at, const json_t *json, const nas_key *key,
                        nas_choices *choices, nas_error *err) {
    nas_ratios read = {0};
    int rc = read_list(at, json, key, &read, err);
    choices->n = read.n;
    for (uint32_t i = 0; i < read.n; i++) choices->value[i] = (uint32_t)read.value[i];
    return rc;
}

/* Choices b of a stage's blocks. */
static int read_block(const nas_spot *at, const json_t *json, const nas_key *key, size_t b,
                      void *field, nas_error *err) {
    if (key->form == NAS_KEY_RATIOS)
        return read_list(at, json, key, &((nas_block_ratios *)field)->of[b], err);
    return read_choices(at, json, key, &((nas_block_choices *)field)->of[b], err);
}

/* Choices of all blocks, or, in a list whose items are lists, of each. */
static int read_blocks(const nas_spot *at, const json_t *json, const nas_key *key, void *field,
                       nas_error *err) {
    size_t n = json_is_array(json_array_get(json, 0)) ? json_array_size(json) : 0;
    uint32_t *listed = key->form == NAS_KEY_RATIOS ? &((nas_block_ratios *)field)->listed
                                                   : &((nas_block_choices *)field)->listed;
    if (n > NAS_MAX_DEPTH)
        return nas_spot_fail(at, json, err, "lists for at most %d blocks", NAS_MAX_DEPTH);
    for (size_t b = 0; b < NAS_MAX_DEPTH; b++) {
        nas_spot item = nas_spot_item(at, b);
        bool own = b < n;
        const json_t *choices = own ? json_array_get(json, b)
                                : n ? json_array_get(json, n - 1)
                                    : json;
        if (own && !json_is_array(choices))
            return nas_spot_fail(&item, choices, err, "an array of the block's choices");
        int rc = read_block(own ? &item : at, choices, key, b, field, err);
        if (rc) return rc;
    }
    *listed = (uint32_t)n;
    return NAS_OK;
}

static int read_word(const nas_spot *at, const json_t *json, const nas_key *key, uint32_t *value,
                     nas_error *err) {
    const char *word = json_string_value(json);
    char list[160];
    size_t n = 0, used = 0;
    for (; key->words[n]; n++) {
        if (word && strcmp(word, key->words[n]) == 0) {
            *value = (uint32_t)n;
            return NAS_OK;
        }
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s\"%s\"", n ? ", " : "",
                                     key->words[n]);
    }
    const char *near = word ? nas_nearest(word, key->words, n) : NULL;
    return nas_spot_fail(at, json, err, "one of %s%s%s%s", list, near ? " (did you mean \"" : "",
                         near ? near : "", near ? "\"?)" : "");
}

static int read_flag(const nas_spot *at, const json_t *json, bool *flag, nas_error *err) {
    if (!json_is_boolean(json)) return nas_spot_fail(at, json, err, "true or false");
    *flag = json_is_true(json);
    return NAS_OK;
}

/* Red, green and blue. */
static int read_colour(const nas_spot *at, const json_t *json, const nas_key *key, float *colour,
                       nas_error *err) {
    if (json_array_size(json) != 3) return nas_spot_fail(at, json, err, "an array of 3 numbers");
    for (size_t i = 0; i < 3; i++) {
        const json_t *item = json_array_get(json, i);
        double value = json_number_value(item);
        nas_spot here = nas_spot_item(at, i);
        if (!json_is_number(item) || value < 0 || value > 1 || (key->positive && value < 1e-6))
            return nas_spot_fail(&here, item, err, "a number %s 0 to 1",
                                 key->positive ? "above" : "from");
        colour[i] = (float)value;
    }
    return NAS_OK;
}

static int read_switch(const nas_spot *at, const json_t *json, const nas_key *key, char *base,
                       nas_error *err) {
    bool *flag = (bool *)(void *)(base + key->offset);
    *flag = json_is_true(json) || json_is_object(json);
    if (json_is_object(json)) return nas_keys_read(at, json, key->keys, base, err);
    if (json_is_boolean(json)) return NAS_OK;
    return nas_spot_fail(at, json, err, "true or false, or an object");
}

/* An array of integers or of structures. */
static int read_items(const nas_spot *spot, const json_t *object, const nas_key *key, char *base,
                      nas_error *err) {
    const json_t *array;
    int rc = nas_field_array(spot, object, key->name, key->least, key->most, &array, err);
    if (rc) return rc;
    nas_spot list = nas_spot_key(spot, key->name);
    size_t n = json_array_size(array);
    char *field = base + key->offset;
    for (size_t i = 0; i < n && !rc; i++) {
        const json_t *item = json_array_get(array, i);
        nas_spot at = nas_spot_item(&list, i);
        rc = key->keys ? nas_keys_read(&at, item, key->keys, field + i * key->item_bytes, err)
                       : read_integer(&at, item, key, (uint32_t *)(void *)field + i, err);
    }
    *(uint32_t *)(void *)(base + key->count) = (uint32_t)n;
    return rc;
}

static int read_key(const nas_spot *spot, const json_t *object, const nas_key *key, char *base,
                    nas_error *err) {
    const json_t *json = json_object_get(object, key->name);
    nas_spot at = nas_spot_key(spot, key->name);
    void *field = base + key->offset;
    bool needed =
        !key->optional && (!key->with || json_array_size(json_object_get(object, key->with)));
    if (!json && !needed) return NAS_OK;
    switch (key->form) {
    case NAS_KEY_TEXT:
        return read_text(&at, json, key, field, err);
    case NAS_KEY_INT:
        return read_integer(&at, json, key, field, err);
    case NAS_KEY_CHOICES:
        return read_choices(&at, json, key, field, err);
    case NAS_KEY_BLOCKS:
    case NAS_KEY_RATIOS:
        return read_blocks(&at, json, key, field, err);
    case NAS_KEY_NUMBER:
        return read_number(&at, json, key, field, err);
    case NAS_KEY_WORD:
        return read_word(&at, json, key, field, err);
    case NAS_KEY_FLAG:
        return read_flag(&at, json, field, err);
    case NAS_KEY_COLOUR:
        return read_colour(&at, json, key, field, err);
    case NAS_KEY_SWITCH:
        return read_switch(&at, json, key, base, err);
    case NAS_KEY_INTS:
    case NAS_KEY_OBJECTS:
        return read_items(spot, object, key, base, err);
    case NAS_KEY_OBJECT:
        break;
    }
    return nas_keys_read(&at, json, key->keys, base, err);
}

int nas_keys_read(const nas_spot *at, const json_t *json, const nas_key *keys, void *base,
                  nas_error *err) {
    int rc = nas_keys_check(at, json, keys, err);
    for (const nas_key *key = keys; key->name && !rc; key++)
        rc = read_key(at, json, key, base, err);
    return rc;
}

/* ---- Describing ---- */

static json_t *integer_schema(const nas_key *key) {
    if (!key->odd)
        return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)key->min,
                         "maximum", (json_int_t)key->max);
    json_t *values = json_array();
    for (uint32_t i = key->min | 1; i <= key->max; i += 2) nas_json_add(&values, json_integer(i));
    return json_pack("{s:o}", "enum", values);
}

static json_t *array_schema(json_t *items, size_t least, size_t most) {
    return json_pack("{s:s, s:I, s:I, s:o}", "type", "array", "minItems", (json_int_t)least,
                     "maxItems", (json_int_t)most, "items", items);
}

static json_t *number_schema(const nas_key *key) {
    return json_pack("{s:s, s:f, s:f}", "type", "number", "minimum", key->low, "maximum",
                     key->high);
}

static json_t *choice_schema(const nas_key *key) {
    return key->form == NAS_KEY_RATIOS ? number_schema(key) : integer_schema(key);
}

static json_t *list_schema(const nas_key *key) {
    json_t *list = array_schema(choice_schema(key), 1, NAS_MAX_CHOICES);
    nas_json_put(&list, "uniqueItems", json_true());
    return list;
}

/* One number, or several that differ, or a list of such for each block. */
static json_t *choices_schema(const nas_key *key) {
    json_t *any = json_pack("[o, o]", choice_schema(key), list_schema(key));
    if (key->form != NAS_KEY_CHOICES)
        nas_json_add(&any, array_schema(list_schema(key), 1, NAS_MAX_DEPTH));
    return json_pack("{s:o}", "anyOf", any);
}

static json_t *words_schema(const nas_key *key) {
    json_t *words = json_array();
    for (size_t i = 0; key->words[i]; i++) nas_json_add(&words, json_string(key->words[i]));
    return json_pack("{s:o}", "enum", words);
}

static json_t *key_schema(const nas_key *key) {
    switch (key->form) {
    case NAS_KEY_TEXT:
        return json_pack("{s:s, s:I, s:I}", "type", "string", "minLength", (json_int_t)key->min,
                         "maxLength", (json_int_t)key->max);
    case NAS_KEY_INT:
        return integer_schema(key);
    case NAS_KEY_CHOICES:
    case NAS_KEY_BLOCKS:
    case NAS_KEY_RATIOS:
        return choices_schema(key);
    case NAS_KEY_NUMBER:
        return number_schema(key);
    case NAS_KEY_WORD:
        return words_schema(key);
    case NAS_KEY_FLAG:
        return json_pack("{s:s}", "type", "boolean");
    case NAS_KEY_COLOUR:
        return array_schema(json_pack("{s:s, s:i, s:i}", "type", "number",
                                      key->positive ? "exclusiveMinimum" : "minimum", 0, "maximum",
                                      1),
                            3, 3);
    case NAS_KEY_SWITCH:
        return json_pack("{s:[{s:s}, o]}", "anyOf", "type", "boolean", nas_keys_schema(key->keys));
    case NAS_KEY_INTS:
        return array_schema(integer_schema(key), key->least, key->most);
    case NAS_KEY_OBJECTS:
        return array_schema(nas_keys_schema(key->keys), key->least, key->most);
    case NAS_KEY_OBJECT:
        break;
    }
    return nas_keys_schema(key->keys);
}

/* Adds that key is required where the array of key->with has an item. */
static int add_condition(json_t *schema, const nas_key *key) {
    json_t *rule = json_pack("{s:{s:[s], s:{s:{s:i}}}, s:{s:[s]}}", "if", "required", key->with,
                             "properties", key->with, "minItems", 1, "then", "required", key->name);
    return rule ? json_object_update_new(schema, rule) : -1;
}

json_t *nas_keys_schema(const nas_key *keys) {
    json_t *properties = json_object(), *required = json_array();
    json_t *schema = json_pack("{s:s, s:o, s:b, s:o}", "type", "object", "properties", properties,
                               "additionalProperties", 0, "required", required);
    int failed = !schema;
    for (const nas_key *key = keys; key->name && !failed; key++) {
        json_t *inner = key_schema(key);
        if (key->help) failed |= json_object_set_new(inner, "description", json_string(key->help));
        failed |= json_object_set_new(properties, key->name, inner);
        if (key->with)
            failed |= add_condition(schema, key);
        else if (!key->optional)
            failed |= json_array_append_new(required, json_string(key->name));
    }
    if (!failed) return schema;
    json_decref(schema);
    return NULL;
}
