#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "data/split.h"

#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

/* Words for where held-out images are from, by heldout_extra. */
static const char *const sources[] = {"train", "unlabelled"};

/* Room for the three lists; a list of none is never NULL. */
static bool allocate(nas_split_sets *sets) {
    sets->labelled = nas_alloc(sets->n_labelled, sizeof *sets->labelled);
    sets->validation = nas_alloc(sets->n_validation, sizeof *sets->validation);
    sets->heldout = nas_alloc(sets->n_heldout, sizeof *sets->heldout);
    return sets->labelled && sets->validation && sets->heldout;
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
    json_t *root =
        json_pack("{s:b, s:I, s:I, s:I, s:s}", "drawn", 1, "seed", (json_int_t)sets->seed,
                  "n_train", (json_int_t)sets->n_train, "n_extra", (json_int_t)sets->n_extra,
                  "heldout_from", sources[sets->heldout_extra]);
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

/* Where held-out images are from, and how many unlabelled ones there are; a file that says neither
 * has them from the training images. */
static int load_source(const char *path, const json_t *root, uint64_t n_extra, nas_split_sets *sets,
                       nas_error *err) {
    const json_t *from = json_object_get(root, "heldout_from");
    const char *word = from ? json_string_value(from) : sources[0];
    json_int_t value = 0;
    if (!word || (strcmp(word, sources[0]) != 0 && strcmp(word, sources[1]) != 0))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: heldout_from: expected \"train\" or \"unlabelled\", found %s", path,
                        word ? word : nas_json_kind(from));
    sets->n_extra = n_extra;
    sets->heldout_extra = strcmp(word, sources[1]) == 0;
    if (!sets->heldout_extra && !json_object_get(root, "n_extra")) return NAS_OK;
    int rc = load_integer(path, root, "n_extra", &value, err);
    if (rc || (value >= 0 && (uint64_t)value == n_extra)) return rc;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: n_extra: the split is of %lld unlabelled images, but the data set has "
                    "%llu; remove the file to draw a new split",
                    path, (long long)value, (ull)n_extra);
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

/* taken [n] says which of the images are in a list already. */
static int load_list(const char *path, const json_t *array, const char *name, uint64_t n,
                     bool *taken, uint64_t *list, nas_error *err) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        json_int_t value = json_integer_value(item);
        if (!json_is_integer(item))
            return nas_fail(err, NAS_ERR_INPUT, "%s: %s[%zu]: expected an integer, found %s", path,
                            name, i, nas_json_kind(item));
        if (value < 0 || (uint64_t)value >= n)
            return nas_fail(err, NAS_ERR_INPUT, "%s: %s[%zu]: expected 0 to %llu, found %lld", path,
                            name, i, (ull)n - 1, (long long)value);
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

static int load_lists(const char *path, const json_t *root, nas_split_sets *sets, nas_error *err) {
    bool *taken = nas_alloc(sets->n_train, sizeof *taken);
    bool *taken_extra = nas_alloc(sets->n_extra, sizeof *taken_extra);
    lists l = lists_of(sets);
    int rc = allocate(sets) && taken && taken_extra
                 ? NAS_OK
                 : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    for (int i = 0; i < 3 && !rc; i++) {
        bool extra = l.list[i] == &sets->heldout && sets->heldout_extra;
        rc = load_list(path, json_object_get(root, l.name[i]), l.name[i],
                       extra ? sets->n_extra : sets->n_train, extra ? taken_extra : taken,
                       *l.list[i], err);
    }
    free(taken);
    free(taken_extra);
    return rc;
}

static int load(const char *path, const json_t *root, uint64_t n_train, uint64_t n_extra,
                nas_split_sets *sets, nas_error *err) {
    if (!json_is_object(root))
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected an object, found %s", path,
                        nas_json_kind(root));
    int rc = load_source(path, root, n_extra, sets, err);
    if (!rc) rc = load_sizes(path, root, n_train, sets, err);
    return rc ? rc : load_lists(path, root, sets, err);
}

int nas_split_read(const char *name, const json_t *root, uint64_t n_train, uint64_t n_extra,
                   nas_split_sets *sets, nas_error *err) {
    *sets = (nas_split_sets){0};
    int rc = load(name, root, n_train, n_extra, sets, err);
    if (rc) nas_split_free(sets);
    return rc;
}

int nas_split_load(const char *path, uint64_t n_train, uint64_t n_extra, nas_split_sets *sets,
                   nas_error *err) {
    *sets = (nas_split_sets){0};
    json_t *root = NULL;
    int rc = nas_json_load(path, &root, err);
    if (rc) return rc;
    rc = nas_split_read(path, root, n_train, n_extra, sets, err);
    json_decref(root);
    return rc;
}
