#include "space/restrict.h"

#include "space/keys.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Choices to keep; n = 0: all. */
typedef struct stage_limits {
    nas_choices width, depth, kernel, expand;
} stage_limits;

typedef struct space_limits {
    nas_choices resolution;
    stage_limits every; /* of every stage that says nothing of its own; without a width */
    uint32_t n_stages;
    stage_limits stages[NAS_MAX_STAGES];
} space_limits;

#define CHOICES(name_, structure_, field_, min_, max_, odd_, help_)                                \
    {                                                                                              \
        .name = name_, .form = NAS_KEY_CHOICES, .optional = true,                                  \
        .offset = offsetof(structure_, field_), .min = min_, .max = max_, .odd = odd_,             \
        .help = help_                                                                              \
    }

static const nas_key stage_keys[] = {
    CHOICES("width", stage_limits, width, 1, NAS_MAX_WIDTH, false, "the stage's widths to keep"),
    CHOICES("depth", stage_limits, depth, 1, NAS_MAX_DEPTH, false, "the stage's depths to keep"),
    CHOICES("kernel", stage_limits, kernel, 1, NAS_MAX_KERNEL, true, "the stage's kernels to keep"),
    CHOICES("expand", stage_limits, expand, 1, NAS_MAX_EXPAND, false,
            "the stage's expansion ratios to keep"),
    {0},
};

static const nas_key keys[] = {
    CHOICES("resolution", space_limits, resolution, NAS_MIN_RESOLUTION, NAS_MAX_RESOLUTION, false,
            "the resolutions to keep"),
    CHOICES("depth", space_limits, every.depth, 1, NAS_MAX_DEPTH, false,
            "the depths to keep in every stage that has a choice of them"),
    CHOICES("kernel", space_limits, every.kernel, 1, NAS_MAX_KERNEL, true,
            "the kernels to keep in every stage that has a choice of them"),
    CHOICES("expand", space_limits, every.expand, 1, NAS_MAX_EXPAND, false,
            "the expansion ratios to keep in every stage that has a choice of them"),
    {.name = "stages",
     .form = NAS_KEY_OBJECTS,
     .optional = true,
     .keys = stage_keys,
     .offset = offsetof(space_limits, stages),
     .least = 1,
     .most = NAS_MAX_STAGES,
     .count = offsetof(space_limits, n_stages),
     .item_bytes = sizeof(stage_limits),
     .help = "for each stage, what it keeps; it goes before the keys beside \"stages\""},
    {0},
};

json_t *nas_restrict_schema(void) {
    return nas_keys_schema(keys);
}

/* The dimensions of a stage, in both structures. */
static const struct {
    const char *name;
    size_t offset, limit;
} dimensions[] = {
    {"width", offsetof(nas_stage, width), offsetof(stage_limits, width)},
    {"depth", offsetof(nas_stage, depth), offsetof(stage_limits, depth)},
    {"kernel", offsetof(nas_stage, kernel), offsetof(stage_limits, kernel)},
    {"expand", offsetof(nas_stage, expand), offsetof(stage_limits, expand)},
};
enum { DIMENSIONS = sizeof dimensions / sizeof *dimensions };

static nas_choices *choices_of(nas_space *space, uint32_t stage, size_t d) {
    return (nas_choices *)(void *)((char *)&space->stages[stage] + dimensions[d].offset);
}

static const nas_choices *limit_of(const stage_limits *stage, size_t d) {
    return (const nas_choices *)(const void *)((const char *)stage + dimensions[d].limit);
}

static bool has(const nas_choices *choices, uint32_t value) {
    for (uint32_t i = 0; i < choices->n; i++)
        if (choices->value[i] == value) return true;
    return false;
}

static nas_choices common(const nas_choices *a, const nas_choices *b) {
    nas_choices both = {0};
    for (uint32_t i = 0; i < a->n; i++)
        if (has(b, a->value[i])) both.value[both.n++] = a->value[i];
    return both;
}

/* "3, 5" */
static void list_choices(const nas_choices *choices, char *text, size_t size) {
    size_t used = 0;
    for (uint32_t i = 0; i < choices->n && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%u", i ? ", " : "", choices->value[i]);
}

/* Keeps the wanted choices (none: all), each of which must be there. */
static int keep(const nas_spot *spot, const char *name, const nas_choices *wanted,
                nas_choices *choices, nas_error *err) {
    nas_spot at = nas_spot_key(spot, name);
    for (uint32_t i = 0; i < wanted->n; i++) {
        if (has(choices, wanted->value[i])) continue;
        char list[100];
        list_choices(choices, list, sizeof list);
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: %s: expected some of the space's choices %s, found %u", at.where,
                        at.path, list, wanted->value[i]);
    }
    if (wanted->n) *choices = *wanted;
    return NAS_OK;
}

/* Keeps in a stage what it has of the wanted choices. One that has no choice stays. */
static int keep_common(const nas_spot *spot, size_t d, const nas_choices *wanted, nas_space *space,
                       uint32_t stage, nas_error *err) {
    nas_choices *choices = choices_of(space, stage, d), both = common(choices, wanted);
    if (!wanted->n || choices->n == 1) return NAS_OK;
    if (!both.n) {
        nas_spot at = nas_spot_key(spot, dimensions[d].name);
        char list[100];
        list_choices(choices, list, sizeof list);
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: %s: leaves stage %u nothing of its choices %s; say in \"stages\" what "
                        "each stage keeps",
                        at.where, at.path, stage, list);
    }
    *choices = both;
    return NAS_OK;
}

/* A value for every stage must be a choice of one of them. */
static int check_every(const nas_spot *spot, size_t d, const nas_choices *wanted, nas_space *space,
                       nas_error *err) {
    for (uint32_t i = 0; i < wanted->n; i++) {
        bool found = false;
        for (uint32_t s = 0; s < space->n_stages; s++)
            found = found || has(choices_of(space, s, d), wanted->value[i]);
        if (found) continue;
        nas_spot at = nas_spot_key(spot, dimensions[d].name);
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: %s: expected choices of the space, found %u, which no stage has",
                        at.where, at.path, wanted->value[i]);
    }
    return NAS_OK;
}

static int restrict_stage(const nas_spot *root, const space_limits *limits, nas_space *space,
                          uint32_t stage, nas_error *err) {
    nas_spot list = nas_spot_key(root, "stages"), at = nas_spot_item(&list, stage);
    int rc = NAS_OK;
    for (size_t d = 0; d < DIMENSIONS && !rc; d++) {
        const nas_choices *own = limit_of(&limits->stages[stage], d);
        const nas_choices *every = limit_of(&limits->every, d);
        rc = own->n ? keep(&at, dimensions[d].name, own, choices_of(space, stage, d), err)
                    : keep_common(root, d, every, space, stage, err);
    }
    return rc;
}

static int apply(const nas_spot *root, const space_limits *limits, nas_space *space,
                 nas_error *err) {
    int rc = keep(root, "resolution", &limits->resolution, &space->resolution, err);
    for (size_t d = 0; d < DIMENSIONS && !rc; d++)
        rc = check_every(root, d, limit_of(&limits->every, d), space, err);
    for (uint32_t s = 0; s < space->n_stages && !rc; s++)
        rc = restrict_stage(root, limits, space, s, err);
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
    if (!rc) rc = apply(&root, &limits, space, err);
    if (!rc) nas_space_number_genes(space);
    return rc;
}
