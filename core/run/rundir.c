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
    return nas_fail(err, NAS_ERR_INPUT, "%.200s: the run directory's path is too long", out);
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
    snprintf(buffer, size, "%s", text ? text : value ? "?" : "not given");
    free(text);
    return buffer;
}

enum { TOLD = 640 };

static char *tell(const difference *at, char *text) {
    char then[80], now[80];
    snprintf(text, TOLD, "%s was %s there and is %s now%s", at->path,
             value_text(at->before, then, sizeof then), value_text(at->now, now, sizeof now),
             at->before ? ""
                        : " (what an older nashost left lacks keys that came later: that one "
                          "goes on with it)");
    return text;
}

json_t *nas_rundir_training(const json_t *pipeline) {
    static const char *const later[] = {"search", "platforms", "export"};
    json_t *copy = nas_json_copy(pipeline);
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) json_object_del(copy, later[i]);
    json_t *train = json_object_get(copy, "train");
    json_object_del(json_object_get(copy, "dataset"), "memory"); /* which changes no result */
    json_object_del(train, "log_every");
    json_object_del(train, "checkpoint_every");
    json_object_del(train, "checkpoint_seconds");
    return copy;
}

int nas_rundir_same_training(const json_t *before, const json_t *pipeline, const char *where,
                             nas_error *err) {
    char text[TOLD];
    difference at;
    json_t *keys = nas_rundir_training(pipeline);
    int rc = keys ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", where);
    if (!rc && find(before, keys, "", &at))
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: it belongs to another pipeline: %s; remove it to train from the start",
                      where, tell(&at, text));
    json_decref(keys);
    return rc;
}

/* ---- Keeping a directory in step with its pipeline ---- */

static int remove_named(const char *out, const char *name, nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    int rc = nas_rundir_path(out, name, path, sizeof path, err);
    if (rc || unlink(path) == 0 || errno == ENOENT) return rc;
    return nas_fail(err, NAS_ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
}

static bool holds(const char *out, const char *name) {
    char path[NAS_RUNDIR_PATH];
    return nas_rundir_path(out, name, path, sizeof path, NULL) == NAS_OK && nas_file_exists(path);
}

static const json_t *platform_named(const json_t *pipeline, const char *name) {
    const json_t *platforms = json_object_get(pipeline, "platforms");
    for (size_t i = 0; i < json_array_size(platforms); i++) {
        const json_t *platform = json_array_get(platforms, i);
        const char *other = json_string_value(json_object_get(platform, "name"));
        if (other && strcmp(other, name) == 0) return platform;
    }
    return NULL;
}

static bool same(const json_t *before, const json_t *now) {
    return before == now || json_equal(before, now);
}

/* What its file is does not change what is found for a platform. */
static bool same_search(const json_t *before, const json_t *now) {
    json_t *one = nas_json_copy(before), *other = nas_json_copy(now);
    json_object_del(one, "export");
    json_object_del(other, "export");
    bool equal = before && now && same(one, other);
    json_decref(one);
    json_decref(other);
    return equal;
}

bool nas_rundir_stale(const nas_rundir_change *change, const json_t *resolved,
                      const char *platform) {
    if (change->kind == NAS_RUNDIR_NEW || change->kind == NAS_RUNDIR_SAME) return false;
    return change->kind == NAS_RUNDIR_UNTRAINED ||
           !same(json_object_get(change->before, "search"), json_object_get(resolved, "search")) ||
           !same_search(platform_named(change->before, platform),
                        platform_named(resolved, platform));
}

/* Removes the searches of platforms that are not what they were, or are no more. */
static int settle_searches(const char *out, const json_t *resolved, const nas_rundir_change *change,
                           nas_error *err) {
    const json_t *platforms = json_object_get(change->before, "platforms");
    for (size_t i = 0; i < json_array_size(platforms); i++) {
        const json_t *platform = json_array_get(platforms, i);
        const char *name = json_string_value(json_object_get(platform, "name"));
        if (!name || strchr(name, '/') || !nas_rundir_stale(change, resolved, name)) continue;
        char file[64], run[64];
        snprintf(file, sizeof file, "search/%.32s.jsonl", name);
        int rc = remove_named(out, file, err);
        if (rc) return rc;
        snprintf(run, sizeof run, NAS_EVENTS_SEARCH, name);
        nas_events_remove(out, run);
    }
    return NAS_OK;
}

bool nas_rundir_begun(const char *out) {
    return holds(out, "supernet.safetensors") || holds(out, "checkpoint/state.safetensors") ||
           holds(out, "checkpoint/previous.safetensors");
}

bool nas_rundir_split_stays(const char *out, bool anew) {
    return holds(out, "split.json") && !(anew && nas_leftovers_own_split(out));
}

int nas_rundir_forget(const char *out, nas_error *err) {
    int rc = nas_rundir_split_stays(out, true) ? NAS_OK : remove_named(out, "split.json", err);
    if (!rc) rc = remove_named(out, "data.json", err);
    return rc ? rc : remove_named(out, "metrics.jsonl", err);
}

/* How a pipeline.json that stands there differs. */
static int compare(const char *out, const json_t *resolved, nas_rundir_change *change,
                   nas_error *err) {
    char text[TOLD];
    json_t *before = nas_rundir_training(change->before), *after = nas_rundir_training(resolved);
    int rc = before && after ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", out);
    difference at;
    bool retrain = !rc && find(before, after, "", &at);
    change->kind = json_equal(change->before, resolved) ? NAS_RUNDIR_SAME
                   : retrain                            ? NAS_RUNDIR_UNTRAINED
                                                        : NAS_RUNDIR_LATER;
    if (retrain && nas_rundir_begun(out))
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s holds the results of another pipeline: %s; give another directory with "
                      "--out, or remove this one",
                      out, tell(&at, text));
    json_decref(before);
    json_decref(after);
    return rc;
}

int nas_rundir_compare(const char *out, const json_t *resolved, nas_rundir_change *change,
                       nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    *change = (nas_rundir_change){.kind = NAS_RUNDIR_NEW};
    int rc = nas_rundir_path(out, "pipeline.json", path, sizeof path, err);
    if (rc) return rc;
    change->trained = holds(out, "supernet.safetensors");
    if (nas_file_exists(path)) {
        rc = nas_json_load(path, &change->before, err);
        if (!rc) rc = compare(out, resolved, change, err);
    } else if (change->trained) {
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s holds a supernet.safetensors without the pipeline.json that made it; "
                      "give another directory with --out",
                      out);
    }
    if (rc) nas_rundir_change_free(change);
    return rc;
}

void nas_rundir_change_free(nas_rundir_change *change) {
    json_decref(change->before);
    change->before = NULL;
}

int nas_rundir_open(const char *out, const json_t *resolved, const nas_rundir_change *change,
                    nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    bool differs = change->kind == NAS_RUNDIR_LATER || change->kind == NAS_RUNDIR_UNTRAINED;
    int rc = nas_rundir_path(out, "pipeline.json", path, sizeof path, err);
    if (!rc && change->kind == NAS_RUNDIR_UNTRAINED) rc = nas_rundir_forget(out, err);
    if (!rc && differs) rc = settle_searches(out, resolved, change, err);
    if (!rc && differs) rc = remove_named(out, "family.json", err);
    return rc ? rc : nas_json_save(path, resolved, err);
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
