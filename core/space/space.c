#include "space/space.h"

#include "base/names.h"
#include "space/fields.h"

#include <math.h>
#include <string.h>

enum {
    MAX_RESOLUTION = 1024,
    MIN_RESOLUTION = 4,
    MAX_WIDTH = 8192,
    MAX_EXPAND = 16,
    MAX_KERNEL = 7,
    MAX_STRIDE = 2,
    MAX_ELEMENTS = 1 << 28, /* floats in one tensor or in all weights: 1 GiB */
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int read_activation(const nas_spot *spot, const json_t *object, const char *key,
                           nas_activation *activation, nas_error *err) {
    static const char *const names[] = {"none", "relu", "h-swish", "h-sigmoid"};
    const json_t *json = json_object_get(object, key);
    const char *word = json_string_value(json);
    for (size_t i = 0; word && i < COUNT(names); i++) {
        if (strcmp(word, names[i]) == 0) {
            *activation = (nas_activation)i;
            return NAS_OK;
        }
    }
    nas_spot at = nas_spot_key(spot, key);
    const char *near = word ? nas_nearest(word, names, COUNT(names)) : NULL;
    return nas_spot_fail(&at, json, err,
                         "one of \"none\", \"relu\", \"h-swish\", \"h-sigmoid\"%s%s%s",
                         near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

/* A list of choices, or one number. */
static int read_choices(const nas_spot *spot, const json_t *object, const char *key, uint32_t min,
                        uint32_t max, bool odd, nas_choices *choices, nas_error *err) {
    const json_t *json = json_object_get(object, key);
    nas_spot at = nas_spot_key(spot, key);
    size_t n = json_is_array(json) ? json_array_size(json) : 1;
    if ((!json_is_array(json) && !json_is_integer(json)) || n < 1 || n > NAS_MAX_CHOICES) {
        return nas_spot_fail(&at, json, err, "an integer or an array of 1 to %d integers",
                             NAS_MAX_CHOICES);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_is_array(json) ? json_array_get(json, i) : json;
        nas_spot here = json_is_array(json) ? nas_spot_item(&at, i) : at;
        json_int_t value = json_integer_value(item);
        if (!json_is_integer(item) || value < (json_int_t)min || value > (json_int_t)max ||
            (odd && value % 2 == 0)) {
            return nas_spot_fail(&here, item, err, "an %sinteger from %u to %u", odd ? "odd " : "",
                                 min, max);
        }
        if (i > 0 && (uint32_t)value <= choices->value[i - 1]) {
            return nas_spot_fail(&here, item, err, "more than %u (choices ascend)",
                                 choices->value[i - 1]);
        }
        choices->value[i] = (uint32_t)value;
    }
    choices->n = (uint32_t)n;
    return NAS_OK;
}

static int read_name(const nas_spot *root, const json_t *json, nas_space *space, nas_error *err) {
    const json_t *name = json_object_get(json, "name");
    size_t length = json_string_length(name);
    if (length < 1 || length >= sizeof space->name) {
        nas_spot at = nas_spot_key(root, "name");
        return nas_spot_fail(&at, name, err, "a string of 1 to %zu bytes", sizeof space->name - 1);
    }
    snprintf(space->name, sizeof space->name, "%s", json_string_value(name));
    return NAS_OK;
}

static int read_stem(const nas_spot *root, const json_t *json, nas_space *space, nas_error *err) {
    static const char *const names[] = {"kernel", "stride", "width", "activation"};
    const json_t *stem = json_object_get(json, "stem");
    nas_spot at = nas_spot_key(root, "stem");
    nas_choices kernel = {0};
    int rc = nas_field_keys(&at, stem, names, COUNT(names), err);
    if (!rc) rc = read_choices(&at, stem, "kernel", 1, MAX_KERNEL, true, &kernel, err);
    if (!rc && kernel.n != 1) {
        nas_spot key = nas_spot_key(&at, "kernel");
        rc = nas_spot_fail(&key, json_object_get(stem, "kernel"), err, "one kernel size");
    }
    if (!rc) {
        rc = nas_field_uint(&at, stem, "stride", true, 1, MAX_STRIDE, &space->stem.stride, err);
    }
    if (!rc) rc = nas_field_uint(&at, stem, "width", true, 1, MAX_WIDTH, &space->stem.width, err);
    if (!rc) rc = read_activation(&at, stem, "activation", &space->stem.activation, err);
    if (!rc) space->stem.kernel = kernel.value[0];
    return rc;
}

static int read_stage(const nas_spot *at, const json_t *json, nas_stage *stage, nas_error *err) {
    static const char *const names[] = {"width",  "stride",         "depth",     "kernel",
                                        "expand", "squeeze_excite", "activation"};
    int rc = nas_field_keys(at, json, names, COUNT(names), err);
    if (!rc) rc = read_choices(at, json, "width", 1, MAX_WIDTH, false, &stage->width, err);
    if (!rc) rc = nas_field_uint(at, json, "stride", true, 1, MAX_STRIDE, &stage->stride, err);
    if (!rc) rc = read_choices(at, json, "depth", 1, NAS_MAX_DEPTH, false, &stage->depth, err);
    if (!rc) rc = read_choices(at, json, "kernel", 1, MAX_KERNEL, true, &stage->kernel, err);
    if (!rc) rc = read_choices(at, json, "expand", 1, MAX_EXPAND, false, &stage->expand, err);
    if (!rc) rc = read_activation(at, json, "activation", &stage->activation, err);
    if (rc) return rc;
    const json_t *flag = json_object_get(json, "squeeze_excite");
    if (flag && !json_is_boolean(flag)) {
        nas_spot key = nas_spot_key(at, "squeeze_excite");
        return nas_spot_fail(&key, flag, err, "true or false");
    }
    stage->squeeze_excite = json_is_true(flag);
    return NAS_OK;
}

static int read_stages(const nas_spot *root, const json_t *json, nas_space *space, nas_error *err) {
    const json_t *stages;
    int rc = nas_field_array(root, json, "stages", 1, NAS_MAX_STAGES, &stages, err);
    if (rc) return rc;
    space->n_stages = (uint32_t)json_array_size(stages);
    nas_spot at = nas_spot_key(root, "stages");
    for (size_t s = 0; s < space->n_stages && !rc; s++) {
        nas_spot item = nas_spot_item(&at, s);
        rc = read_stage(&item, json_array_get(stages, s), &space->stages[s], err);
    }
    return rc;
}

static int read_hidden(const nas_spot *at, const json_t *head, nas_space *space, nas_error *err) {
    const json_t *hidden;
    if (!json_object_get(head, "hidden")) return NAS_OK;
    int rc = nas_field_array(at, head, "hidden", 0, NAS_MAX_HIDDEN, &hidden, err);
    if (rc) return rc;
    nas_spot list = nas_spot_key(at, "hidden");
    for (size_t i = 0; i < json_array_size(hidden); i++) {
        const json_t *item = json_array_get(hidden, i);
        json_int_t width = json_integer_value(item);
        if (!json_is_integer(item) || width < 1 || width > MAX_WIDTH) {
            nas_spot here = nas_spot_item(&list, i);
            return nas_spot_fail(&here, item, err, "an integer from 1 to %d", MAX_WIDTH);
        }
        space->head.hidden[space->head.n_hidden++] = (uint32_t)width;
    }
    if (!space->head.n_hidden) return NAS_OK;
    return read_activation(at, head, "hidden_activation", &space->head.hidden_activation, err);
}

static int read_head(const nas_spot *root, const json_t *json, nas_space *space, nas_error *err) {
    static const char *const names[] = {"width", "activation", "hidden", "hidden_activation"};
    const json_t *head = json_object_get(json, "head");
    nas_spot at = nas_spot_key(root, "head");
    int rc = nas_field_keys(&at, head, names, COUNT(names), err);
    if (!rc) rc = nas_field_uint(&at, head, "width", true, 1, MAX_WIDTH, &space->head.width, err);
    if (!rc) rc = read_activation(&at, head, "activation", &space->head.activation, err);
    if (!rc) rc = read_hidden(&at, head, space, err);
    return rc;
}

static uint32_t most(const nas_choices *choices) {
    return choices->value[choices->n - 1];
}

/* Refuses a space whose largest subnet no machine that this runs on could hold. */
static int check_scale(const nas_spot *root, const nas_space *space, nas_error *err) {
    double side = ceil(most(&space->resolution) / (double)space->stem.stride);
    double in = space->stem.width, weights = 0, tensor = side * side * in;
    for (uint32_t s = 0; s < space->n_stages; s++) {
        const nas_stage *stage = &space->stages[s];
        double out = most(&stage->width), kernel = most(&stage->kernel);
        for (uint32_t b = 0; b < most(&stage->depth); b++) {
            double inner = in * most(&stage->expand);
            tensor = fmax(tensor, side * side * inner);
            weights += inner * (in + out + kernel * kernel);
            if (stage->squeeze_excite) weights += inner * inner / 2;
            if (b == 0) side = ceil(side / stage->stride);
            in = out;
        }
    }
    tensor = fmax(tensor, side * side * space->head.width);
    weights += in * space->head.width;
    if (tensor > MAX_ELEMENTS || weights > MAX_ELEMENTS) {
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: the largest subnet is too large: expected at most %d elements in a "
                        "tensor and as many weights, found %.0f and about %.0f; lower resolution, "
                        "width, expand or depth",
                        root->where, (int)MAX_ELEMENTS, tensor, weights);
    }
    return NAS_OK;
}

NAS_PRINTF(3, 4)
static void add_gene(nas_space *space, uint32_t arity, const char *name, ...) {
    va_list args;
    va_start(args, name);
    vsnprintf(space->gene_names[space->n_genes], sizeof space->gene_names[0], name, args);
    va_end(args);
    space->arity[space->n_genes++] = (uint16_t)arity;
}

static void list_genes(nas_space *space) {
    add_gene(space, space->resolution.n, "resolution");
    for (uint32_t s = 0; s < space->n_stages; s++) {
        const nas_stage *stage = &space->stages[s];
        add_gene(space, stage->width.n, "stage%u.width", s);
        add_gene(space, stage->depth.n, "stage%u.depth", s);
        for (uint32_t b = 0; b < most(&stage->depth); b++) {
            add_gene(space, stage->kernel.n, "stage%u.block%u.kernel", s, b);
            add_gene(space, stage->expand.n, "stage%u.block%u.expand", s, b);
        }
    }
}

int nas_space_parse(const json_t *json, const char *where, uint32_t channels, uint32_t classes,
                    nas_space *space, nas_error *err) {
    static const char *const names[] = {"name", "resolution", "stem", "stages", "head"};
    nas_spot root = nas_spot_root(where);
    *space = (nas_space){.channels = channels, .classes = classes};
    int rc = nas_field_keys(&root, json, names, COUNT(names), err);
    if (!rc) rc = read_name(&root, json, space, err);
    if (!rc) {
        rc = read_choices(&root, json, "resolution", MIN_RESOLUTION, MAX_RESOLUTION, false,
                          &space->resolution, err);
    }
    if (!rc) rc = read_stem(&root, json, space, err);
    if (!rc) rc = read_stages(&root, json, space, err);
    if (!rc) rc = read_head(&root, json, space, err);
    if (!rc) rc = check_scale(&root, space, err);
    if (!rc) list_genes(space);
    return rc;
}

uint32_t nas_squeeze_width(uint32_t inner) {
    return inner / 4 > 8 ? inner / 4 : 8;
}

double nas_space_size(const nas_space *space) {
    double size = space->resolution.n;
    for (uint32_t s = 0; s < space->n_stages; s++) {
        const nas_stage *stage = &space->stages[s];
        double blocks = 0;
        for (uint32_t d = 0; d < stage->depth.n; d++) {
            blocks += pow((double)stage->kernel.n * stage->expand.n, stage->depth.value[d]);
        }
        size *= stage->width.n * blocks;
    }
    return size;
}
