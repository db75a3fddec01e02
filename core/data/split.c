#include "data/split.h"

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

/* How many images of a class each list takes. */
typedef struct quota {
    uint64_t have, labelled, validation, heldout;
} quota;

/* A class's part of a size, while it is shared out. */
typedef struct part {
    uint64_t least, weight, most; /* it gets `least`, and by its weight what is left */
    uint64_t count, remainder, rank;
    uint32_t class;
} part;

/* What the drawing works on. */
typedef struct draw {
    const nas_split_request *request;
    quota *quotas;     /* [classes] */
    part *parts;       /* [classes] */
    uint64_t *members; /* the images of the class at hand, then what held-out ones are drawn from */
    uint64_t *rank; /* [classes], a permutation: who gives one more where a size does not divide */
    bool *taken;    /* [n_train] */
} draw;

static char *class_text(const nas_split_request *r, uint32_t c, char *buffer, size_t size) {
    if (r->class_names)
        snprintf(buffer, size, "class \"%.60s\"", r->class_names[c]);
    else
        snprintf(buffer, size, "class %u", c);
    return buffer;
}

/* ---- How many of each class ---- */

/* Where a size does not divide, the labelled set takes one more from the first ranks, validation
 * from the last, so that together they stay as balanced as can be. */
static void share_equally(const draw *d, uint64_t n_labelled, uint64_t n_validation) {
    uint64_t classes = d->request->classes;
    for (uint32_t c = 0; c < classes; c++) {
        quota *q = &d->quotas[c];
        q->labelled = n_labelled / classes + (d->rank[c] < n_labelled % classes);
        q->validation =
            n_validation / classes + (classes - 1 - d->rank[c] < n_validation % classes);
    }
}

static int by_remainder(const void *left, const void *right) {
    const part *a = left, *b = right;
    if (a->remainder != b->remainder) return a->remainder > b->remainder ? -1 : 1;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

static int by_class(const void *left, const void *right) {
    const part *a = left, *b = right;
    return (a->class > b->class) - (a->class < b->class);
}

/* Fills the parts' counts, which sum to size, by largest remainders; false: there is no room. */
static bool share_out(part *parts, uint32_t n, uint64_t size) {
    uint64_t least = 0, weights = 0, most = 0, left = size;
    for (uint32_t i = 0; i < n; i++) least += parts[i].least;
    for (uint32_t i = 0; i < n; i++) weights += parts[i].weight;
    for (uint32_t i = 0; i < n; i++) most += parts[i].most;
    if (size < least || size > most) return false;
    for (uint32_t i = 0; i < n; i++) {
        part *p = &parts[i];
        uint64_t share = weights ? (size - least) * p->weight / weights : 0;
        p->remainder = weights ? (size - least) * p->weight % weights : 0;
        p->count = p->least + share < p->most ? p->least + share : p->most;
        left -= p->count;
    }
    qsort(parts, n, sizeof *parts, by_remainder);
    for (uint32_t i = 0; left; i = (i + 1) % n)
        if (parts[i].count < parts[i].most) parts[i].count++, left--;
    qsort(parts, n, sizeof *parts, by_class);
    return true;
}

static int no_room(const char *what, uint64_t size, nas_error *err) {
    return nas_fail(err, NAS_ERR_INPUT,
                    "the split asks for %llu %s images, but then some class would be left without "
                    "a label; ask for fewer",
                    (ull)size, what);
}

/* Labelled and validation images by shares; each class has a label. */
static int share_by_class(const draw *d, uint64_t n_labelled, uint64_t n_validation,
                          nas_error *err) {
    uint32_t n = d->request->classes;
    for (uint32_t c = 0; c < n; c++) {
        uint64_t have = d->quotas[c].have;
        d->parts[c] = (part){have > 0, have, have, .class = c, .rank = d->rank[c]};
        d->parts[c].weight -= have > 0;
    }
    if (!share_out(d->parts, n, n_labelled)) return no_room("labelled", n_labelled, err);
    for (uint32_t c = 0; c < n; c++) d->quotas[c].labelled = d->parts[c].count;
    for (uint32_t c = 0; c < n; c++) {
        uint64_t have = d->quotas[c].have, left = have - d->quotas[c].labelled;
        d->parts[c] = (part){0, have, left, .class = c, .rank = n - 1 - d->rank[c]};
    }
    if (!share_out(d->parts, n, n_validation)) return no_room("validation", n_validation, err);
    for (uint32_t c = 0; c < n; c++) d->quotas[c].validation = d->parts[c].count;
    return NAS_OK;
}

/* Every label but those of validation and held-out images, which are taken by shares. */
static int share_the_rest(const draw *d, uint64_t n_validation, uint64_t n_heldout,
                          nas_error *err) {
    uint32_t n = d->request->classes;
    for (uint32_t c = 0; c < n; c++) {
        uint64_t have = d->quotas[c].have;
        d->parts[c] = (part){0, have, have - (have > 0), .class = c, .rank = d->rank[c]};
    }
    if (!share_out(d->parts, n, n_validation)) return no_room("validation", n_validation, err);
    for (uint32_t c = 0; c < n; c++) {
        d->quotas[c].validation = d->parts[c].count;
        d->parts[c].most -= d->parts[c].count;
        d->parts[c].rank = n - 1 - d->rank[c];
    }
    if (!share_out(d->parts, n, n_heldout)) return no_room("heldout", n_heldout, err);
    for (uint32_t c = 0; c < n; c++) {
        quota *q = &d->quotas[c];
        q->heldout = d->parts[c].count;
        q->labelled = q->have - q->validation - q->heldout;
    }
    return NAS_OK;
}

static int check_class(const draw *d, uint32_t c, nas_error *err) {
    const nas_split_request *r = d->request;
    const quota *q = &d->quotas[c];
    uint64_t needed = q->labelled + q->validation;
    char name[80];
    class_text(r, c, name, sizeof name);
    if (!q->have)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s has no training image; expected at least one, for its label", name);
    if (needed <= q->have) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s has %llu training images, but the split needs %llu (%llu labelled, %llu "
                    "for validation); ask for fewer, or set split.balance to \"shares\", or "
                    "split.labelled to \"all\"",
                    name, (ull)q->have, (ull)needed, (ull)q->labelled, (ull)q->validation);
}

static int set_quotas(const draw *d, const nas_split_sets *sets, nas_error *err) {
    const nas_split_request *r = d->request;
    bool all = r->labelled == NAS_SPLIT_ALL;
    for (uint64_t i = 0; i < r->n_train; i++) d->quotas[r->labels[i]].have++;
    for (uint32_t c = 0; c < r->classes; c++) d->rank[c] = c;
    nas_rng rng = nas_rng_open(r->seed, NAS_RNG_SPLIT, STREAM_RANK, 0);
    nas_rng_shuffle(&rng, d->rank, r->classes);
    int rc = NAS_OK;
    if (all)
        rc = share_the_rest(d, sets->n_validation, sets->heldout_extra ? 0 : sets->n_heldout, err);
    else if (r->balance == NAS_BALANCE_SHARES)
        rc = share_by_class(d, sets->n_labelled, sets->n_validation, err);
    else
        share_equally(d, sets->n_labelled, sets->n_validation);
    for (uint32_t c = 0; c < r->classes && !rc; c++) rc = check_class(d, c, err);
    return rc;
}

/* ---- Which ---- */

static void take(draw *d, const uint64_t *from, uint64_t n, uint64_t *list, uint64_t *at) {
    for (uint64_t i = 0; i < n; i++) {
        list[(*at)++] = from[i];
        d->taken[from[i]] = true;
    }
}

/* A class's images in random order: the first are labelled, the last are for validation, and those
 * that its quota has for it are held out. */
static void draw_class(draw *d, uint32_t c, nas_split_sets *sets, uint64_t at[3]) {
    const quota *q = &d->quotas[c];
    uint64_t n = 0;
    for (uint64_t i = 0; i < sets->n_train; i++)
        if (d->request->labels[i] == (int32_t)c) d->members[n++] = i;
    nas_rng rng = nas_rng_open(sets->seed, NAS_RNG_SPLIT, STREAM_CLASSES, c);
    nas_rng_shuffle(&rng, d->members, n);
    take(d, d->members, q->labelled, sets->labelled, &at[0]);
    take(d, d->members + n - q->validation, q->validation, sets->validation, &at[1]);
    take(d, d->members + q->labelled, q->heldout, sets->heldout, &at[2]);
}

/* The held-out images that no class's quota has given. */
static void draw_heldout(draw *d, nas_split_sets *sets, uint64_t at) {
    uint64_t rest = 0, n = sets->heldout_extra ? sets->n_extra : sets->n_train;
    for (uint64_t i = 0; i < n; i++)
        if (sets->heldout_extra || !d->taken[i]) d->members[rest++] = i;
    nas_rng rng = nas_rng_open(sets->seed, NAS_RNG_SPLIT, STREAM_HELDOUT, 0);
    nas_rng_shuffle(&rng, d->members, rest);
    memcpy(sets->heldout + at, d->members, (sets->n_heldout - at) * sizeof *d->members);
}

static int draw_lists(draw *d, nas_split_sets *sets, nas_error *err) {
    uint64_t at[3] = {0, 0, 0};
    int rc = set_quotas(d, sets, err);
    if (rc) return rc;
    for (uint32_t c = 0; c < d->request->classes; c++) draw_class(d, c, sets, at);
    draw_heldout(d, sets, at[2]);
    sort(sets->labelled, sets->n_labelled);
    sort(sets->validation, sets->n_validation);
    sort(sets->heldout, sets->n_heldout);
    return NAS_OK;
}

/* ---- Sizes ---- */

static int check_sizes(const nas_split_sets *sets, uint32_t classes, nas_error *err) {
    const uint64_t sizes[] = {sets->n_labelled, sets->n_validation, sets->n_heldout};
    static const char *const names[] = {"labelled", "validation", "heldout"};
    uint64_t left = sets->n_train;
    if (sets->n_labelled < classes)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%llu labelled images for %u classes; expected at least one a class",
                        (ull)sets->n_labelled, classes);
    for (int i = 0; i < (sets->heldout_extra ? 2 : 3); i++) {
        if (sizes[i] > left)
            return nas_fail(err, NAS_ERR_INPUT,
                            "the split asks for %llu %s images, but only %llu of %llu training "
                            "images are left for it",
                            (ull)sizes[i], names[i], (ull)left, (ull)sets->n_train);
        left -= sizes[i];
    }
    if (!sets->heldout_extra || sets->n_heldout <= sets->n_extra) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "the split asks for %llu heldout images, but the data set has %llu unlabelled "
                    "ones; ask for fewer, or set split.heldout_from to \"train\"",
                    (ull)sets->n_heldout, (ull)sets->n_extra);
}

static nas_split_sets sizes_of(const nas_split_request *r) {
    bool enough = r->n_extra && (uint64_t)r->heldout <= r->n_extra;
    nas_split_sets sets = {.seed = r->seed,
                           .n_train = r->n_train,
                           .n_extra = r->n_extra,
                           .heldout_extra = r->heldout_from == NAS_HELDOUT_AUTO
                                                ? enough
                                                : r->heldout_from == NAS_HELDOUT_UNLABELLED,
                           .n_labelled = (uint64_t)r->labelled,
                           .n_validation = (uint64_t)r->validation,
                           .n_heldout = (uint64_t)r->heldout};
    if (r->labelled != NAS_SPLIT_ALL) return sets;
    uint64_t others = sets.n_validation + (sets.heldout_extra ? 0 : sets.n_heldout);
    sets.n_labelled = others < r->n_train ? r->n_train - others : 0;
    return sets;
}

/* Room for the three lists; a list of none is never NULL. */
static bool allocate(nas_split_sets *sets) {
    sets->labelled = nas_alloc(sets->n_labelled, sizeof *sets->labelled);
    sets->validation = nas_alloc(sets->n_validation, sizeof *sets->validation);
    sets->heldout = nas_alloc(sets->n_heldout, sizeof *sets->heldout);
    return sets->labelled && sets->validation && sets->heldout;
}

int nas_split_draw(const nas_split_request *r, nas_split_sets *sets, nas_error *err) {
    *sets = sizes_of(r);
    int rc = check_sizes(sets, r->classes, err);
    if (rc) {
        *sets = (nas_split_sets){0};
        return rc;
    }
    uint64_t most = r->n_train > r->n_extra ? r->n_train : r->n_extra;
    draw d = {.request = r,
              .quotas = nas_alloc(r->classes, sizeof *d.quotas),
              .parts = nas_alloc(r->classes, sizeof *d.parts),
              .members = nas_alloc(most, sizeof *d.members),
              .rank = nas_alloc(r->classes, sizeof *d.rank),
              .taken = nas_alloc(r->n_train, sizeof *d.taken)};
    if (allocate(sets) && d.quotas && d.parts && d.members && d.rank && d.taken)
        rc = draw_lists(&d, sets, err);
    else
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory to draw a split of %llu images",
                      (ull)r->n_train);
    void *const memory[] = {d.quotas, d.parts, d.members, d.rank, d.taken};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) free(memory[i]);
    if (rc) nas_split_free(sets);
    return rc;
}

/* ---- The unlabelled pool ---- */

/* Those of 0 ... n - 1 that are in neither list. */
static int others(uint64_t n, const uint64_t *a, uint64_t n_a, const uint64_t *b, uint64_t n_b,
                  uint64_t **kept, nas_error *err) {
    uint64_t at = 0;
    bool *out = nas_alloc(n, sizeof *out);
    *kept = nas_alloc(n - n_a - n_b, sizeof **kept);
    if (!out || !*kept) {
        free(out);
        free(*kept);
        *kept = NULL;
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for the unlabelled pool");
    }
    for (uint64_t i = 0; i < n_a; i++) out[a[i]] = true;
    for (uint64_t i = 0; i < n_b; i++) out[b[i]] = true;
    for (uint64_t i = 0; i < n; i++)
        if (!out[i]) (*kept)[at++] = i;
    free(out);
    return NAS_OK;
}

uint64_t nas_split_pool_size(const nas_split_sets *sets) {
    return sets->n_train - sets->n_validation - (sets->heldout_extra ? 0 : sets->n_heldout);
}

int nas_split_pool(const nas_split_sets *sets, uint64_t **pool, nas_error *err) {
    return others(sets->n_train, sets->validation, sets->n_validation, sets->heldout,
                  sets->heldout_extra ? 0 : sets->n_heldout, pool, err);
}

uint64_t nas_split_extra_size(const nas_split_sets *sets) {
    return sets->n_extra - (sets->heldout_extra ? sets->n_heldout : 0);
}

int nas_split_extra(const nas_split_sets *sets, uint64_t **extra, nas_error *err) {
    return others(sets->n_extra, sets->heldout, sets->heldout_extra ? sets->n_heldout : 0, NULL, 0,
                  extra, err);
}

void nas_split_free(nas_split_sets *sets) {
    if (!sets) return;
    free(sets->labelled);
    free(sets->validation);
    free(sets->heldout);
    *sets = (nas_split_sets){0};
}
