#include "space/restrict.h"

#include "base/json.h"
#include "space/keys.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

/* Choices to keep, in the fields of a stage that has them; n = 0: all. */
typedef struct space_limits {
    nas_choices resolution;
    nas_stage every; /* of every stage that says nothing of its own; without a width */
    uint32_t n_stages;
    nas_stage stages[NAS_MAX_STAGES];
} space_limits;

#define CHOICES(name_, structure_, field_, min_, max_, help_)                                      \
    {                                                                                              \
        .name = name_, .form = NAS_KEY_CHOICES, .optional = true,                                  \
        .offset = offsetof(structure_, field_), .min = min_, .max = max_, .help = help_            \
    }
#define KERNELS(structure_, field_, help_)                                                         \
    {                                                                                              \
        .name = "kernel", .form = NAS_KEY_BLOCKS, .optional = true,                                \
        .offset = offsetof(structure_, field_), .min = 1, .max = NAS_MAX_KERNEL, .odd = true,      \
        .help = help_                                                                              \
    }
#define RATIOS(structure_, field_, help_)                                                          \
    {                                                                                              \
        .name = "expand", .form = NAS_KEY_RATIOS, .optional = true,                                \
        .offset = offsetof(structure_, field_), .low = 1, .high = NAS_MAX_EXPAND, .help = help_    \
    }

static const nas_key stage_keys[] = {
    CHOICES("width", nas_stage, width, 1, NAS_MAX_WIDTH, "the stage's widths to keep"),
    CHOICES("depth", nas_stage, depth, 1, NAS_MAX_DEPTH, "the stage's depths to keep"),
    KERNELS(nas_stage, kernel, "the stage's kernels to keep; or a list of each block's own"),
    RATIOS(nas_stage, expand,
           "the stage's expansion ratios to keep; or a list of each block's own"),
    {0},
};

static const nas_key keys[] = {
    CHOICES("resolution", space_limits, resolution, NAS_MIN_RESOLUTION, NAS_MAX_RESOLUTION,
            "the resolutions to keep"),
    CHOICES("depth", space_limits, every.depth, 1, NAS_MAX_DEPTH,
            "the depths to keep in every stage that has a choice of them"),
    KERNELS(space_limits, every.kernel,
            "the kernels to keep in every block that has a choice of them"),
    RATIOS(space_limits, every.expand,
           "the expansion ratios to keep in every block that has a choice of them"),
    {.name = "stages",
     .form = NAS_KEY_OBJECTS,
     .optional = true,
     .keys = stage_keys,
     .offset = offsetof(space_limits, stages),
     .least = 1,
     .most = NAS_MAX_STAGES,
     .count = offsetof(space_limits, n_stages),
     .item_bytes = sizeof(nas_stage),
     .help = "for each stage, what it keeps; it goes before the keys beside \"stages\""},
    {0},
};

json_t *nas_restrict_schema(void) {
    return nas_keys_schema(keys);
}

/* ---- The dimensions of a stage: each has one list of choices, or one for each block ---- */

typedef enum dimension { WIDTH, DEPTH, KERNEL, EXPAND, DIMENSIONS } dimension;

static const char *const names[DIMENSIONS] = {"width", "depth", "kernel", "expand"};

static nas_ratios widen(const nas_choices *choices) {
    nas_ratios wide = {.n = choices->n};
    for (uint32_t i = 0; i < choices->n; i++) wide.value[i] = choices->value[i];
    return wide;
}

static nas_choices whole(const nas_ratios *ratios) {
    nas_choices choices = {.n = ratios->n};
    for (uint32_t i = 0; i < ratios->n; i++) choices.value[i] = (uint32_t)ratios->value[i];
    return choices;
}

static nas_ratios list_of(const nas_stage *stage, dimension d, uint32_t block) {
    switch (d) {
    case WIDTH:
        return widen(&stage->width);
    case DEPTH:
        return widen(&stage->depth);
    case KERNEL:
        return widen(&stage->kernel.of[block]);
    case EXPAND:
    case DIMENSIONS:
        break;
    }
    return stage->expand.of[block];
}

static void set_list(nas_stage *stage, dimension d, uint32_t block, const nas_ratios *list) {
    if (d == WIDTH) stage->width = whole(list);
    if (d == DEPTH) stage->depth = whole(list);
    if (d == KERNEL) stage->kernel.of[block] = whole(list);
    if (d == EXPAND) stage->expand.of[block] = *list;
}

static uint32_t deepest(const nas_stage *stage) {
    return stage->depth.value[stage->depth.n - 1];
}

static uint32_t lists_of(const nas_stage *stage, dimension d) {
    return d < KERNEL ? 1 : deepest(stage);
}

/* For how many blocks the dimension's choices are listed; 0: they are those of all. */
static uint32_t listed(const nas_stage *stage, dimension d) {
    return d == KERNEL ? stage->kernel.listed : d == EXPAND ? stage->expand.listed : 0;
}

static bool has(const nas_ratios *list, double value) {
    for (uint32_t i = 0; i < list->n; i++)
        if (list->value[i] == value) return true;
    return false;
}

static bool stage_has(const nas_stage *stage, dimension d, double value) {
    for (uint32_t b = 0; b < lists_of(stage, d); b++) {
        nas_ratios list = list_of(stage, d, b);
        if (has(&list, value)) return true;
    }
    return false;
}

static nas_ratios common(const nas_ratios *a, const nas_ratios *b) {
    nas_ratios both = {0};
    for (uint32_t i = 0; i < a->n; i++)
        if (has(b, a->value[i])) both.value[both.n++] = a->value[i];
    return both;
}

/* "3, 5" */
static void print_list(const nas_ratios *list, char *text, size_t size) {
    size_t used = 0;
    for (uint32_t i = 0; i < list->n && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%g", i ? ", " : "", list->value[i]);
}

/* ---- Checks ---- */

/* Each wanted value must be in the list. */
static int check_in(const nas_spot *at, const nas_ratios *wanted, const nas_ratios *list,
                    nas_error *err) {
    char text[100];
    for (uint32_t i = 0; i < wanted->n; i++) {
        if (has(list, wanted->value[i])) continue;
        print_list(list, text, sizeof text);
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: %s: expected some of the space's choices %s, found %g", at->where,
                        at->path, text, wanted->value[i]);
    }
    return NAS_OK;
}

/* A value for several stages, or blocks, must be a choice of one of them. */
static int check_any(const nas_spot *at, dimension d, const nas_ratios *wanted,
                     const nas_stage *stages, uint32_t n, nas_error *err) {
    for (uint32_t i = 0; i < wanted->n; i++) {
        bool found = false;
        for (uint32_t s = 0; s < n; s++)
            found = found || stage_has(&stages[s], d, wanted->value[i]);
        if (!found)
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: %s: expected choices of the space, found %g, which no %s has",
                            at->where, at->path, wanted->value[i],
                            n > 1 || d <= DEPTH ? "stage" : "block");
    }
    return NAS_OK;
}

static int check_every(const nas_spot *root, const space_limits *limits, const nas_space *space,
                       nas_error *err) {
    int rc = NAS_OK;
    for (dimension d = DEPTH; d < DIMENSIONS && !rc; d++) {
        nas_ratios wanted = list_of(&limits->every, d, 0);
        nas_spot at = nas_spot_key(root, names[d]);
        if (listed(&limits->every, d))
            rc = nas_fail(err, NAS_ERR_INPUT,
                          "%s: %s: expected choices for all blocks, found lists; those of each "
                          "block stand in \"stages\"",
                          at.where, at.path);
        if (!rc) rc = check_any(&at, d, &wanted, space->stages, space->n_stages, err);
    }
    return rc;
}

/* ---- Narrowing ---- */

/* A stage's list of choices while it is narrowed. */
typedef struct slot {
    nas_spot at; /* of the choices to keep */
    nas_stage *stage;
    uint32_t number; /* of the stage */
    dimension d;
    uint32_t block;
} slot;

/* Keeps the wanted choices, which must all be there. */
static int keep_listed(const slot *s, const nas_ratios *wanted, nas_error *err) {
    nas_ratios list = list_of(s->stage, s->d, s->block);
    int rc = check_in(&s->at, wanted, &list, err);
    if (!rc) set_list(s->stage, s->d, s->block, wanted);
    return rc;
}

/* Keeps what there is of the wanted choices. Where there is no choice, it stays. */
static int keep_common(const slot *s, const nas_ratios *wanted, nas_error *err) {
    char text[100];
    nas_ratios list = list_of(s->stage, s->d, s->block), both = common(&list, wanted);
    if (list.n == 1) return NAS_OK;
    if (both.n) {
        set_list(s->stage, s->d, s->block, &both);
        return NAS_OK;
    }
    print_list(&list, text, sizeof text);
    return nas_fail(
        err, NAS_ERR_INPUT,
        "%s: %s: leaves stage %u nothing of its choices %s; say in \"stages\" what each "
        "stage keeps",
        s->at.where, s->at.path, s->number, text);
}

/* As many lists as the stage has blocks, as in a description of the narrowed space. */
static int settle_lists(const slot *s, uint32_t wanted, nas_error *err) {
    uint32_t n = deepest(s->stage),
             *mine = s->d == KERNEL ? &s->stage->kernel.listed : &s->stage->expand.listed;
    if (wanted && wanted != n)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: %s: expected the choices of %u blocks, as many as the stage can have, "
                        "found those of %u",
                        s->at.where, s->at.path, n, wanted);
    *mine = *mine || wanted ? n : 0;
    nas_ratios last = list_of(s->stage, s->d, n - 1);
    for (uint32_t b = n; b < NAS_MAX_DEPTH; b++) set_list(s->stage, s->d, b, &last);
    return NAS_OK;
}

static int narrow_dimension(slot *s, const nas_stage *wanted, bool own, nas_error *err) {
    nas_ratios first = list_of(wanted, s->d, 0);
    uint32_t n = first.n ? lists_of(s->stage, s->d) : 0, lists = listed(wanted, s->d);
    bool strict = own && (s->d < KERNEL || lists);
    int rc = own && !strict ? check_any(&s->at, s->d, &first, s->stage, 1, err) : NAS_OK;
    for (s->block = 0; s->block < n && !rc; s->block++) {
        nas_ratios list = list_of(wanted, s->d, s->block);
        rc = strict ? keep_listed(s, &list, err) : keep_common(s, &list, err);
    }
    if (!rc && s->d >= KERNEL) rc = settle_lists(s, lists, err);
    return rc;
}

/* The depth goes before what each block has. */
static int narrow_stage(const nas_spot *root, const space_limits *limits, nas_space *space,
                        uint32_t number, nas_error *err) {
    nas_spot list = nas_spot_key(root, "stages"), item = nas_spot_item(&list, number);
    int rc = NAS_OK;
    for (dimension d = WIDTH; d < DIMENSIONS && !rc; d++) {
        const nas_stage *wanted = &limits->stages[number];
        bool own = list_of(wanted, d, 0).n > 0;
        slot s = {.at = nas_spot_key(own ? &item : root, names[d]),
                  .stage = &space->stages[number],
                  .number = number,
                  .d = d};
        rc = narrow_dimension(&s, own ? wanted : &limits->every, own, err);
    }
    return rc;
}

static int narrow_resolution(const nas_spot *root, const space_limits *limits, nas_space *space,
                             nas_error *err) {
    nas_spot at = nas_spot_key(root, "resolution");
    nas_ratios wanted = widen(&limits->resolution), list = widen(&space->resolution);
    int rc = check_in(&at, &wanted, &list, err);
    if (!rc && wanted.n) space->resolution = limits->resolution;
    return rc;
}

static int narrow(const nas_spot *root, const space_limits *limits, nas_space *space,
                  nas_error *err) {
    int rc = narrow_resolution(root, limits, space, err);
    if (!rc) rc = check_every(root, limits, space, err);
    for (uint32_t s = 0; s < space->n_stages && !rc; s++)
        rc = narrow_stage(root, limits, space, s, err);
    return rc;
}

int nas_space_restrict(nas_space *space, const json_t *json, const char *where, nas_error *err) {
    nas_spot root = nas_spot_root(where);
    space_limits limits = {0};
    if (!json || json_is_null(json)) return NAS_OK;
    int rc = nas_keys_read(&root, json, keys, &limits, err);
    if (!rc && limits.n_stages && limits.n_stages != space->n_stages) {
        nas_spot at = nas_spot_key(&root, "stages");
        rc = nas_spot_fail(&at, json_object_get(json, "stages"), err,
                           "an array of %u, one for each stage of the space", space->n_stages);
    }
    if (!rc) rc = narrow(&root, &limits, space, err);
    if (!rc) nas_space_number_genes(space);
    return rc;
}

/* ---- Describing ---- */

static json_t *number_json(double value) {
    return value == floor(value) ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *list_json(const nas_ratios *list) {
    json_t *json = json_array();
    int failed = 0;
    for (uint32_t i = 0; i < list->n; i++)
        failed |= json_array_append_new(json, number_json(list->value[i]));
    if (!failed) return json;
    json_decref(json);
    return NULL;
}

/* One list, or one for each block. */
static json_t *dimension_json(const nas_stage *stage, dimension d) {
    nas_ratios list = list_of(stage, d, 0);
    if (!listed(stage, d)) return list_json(&list);
    json_t *json = json_array();
    int failed = 0;
    for (uint32_t b = 0; b < listed(stage, d); b++) {
        list = list_of(stage, d, b);
        failed |= json_array_append_new(json, list_json(&list));
    }
    if (!failed) return json;
    json_decref(json);
    return NULL;
}

json_t *nas_space_narrowed_json(const json_t *description, const nas_space *narrowed) {
    json_t *copy = nas_json_copy(description), *stages = json_object_get(copy, "stages");
    nas_ratios resolution = widen(&narrowed->resolution);
    int failed = json_object_set_new(copy, "resolution", list_json(&resolution));
    for (uint32_t s = 0; s < narrowed->n_stages; s++)
        for (dimension d = WIDTH; d < DIMENSIONS; d++)
            failed |= json_object_set_new(json_array_get(stages, s), names[d],
                                          dimension_json(&narrowed->stages[s], d));
    if (!failed) return copy;
    json_decref(copy);
    return NULL;
}
