#include "run/rundir.h"

#include "base/file.h"
#include "base/json.h"
#include "run/events.h"
#include "run/leftovers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int nas_rundir_path(const char *out, const char *name, char *path, size_t size, nas_error *err) {
    int n = snprintf(path, size, "%s/%s", out, name);
    if (n > 0 && (size_t)n < size) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: the run directory's path is too long", out);
}

int nas_rundir_search(const char *out, const char *platform, char *path, nas_error *err) {
    char name[64];
    snprintf(name, sizeof name, "search/%.32s.jsonl", platform);
    return nas_rundir_path(out, name, path, NAS_RUNDIR_PATH, err);
}

/* ---- Comparing two resolved pipelines ---- */

/* Where two values differ first: a path such as "train.lr", and both values there. */
typedef struct difference {
    char path[256];
    const json_t *before, *now;
} difference;

static bool find(const json_t *before, const json_t *now, const char *path, difference *at);

static bool find_in_objects(const json_t *before, const json_t *now, const char *path,
                            difference *at) {
    const json_t *both[2] = {now, before}; /* keys that only one of them has count too */
    for (int i = 0; i < 2; i++) {
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)both[i], key, value) {
            char inner[sizeof at->path];
            snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", key);
            if (find(json_object_get(before, key), json_object_get(now, key), inner, at))
                return true;
        }
    }
    return false;
}

static bool find(const json_t *before, const json_t *now, const char *path, difference *at) {
    if (json_equal(before, now)) return false;
    if (json_is_object(before) && json_is_object(now))
        return find_in_objects(before, now, path, at);
    *at = (difference){.before = before, .now = now};
    snprintf(at->path, sizeof at->path, "%s", path);
    return true;
}

static char *value_text(const json_t *value, char *buffer, size_t size) {
    char *text =
        value ? nas_json_text(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6), NULL)
              : NULL;
    snprintf(buffer, size, "%s", text ? text : "nothing");
    free(text);
    return buffer;
}

json_t *nas_rundir_training(const json_t *pipeline) {
    static const char *const later[] = {"search", "platforms", "export"};
    json_t *copy = nas_json_copy(pipeline);
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) json_object_del(copy, later[i]);
    json_t *train = json_object_get(copy, "train");
    json_object_del(train, "log_every");
    json_object_del(train, "checkpoint_every");
    json_object_del(train, "checkpoint_seconds");
    return copy;
}

int nas_rundir_same_training(const json_t *before, const json_t *pipeline, const char *where,
                             nas_error *err) {
    char then[80], now[80];
    difference at;
    json_t *keys = nas_rundir_training(pipeline);
    int rc = keys ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", where);
    if (!rc && find(before, keys, "", &at))
        rc =
            nas_fail(err, NAS_ERR_PLUGIN,
                     "%s: it belongs to another pipeline: %s was %s there and is %s now; remove it "
                     "to train from the start",
                     where, at.path, value_text(at.before, then, sizeof then),
                     value_text(at.now, now, sizeof now));
    json_decref(keys);
    return rc;
}

/* ---- Keeping a directory in step with its pipeline ---- */

typedef struct rundir {
    const char *out;
    const json_t *before, *now;
    const nas_log *log;
} rundir;

static int remove_file(const char *path, nas_error *err) {
    if (unlink(path) == 0 || errno == ENOENT) return NAS_OK;
    return nas_fail(err, NAS_ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
}

static int remove_named(const char *out, const char *name, nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    int rc = nas_rundir_path(out, name, path, sizeof path, err);
    return rc ? rc : remove_file(path, err);
}

static bool holds(const char *out, const char *name) {
    char path[NAS_RUNDIR_PATH];
    return nas_rundir_path(out, name, path, sizeof path, NULL) == NAS_OK && nas_file_exists(path);
}

/* Refuses where trained weights would not be the pipeline's; else what is left of an unfinished run
 * is removed. */
static int settle_training(const rundir *dir, const difference *at, nas_error *err) {
    char before[80], now[80];
    if (holds(dir->out, "supernet.safetensors") ||
        holds(dir->out, "checkpoint/state.safetensors") ||
        holds(dir->out, "checkpoint/previous.safetensors"))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s holds the results of another pipeline: %s was %s there and is %s now; "
                        "give another directory with --out, or remove this one",
                        dir->out, at->path, value_text(at->before, before, sizeof before),
                        value_text(at->now, now, sizeof now));
    /* A split that the user has put there is not ours to remove. */
    int rc = NAS_OK;
    if (nas_leftovers_own_split(dir->out)) rc = remove_named(dir->out, "split.json", err);
    return rc ? rc : remove_named(dir->out, "metrics.jsonl", err);
}

static const json_t *platform_named(const json_t *platforms, const char *name) {
    for (size_t i = 0; i < json_array_size(platforms); i++) {
        const json_t *platform = json_array_get(platforms, i);
        const char *other = json_string_value(json_object_get(platform, "name"));
        if (other && strcmp(other, name) == 0) return platform;
    }
    return NULL;
}

static bool same(const rundir *dir, const char *key) {
    const json_t *before = json_object_get(dir->before, key), *now = json_object_get(dir->now, key);
    return before == now || json_equal(before, now);
}

/* Removes the searches of platforms that are not what they were. */
static int settle_searches(const rundir *dir, bool all, nas_error *err) {
    all = all || !same(dir, "search");
    const json_t *platforms = json_object_get(dir->before, "platforms");
    const json_t *now = json_object_get(dir->now, "platforms");
    for (size_t i = 0; i < json_array_size(platforms); i++) {
        const json_t *platform = json_array_get(platforms, i);
        const char *name = json_string_value(json_object_get(platform, "name"));
        if (!name || strchr(name, '/')) continue;
        if (!all && json_equal(platform, platform_named(now, name))) continue;
        char path[NAS_RUNDIR_PATH];
        int rc = nas_rundir_search(dir->out, name, path, err);
        if (!rc && nas_file_exists(path) && platform_named(now, name))
            nas_log_line(dir->log, NAS_INFO, "the pipeline has changed: '%s' is searched again",
                         name);
        if (!rc) rc = remove_file(path, err);
        if (rc) return rc;
        char run[64];
        snprintf(run, sizeof run, NAS_EVENTS_SEARCH, name);
        nas_events_remove(dir->out, run);
    }
    return NAS_OK;
}

static int settle(const rundir *dir, nas_error *err) {
    if (json_equal(dir->before, dir->now)) return NAS_OK;
    json_t *before = nas_rundir_training(dir->before), *now = nas_rundir_training(dir->now);
    int rc = before && now ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", dir->out);
    difference at;
    bool retrain = !rc && find(before, now, "", &at);
    if (retrain) rc = settle_training(dir, &at, err);
    if (!rc) rc = settle_searches(dir, retrain, err);
    if (!rc) rc = remove_named(dir->out, "family.json", err);
    json_decref(before);
    json_decref(now);
    return rc;
}

int nas_rundir_lock(const char *out, int *lock, nas_error *err) {
    bool got = false;
    int rc = nas_folder_make(out, err);
    if (!rc) rc = nas_folder_lock(out, lock, &got, err);
    if (rc || got) return rc;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: another nashost is at work in this directory; wait until it has ended, or "
                    "give another one with --out",
                    out);
}

int nas_rundir_open(const char *out, const json_t *resolved, const nas_log *log, nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    int rc = nas_rundir_path(out, "pipeline.json", path, sizeof path, err);
    if (!rc) rc = nas_leftovers_check_links(out, err);
    if (!rc) nas_leftovers_remove(out);
    if (!rc) rc = nas_leftovers_check_owner(out, log, err);
    if (!rc && nas_file_exists(path)) {
        json_t *before = NULL;
        rc = nas_json_load(path, &before, err);
        if (!rc) rc = settle(&(rundir){out, before, resolved, log}, err);
        json_decref(before);
    } else if (!rc && holds(out, "supernet.safetensors")) {
        rc =
            nas_fail(err, NAS_ERR_INPUT,
                     "%s holds a supernet.safetensors without the pipeline.json that made it; give "
                     "another directory with --out",
                     out);
    }
    if (!rc) rc = nas_leftovers_mark(out, err);
    return rc ? rc : nas_json_save(path, resolved, err);
}

int nas_rundir_needs(const char *out, const char *name, const char *command, nas_error *err) {
    if (holds(out, name)) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s holds no %s: expected a run directory in which `nashost %s %s%s` has ended",
                    out, name, command, strcmp(command, "run") == 0 ? "PIPELINE --out " : "", out);
}

int nas_rundir_trained(const char *out, nas_error *err) {
    int rc = nas_rundir_needs(out, "pipeline.json", "run", err);
    if (!rc) rc = nas_rundir_needs(out, "split.json", "train", err);
    return rc ? rc : nas_rundir_needs(out, "supernet.safetensors", "train", err);
}

int nas_rundir_ready(const nas_run_request *request, nas_error *err) {
    const nas_pipeline *pipeline = request->pipeline;
    int rc = request->from > NAS_FROM_TRAIN ? nas_rundir_trained(request->out, err) : NAS_OK;
    for (size_t i = 0; i < pipeline->n_platforms && request->from == NAS_FROM_REPORT && !rc; i++) {
        char name[64];
        snprintf(name, sizeof name, "search/%.32s.jsonl", pipeline->platforms[i].name);
        rc = nas_rundir_needs(request->out, name, "search", err);
    }
    return rc;
}
