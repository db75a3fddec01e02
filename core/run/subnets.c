#include "run/subnets.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/rng.h"
#include "run/rundir.h"
#include "space/fields.h"

#include <nashost/kit/names.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for more subnets. */
static int grow(nas_subnets *subnets, size_t more, nas_error *err) {
    nas_named *items = nas_alloc(subnets->n + more, sizeof *items);
    if (!items) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu subnets", more);
    if (subnets->n) memcpy(items, subnets->items, subnets->n * sizeof *items);
    free(subnets->items);
    subnets->items = items;
    return NAS_OK;
}

static void append(const nas_space *space, const char *name, const nas_genome *genome,
                   nas_subnets *subnets) {
    nas_named *s = &subnets->items[subnets->n++];
    snprintf(s->name, sizeof s->name, "%s", name);
    s->genome = *genome;
    nas_genome_canonical(space, &s->genome);
}

int nas_subnets_add(const nas_space *space, const char *name, const nas_genome *genome,
                    nas_subnets *subnets, nas_error *err) {
    int rc = grow(subnets, 1, err);
    if (!rc) append(space, name, genome, subnets);
    return rc;
}

void nas_subnets_free(nas_subnets *subnets) {
    free(subnets->items);
    *subnets = (nas_subnets){0};
}

static uint32_t below(void *rng, uint32_t n) {
    return nas_rng_below(rng, n);
}

int nas_subnets_random(const nas_space *space, uint64_t seed, size_t n, nas_subnets *subnets,
                       nas_error *err) {
    int rc = grow(subnets, n, err);
    for (size_t i = 0; i < n && !rc; i++) {
        char name[32];
        nas_rng rng = nas_rng_open(seed, NAS_RNG_SUBNETS, 2, i);
        nas_genome genome = nas_genome_random(space, below, &rng);
        snprintf(name, sizeof name, "random%zu", i);
        append(space, name, &genome, subnets);
    }
    return rc;
}

int nas_subnets_ends(const nas_space *space, nas_subnets *subnets, nas_error *err) {
    nas_genome largest = nas_genome_largest(space), smallest = nas_genome_smallest(space);
    int rc = nas_subnets_add(space, "largest", &largest, subnets, err);
    return rc ? rc : nas_subnets_add(space, "smallest", &smallest, subnets, err);
}

/* ---- Files ---- */

/* There must be room for it. */
static int read_subnet(const nas_space *space, const nas_spot *spot, const json_t *json,
                       const char *name, nas_subnets *subnets, nas_error *err) {
    const json_t *given = json_object_get(json, "name"), *inner = json_object_get(json, "genome");
    nas_genome genome;
    char where[1024];
    nas_spot at = inner ? nas_spot_key(spot, "genome") : *spot;
    snprintf(where, sizeof where, "%s%s%s", at.where, at.path[0] ? ": " : "", at.path);
    int rc = nas_genome_from_json(space, inner ? inner : json, where, &genome, err);
    if (rc) return rc;
    size_t length = json_string_length(given), most = sizeof subnets->items->name - 1;
    at = nas_spot_key(spot, "name");
    if (given && (length < 1 || length > most))
        return nas_spot_fail(&at, given, err, "a string of 1 to %zu bytes", most);
    append(space, given ? json_string_value(given) : name, &genome, subnets);
    return NAS_OK;
}

static int read_array(const nas_space *space, const nas_spot *root, const json_t *array,
                      const char *stem, nas_subnets *subnets, nas_error *err) {
    size_t n = json_array_size(array);
    if (!n) return nas_spot_fail(root, array, err, "at least one subnet");
    int rc = grow(subnets, n, err);
    for (size_t i = 0; i < n && !rc; i++) {
        char name[sizeof subnets->items->name];
        nas_spot item = nas_spot_item(root, i);
        snprintf(name, sizeof name, "%.40s[%zu]", stem, i);
        rc = read_subnet(space, &item, json_array_get(array, i), name, subnets, err);
    }
    return rc;
}

/* The file's name without folder and extension. JSON takes UTF-8 alone, which it need not be. */
static void stem_of(const char *file, char *stem, size_t size) {
    const char *slash = strrchr(file, '/');
    snprintf(stem, size, "%s", slash ? slash + 1 : file);
    stem[strcspn(stem, ".")] = 0;
    for (char *c = stem; *c; c++)
        if ((unsigned char)*c > '~') *c = '?';
}

int nas_subnets_read(const nas_space *space, const char *file, nas_subnets *subnets,
                     nas_error *err) {
    json_t *json;
    char stem[48];
    nas_spot root = nas_spot_root(file);
    int rc = nas_json_load(file, &json, err);
    if (rc == NAS_ERR_IO) /* a name that the user mistyped, most likely */
        return err ? err->code = NAS_ERR_INPUT : NAS_ERR_INPUT;
    if (rc) return rc;
    stem_of(file, stem, sizeof stem);
    if (json_is_array(json)) {
        rc = read_array(space, &root, json, stem, subnets, err);
    } else {
        rc = grow(subnets, 1, err);
        if (!rc) rc = read_subnet(space, &root, json, stem, subnets, err);
    }
    json_decref(json);
    return rc;
}

/* ---- One subnet ---- */

static int one_of_file(const nas_space *space, const char *file, nas_named *subnet,
                       nas_error *err) {
    nas_subnets found = {0};
    int rc = nas_subnets_read(space, file, &found, err);
    if (!rc && found.n != 1)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: expected one subnet, found an array of %zu; keep the one that is meant",
                      file, found.n);
    if (!rc) *subnet = found.items[0];
    nas_subnets_free(&found);
    return rc;
}

static int unknown_platform(const char *path, const json_t *platforms, const char *platform,
                            nas_error *err) {
    const char *names[64] = {NULL}; /* more than a pipeline may have */
    for (size_t i = 0; i < json_array_size(platforms) && i < 64; i++)
        names[i] = json_string_value(json_object_get(json_array_get(platforms, i), "name"));
    const char *near = nas_nearest(platform, names, 64);
    return nas_fail(err, NAS_ERR_INPUT, "%s: there is no platform \"%.40s\" in it%s%.40s%s", path,
                    platform, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int one_of_family(const nas_space *space, const char *out, const char *platform,
                         nas_named *subnet, nas_error *err) {
    char path[NAS_RUNDIR_PATH], where[NAS_RUNDIR_PATH + 64];
    json_t *family;
    int rc = nas_rundir_path(out, "family.json", path, sizeof path, err);
    if (!rc) rc = nas_json_load(path, &family, err);
    if (rc == NAS_ERR_IO)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s holds no family.json: expected a run directory whose search is "
                        "finished; `nashost run %s/pipeline.json --out %s` goes on with it",
                        out, out, out);
    if (rc) return rc;
    const json_t *platforms = json_object_get(family, "platforms"), *genome = NULL;
    for (size_t i = 0; i < json_array_size(platforms) && !genome; i++) {
        const json_t *entry = json_array_get(platforms, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (name && strcmp(name, platform) == 0) genome = json_object_get(entry, "genome");
    }
    snprintf(where, sizeof where, "%s: genome of \"%.32s\"", path, platform);
    rc = genome ? nas_genome_from_json(space, genome, where, &subnet->genome, err)
                : unknown_platform(path, platforms, platform, err);
    snprintf(subnet->name, sizeof subnet->name, "%s", platform);
    json_decref(family);
    return rc;
}

int nas_subnets_one(const nas_space *space, const char *out, const char *file, const char *platform,
                    nas_named *subnet, nas_error *err) {
    if (file) return one_of_file(space, file, subnet, err);
    if (platform) return one_of_family(space, out, platform, subnet, err);
    *subnet = (nas_named){.name = "largest", .genome = nas_genome_largest(space)};
    return NAS_OK;
}
