#include "run/staging.h"

#include "base/file.h"
#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Trees ---- */

typedef int (*entry_fn)(const char *from, const char *to, nas_error *err);

static bool is_folder(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int join(const char *folder, const char *name, char path[NAS_RUNDIR_PATH], nas_error *err) {
    return nas_rundir_path(folder, name, path, NAS_RUNDIR_PATH, err);
}

/* Calls fn for every entry of a folder, with the place of the same name in another. */
static int each(const char *from, const char *to, entry_fn fn, nas_error *err) {
    char source[NAS_RUNDIR_PATH], target[NAS_RUNDIR_PATH];
    int rc = NAS_OK;
    DIR *dir = opendir(from);
    if (!dir) return NAS_OK;
    for (struct dirent *entry; !rc && (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        rc = join(from, entry->d_name, source, err);
        if (!rc) rc = join(to, entry->d_name, target, err);
        if (!rc) rc = fn(source, target, err);
    }
    closedir(dir);
    return rc;
}

static int remove_entry(const char *path, const char *same, nas_error *err) {
    int rc = is_folder(path) ? each(path, same, remove_entry, err) : NAS_OK;
    if (!rc && remove(path) && errno != ENOENT)
        return nas_fail(err, NAS_ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
    return rc;
}

/* A folder is merged into the one of its name, a file replaces it. */
static int move_entry(const char *from, const char *to, nas_error *err) {
    if (is_folder(from)) {
        int rc = nas_folder_make(to, err);
        return rc ? rc : each(from, to, move_entry, err);
    }
    if (rename(from, to) == 0) return NAS_OK;
    return nas_fail(err, NAS_ERR_IO, "%s: cannot be moved to %s: %s", from, to, strerror(errno));
}

/* Everything but pipeline.json, by which an interrupted move is known and finished. */
static int move_result(const char *from, const char *to, nas_error *err) {
    const char *name = strrchr(from, '/');
    return name && strcmp(name, "/pipeline.json") == 0 ? NAS_OK : move_entry(from, to, err);
}

/* ---- Opening ---- */

static bool is_of(const char *folder, const json_t *resolved) {
    char path[NAS_RUNDIR_PATH];
    json_t *there = NULL;
    bool same = join(folder, "pipeline.json", path, NULL) == NAS_OK && nas_file_exists(path) &&
                nas_json_load(path, &there, NULL) == NAS_OK && json_equal(there, resolved);
    json_decref(there);
    return same;
}

static int open_folder(nas_staging *s, const nas_run_request *request, nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    const json_t *resolved = request->pipeline->resolved;
    if (is_of(s->folder, resolved)) return NAS_OK;
    int rc = remove_entry(s->folder, s->folder, err);
    if (!rc) rc = nas_folder_make(s->folder, err);
    if (!rc) rc = join(s->folder, "pipeline.json", path, err);
    return rc ? rc : nas_json_save(path, resolved, err);
}

static int finish_move(const nas_staging *s, const nas_run_request *request, nas_error *err) {
    int rc = each(s->folder, request->out, move_result, err);
    return rc ? rc : remove_entry(s->folder, s->folder, err);
}

int nas_staging_open(const nas_run_request *request, nas_staging *s, nas_error *err) {
    const json_t *resolved = request->pipeline->resolved;
    nas_rundir_change change;
    *s = (nas_staging){0};
    int rc = join(request->out, "next", s->folder, err);
    if (!rc) rc = nas_rundir_compare(request->out, resolved, &change, err);
    if (rc) return rc;
    s->active = change.kind == NAS_RUNDIR_LATER && change.trained;
    for (size_t i = 0; s->active && i < request->pipeline->n_platforms; i++) {
        const char *name = request->pipeline->platforms[i].name;
        s->stale[i] = nas_rundir_stale(&change, resolved, name);
        if (s->stale[i])
            nas_log_line(request->log, NAS_INFO, "the pipeline has changed: '%s' is searched again",
                         name);
    }
    if (s->active)
        rc = open_folder(s, request, err);
    else if (change.kind == NAS_RUNDIR_SAME && is_of(s->folder, resolved))
        rc = finish_move(s, request, err);
    else
        rc = remove_entry(s->folder, s->folder, err);
    if (!rc && !s->active) rc = nas_rundir_open(request->out, resolved, &change, err);
    nas_rundir_change_free(&change);
    return rc;
}

const char *nas_staging_search(const nas_staging *s, const char *out, size_t platform) {
    return s->active && s->stale[platform] ? s->folder : out;
}

const char *nas_staging_report(const nas_staging *s, const char *out) {
    return s->active ? s->folder : out;
}

/* ---- Closing ---- */

/* What is made anew is complete; from here on a run of the same pipeline can finish the move. */
static int commit(const nas_staging *s, const nas_run_request *request, nas_error *err) {
    const json_t *resolved = request->pipeline->resolved;
    nas_rundir_change change;
    int rc = nas_rundir_compare(request->out, resolved, &change, err);
    if (rc) return rc;
    rc = nas_rundir_open(request->out, resolved, &change, err);
    nas_rundir_change_free(&change);
    return rc ? rc : finish_move(s, request, err);
}

int nas_staging_close(const nas_staging *s, const nas_run_request *request, int rc,
                      nas_error *err) {
    if (!s->active || rc == NAS_ERR_INTERRUPTED) return rc;
    if (!rc && request->until != NAS_UNTIL_TRAIN) return commit(s, request, err);
    int removed = remove_entry(s->folder, s->folder, rc ? NULL : err);
    return rc ? rc : removed;
}
