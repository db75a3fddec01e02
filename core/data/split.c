#include "data/split.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

/* Each list's order comes from a stream of its own, so that its content does not depend on how many
 * images the other lists take. */
enum { STREAM_CLASSES, STREAM_HELDOUT, STREAM_RANK };

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void sort(uint64_t *list, uint64_t n) {
    if (n) qsort(list, n, sizeof *list, compare);
}

/* Room for the three lists; a list of none is never NULL. */
static bool allocate(nas_split_sets *sets) {
    sets->labelled = nas_alloc(sets->n_labelled, sizeof *sets->labelled);
    sets->validation = nas_alloc(sets->n_validation, sizeof *sets->validation);
    sets->heldout = nas_alloc(sets->n_heldout, sizeof *sets->heldout);
    return sets->labelled && sets->validation && sets->heldout;
}

/* What the drawing works on. */
typedef struct draw {
    const int32_t *labels;
    uint32_t classes;
    uint64_t *members; /* [n_train], the images of the class at hand, then of the rest */
    uint64_t *rank; /* [classes], a permutation: who gives one more where a size does not divide */
    bool *taken;    /* [n_train] */
} draw;

/* Where a size does not divide, the labelled set takes one more from the first ranks, validation
 * from the last, so that together they stay as balanced as can be. */
static uint64_t labelled_of(const draw *d, uint64_t n, uint32_t c) {
    return n / d->classes + (d->rank[c] < n % d->classes);
}

static uint64_t validation_of(const draw *d, uint64_t n, uint32_t c) {
    return n / d->classes + (d->classes - 1 - d->rank[c] < n % d->classes);
}

/* A class's images in random order: the first are labelled, the last are for validation. */
static int draw_class(draw *d, uint32_t c, nas_split_sets *sets, uint64_t at[2], nas_error *err) {
    uint64_t n = 0;
    for (uint64_t i = 0; i < sets->n_train; i++)
        if (d->labels[i] == (int32_t)c) d->members[n++] = i;
    uint64_t labelled = labelled_of(d, sets->n_labelled, c);
    uint64_t validation = validation_of(d, sets->n_validation, c);
    if (labelled + validation > n)
        return nas_fail(err, NAS_ERR_INPUT,
                        "class %u has %llu training images, but the split needs %llu (%llu "
                        "labelled, %llu for validation); ask for fewer",
                        c, (ull)n, (ull)(labelled + validation), (ull)labelled, (ull)validation);
    nas_rng rng = nas_rng_open(sets->seed, NAS_RNG_SPLIT, STREAM_CLASSES, c);
    nas_rng_shuffle(&rng, d->members, n);
    for (uint64_t i = 0; i < labelled; i++) sets->labelled[at[0]++] = d->members[i];
    for (uint64_t i = 0; i < validation; i++) sets->validation[at[1]++] = d->members[n - 1 - i];
    for (uint64_t i = 0; i < labelled; i++) d->taken[d->members[i]] = true;
    for (uint64_t i = 0; i < validation; i++) d->taken[d->members[n - 1 - i]] = true;
    return NAS_OK;
}

static int draw_lists(draw *d, nas_split_sets *sets, nas_error *err) {
    for (uint64_t c = 0; c < d->classes; c++) d->rank[c] = c;
    nas_rng rng = nas_rng_open(sets->seed, NAS_RNG_SPLIT, STREAM_RANK, 0);
    nas_rng_shuffle(&rng, d->rank, d->classes);
    uint64_t at[2] = {0, 0};
    for (uint32_t c = 0; c < d->classes; c++) {
        int rc = draw_class(d, c, sets, at, err);
        if (rc) return rc;
    }
    uint64_t rest = 0;
    for (uint64_t i = 0; i < sets->n_train; i++)
        if (!d->taken[i]) d->members[rest++] = i;
    rng = nas_rng_open(sets->seed, NAS_RNG_SPLIT, STREAM_HELDOUT, 0);
    nas_rng_shuffle(&rng, d->members, rest);
    memcpy(sets->heldout, d->members, sets->n_heldout * sizeof *d->members);
    sort(sets->labelled, sets->n_labelled);
    sort(sets->validation, sets->n_validation);
    sort(sets->heldout, sets->n_heldout);
    return NAS_OK;
}

static int check_sizes(const nas_split_sets *sets, uint32_t classes, nas_error *err) {
    if (sets->n_labelled < classes)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%llu labelled images for %u classes; expected at least one a class",
                        (ull)sets->n_labelled, classes);
    const uint64_t sizes[] = {sets->n_labelled, sets->n_validation, sets->n_heldout};
    static const char *const names[] = {"labelled", "validation", "heldout"};
    uint64_t left = sets->n_train;
    for (int i = 0; i < 3; i++) {
        if (sizes[i] > left)
            return nas_fail(err, NAS_ERR_INPUT,
                            "the split asks for %llu %s images, but only %llu of %llu training "
                            "images are left for it",
                            (ull)sizes[i], names[i], (ull)left, (ull)sets->n_train);
        left -= sizes[i];
    }
    return NAS_OK;
}

int nas_split_draw(const int32_t *labels, uint64_t n_train, uint32_t classes, uint64_t n_labelled,
                   uint64_t n_validation, uint64_t n_heldout, uint64_t seed, nas_split_sets *sets,
                   nas_error *err) {
    *sets = (nas_split_sets){.seed = seed,
                             .n_train = n_train,
                             .n_labelled = n_labelled,
                             .n_validation = n_validation,
                             .n_heldout = n_heldout};
    int rc = check_sizes(sets, classes, err);
    if (rc) {
        *sets = (nas_split_sets){0};
        return rc;
    }
    draw d = {.labels = labels,
              .classes = classes,
              .members = nas_alloc(n_train, sizeof *d.members),
              .rank = nas_alloc(classes, sizeof *d.rank),
              .taken = nas_alloc(n_train, sizeof *d.taken)};
    if (allocate(sets) && d.members && d.rank && d.taken)
        rc = draw_lists(&d, sets, err);
    else
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory to draw a split of %llu images",
                      (ull)n_train);
    free(d.members);
    free(d.rank);
    free(d.taken);
    if (rc) nas_split_free(sets);
    return rc;
}

/* The three lists, for code that treats them alike. */
typedef struct lists {
    const char *name[3], *size_name[3];
    uint64_t **list[3], *size[3];
} lists;

static lists lists_of(nas_split_sets *sets) {
    return (lists){.name = {"labelled", "validation", "heldout"},
                   .size_name = {"n_labelled", "n_validation", "n_heldout"},
                   .list = {&sets->labelled, &sets->validation, &sets->heldout},
                   .size = {&sets->n_labelled, &sets->n_validation, &sets->n_heldout}};
}

static json_t *list_json(const uint64_t *list, uint64_t n) {
    json_t *array = json_array();
    for (uint64_t i = 0; array && i < n; i++)
        nas_json_add(&array, json_integer((json_int_t)list[i]));
    return array;
}

int nas_split_text(const nas_split_sets *sets, char **text, size_t *bytes, nas_error *err) {
    nas_split_sets copy = *sets;
    lists l = lists_of(&copy);
    json_t *root = json_pack("{s:I, s:I}", "seed", (json_int_t)sets->seed, "n_train",
                             (json_int_t)sets->n_train);
    for (int i = 0; i < 3; i++)
        nas_json_put(&root, l.size_name[i], json_integer((json_int_t)*l.size[i]));
    for (int i = 0; i < 3; i++) nas_json_put(&root, l.name[i], list_json(*l.list[i], *l.size[i]));
    *text = nas_json_text(root, JSON_INDENT(2), bytes);
    json_decref(root);
    if (!*text) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a split");
    (*text)[(*bytes)++] = '\n'; /* where its NUL was */
    return NAS_OK;
}

int nas_split_save(const char *path, const nas_split_sets *sets, nas_error *err) {
    char *text = NULL;
    size_t bytes = 0;
    int rc = nas_split_text(sets, &text, &bytes, err);
    if (!rc) rc = nas_file_write(path, text, bytes, err);
    free(text);
    return rc;
}

static int load_integer(const char *path, const json_t *root, const char *key, json_int_t *value,
                        nas_error *err) {
    const json_t *item = json_object_get(root, key);
    if (!item) return nas_fail(err, NAS_ERR_INPUT, "%s: key \"%s\" is missing", path, key);
    if (!json_is_integer(item))
        return nas_fail(err, NAS_ERR_INPUT, "%s: %s: expected an integer, found %s", path, key,
                        nas_json_kind(item));
    *value = json_integer_value(item);
    return NAS_OK;
}

/* The seed and the sizes, each size compared with its list's. */
static int load_sizes(const char *path, const json_t *root, uint64_t n_train, nas_split_sets *sets,
                      nas_error *err) {
    json_int_t value = 0;
    int rc = load_integer(path, root, "seed", &value, err);
    if (rc) return rc;
    sets->seed = (uint64_t)value;
    rc = load_integer(path, root, "n_train", &value, err);
    if (rc) return rc;
    if (value < 0 || (uint64_t)value != n_train)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: n_train: the split is of %lld training images, but the data set has "
                        "%llu; remove the file to draw a new split",
                        path, (long long)value, (ull)n_train);
    sets->n_train = n_train;
    lists l = lists_of(sets);
    for (int i = 0; i < 3; i++) {
        rc = load_integer(path, root, l.size_name[i], &value, err);
        if (rc) return rc;
        const json_t *array = json_object_get(root, l.name[i]);
        if (!json_is_array(array))
            return nas_fail(err, NAS_ERR_INPUT, "%s: %s: expected an array, found %s", path,
                            l.name[i], array ? nas_json_kind(array) : "nothing");
        *l.size[i] = json_array_size(array);
        if (value < 0 || *l.size[i] != (uint64_t)value)
            return nas_fail(err, NAS_ERR_INPUT, "%s: %s: expected %lld indices, found %llu", path,
                            l.name[i], (long long)value, (ull)*l.size[i]);
    }
    return NAS_OK;
}

/* taken [n_train] says which images are in a list already. */
static int load_list(const char *path, const json_t *array, const char *name, uint64_t n_train,
                     bool *taken, uint64_t *list, nas_error *err) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        json_int_t value = json_integer_value(item);
        if (!json_is_integer(item))
            return nas_fail(err, NAS_ERR_INPUT, "%s: %s[%zu]: expected an integer, found %s", path,
                            name, i, nas_json_kind(item));
        if (value < 0 || (uint64_t)value >= n_train)
            return nas_fail(err, NAS_ERR_INPUT, "%s: %s[%zu]: expected 0 to %llu, found %lld", path,
                            name, i, (ull)n_train - 1, (long long)value);
        list[i] = (uint64_t)value;
        if (i && list[i - 1] >= list[i])
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: %s[%zu]: expected ascending indices, found %llu after %llu", path,
                            name, i, (ull)list[i], (ull)list[i - 1]);
        if (taken[value])
            return nas_fail(err, NAS_ERR_INPUT, "%s: %s[%zu]: image %llu is in an earlier list too",
                            path, name, i, (ull)list[i]);
        taken[value] = true;
    }
    return NAS_OK;
}

static int load(const char *path, const json_t *root, uint64_t n_train, nas_split_sets *sets,
                nas_error *err) {
    if (!json_is_object(root))
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected an object, found %s", path,
                        nas_json_kind(root));
    int rc = load_sizes(path, root, n_train, sets, err);
    if (rc) return rc;
    bool *taken = nas_alloc(n_train, sizeof *taken);
    lists l = lists_of(sets);
    if (!allocate(sets) || !taken) {
        free(taken);
        return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    }
    for (int i = 0; i < 3 && !rc; i++)
        rc = load_list(path, json_object_get(root, l.name[i]), l.name[i], n_train, taken,
                       *l.list[i], err);
    free(taken);
    return rc;
}

int nas_split_load(const char *path, uint64_t n_train, nas_split_sets *sets, nas_error *err) {
    *sets = (nas_split_sets){0};
    json_t *root = NULL;
    int rc = nas_json_load(path, &root, err);
    if (rc) return rc;
    rc = load(path, root, n_train, sets, err);
    json_decref(root);
    if (rc) nas_split_free(sets);
    return rc;
}

/* ---- The unlabelled pool ---- */

uint64_t nas_split_pool_size(const nas_split_sets *sets) {
    return sets->n_train - sets->n_validation - sets->n_heldout;
}

int nas_split_pool(const nas_split_sets *sets, uint64_t **pool, nas_error *err) {
    uint64_t n = 0;
    bool *out = nas_alloc(sets->n_train, sizeof *out);
    *pool = nas_alloc(nas_split_pool_size(sets), sizeof **pool);
    if (!out || !*pool) {
        free(out);
        free(*pool);
        *pool = NULL;
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for the unlabelled pool");
    }
    for (uint64_t i = 0; i < sets->n_validation; i++) out[sets->validation[i]] = true;
    for (uint64_t i = 0; i < sets->n_heldout; i++) out[sets->heldout[i]] = true;
    for (uint64_t i = 0; i < sets->n_train; i++)
        if (!out[i]) (*pool)[n++] = i;
    free(out);
    return NAS_OK;
}

void nas_split_free(nas_split_sets *sets) {
    if (!sets) return;
    free(sets->labelled);
    free(sets->validation);
    free(sets->heldout);
    *sets = (nas_split_sets){0};
}
