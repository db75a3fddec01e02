#include "run/leftovers.h"

#include "base/file.h"
#include "base/json.h"
#include "base/version.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* Those that a run writes into; in a folder "tensorboard" it has one of its own for each course. */
static const char *const folders[] = {
    "checkpoint", "search",      "family",      "tensorboard",
    "next",       "next/search", "next/family", "next/tensorboard"};
enum { FOLDERS = sizeof folders / sizeof *folders };

static int join(const char *out, const char *name, char *path, size_t size, nas_error *err) {
    int n = snprintf(path, size, "%s/%s", out, name);
    if (n > 0 && (size_t)n < size) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: the run directory's path is too long", out);
}

/* ---- Temporary files ---- */

/* NAME.PID-N.tmp, as base/file.c names them. */
static bool is_temporary(const char *name) {
    size_t n = strlen(name);
    if (n < 8 || strcmp(name + n - 4, ".tmp") != 0) return false;
    n -= 4;
    size_t end = n;
    while (n && name[n - 1] >= '0' && name[n - 1] <= '9') n--;
    if (n == end || !n || name[--n] != '-') return false;
    end = n;
    while (n && name[n - 1] >= '0' && name[n - 1] <= '9') n--;
    return n != end && n > 1 && name[n - 1] == '.';
}

/* inner: the folders in it as well. */
static void sweep(const char *folder, bool inner) {
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    while (entries && (entry = readdir(entries)) != NULL) {
        char path[PATH_BYTES];
        struct stat status;
        if (join(folder, entry->d_name, path, sizeof path, NULL)) continue;
        if (entry->d_name[0] == '.' && !is_temporary(entry->d_name)) continue;
        if (lstat(path, &status)) continue;
        if (S_ISREG(status.st_mode) && is_temporary(entry->d_name)) unlink(path);
        if (S_ISDIR(status.st_mode) && inner) sweep(path, false);
    }
    if (entries) closedir(entries);
}

static void remove_temporary(const char *out) {
    char path[PATH_BYTES];
    sweep(out, false); /* the directory alone: other folders in it are not ours */
    for (int i = 0; i < FOLDERS; i++)
        if (!join(out, folders[i], path, sizeof path, NULL)) sweep(path, true);
}

/* ---- Links ---- */

static int check_link(const char *path, nas_error *err) {
    struct stat status;
    if (lstat(path, &status) || !S_ISLNK(status.st_mode)) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s is a symbolic link, and a run writes through none; put a folder in its "
                    "place",
                    path);
}

static int check_entries(const char *folder, nas_error *err) {
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    int rc = NAS_OK;
    while (entries && !rc && (entry = readdir(entries)) != NULL) {
        char path[PATH_BYTES];
        rc = join(folder, entry->d_name, path, sizeof path, err);
        if (!rc) rc = check_link(path, err);
    }
    if (entries) closedir(entries);
    return rc;
}

static int check_links(const char *out, nas_error *err) {
    char path[PATH_BYTES];
    int rc = NAS_OK;
    for (int i = 0; i < FOLDERS && !rc; i++) {
        rc = join(out, folders[i], path, sizeof path, err);
        if (!rc) rc = check_link(path, err);
        if (!rc && strstr(folders[i], "tensorboard")) rc = check_entries(path, err);
    }
    return rc;
}

/* ---- Whose it is ---- */

static bool holds(const char *out, const char *name) {
    char path[PATH_BYTES];
    return !join(out, name, path, sizeof path, NULL) && nas_file_exists(path);
}

/* Anything but . and .., and the split that a user may put there. */
static bool is_empty(const char *out) {
    DIR *entries = opendir(out);
    const struct dirent *entry;
    bool empty = true;
    while (entries && empty && (entry = readdir(entries)) != NULL)
        empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
                !strcmp(entry->d_name, "split.json");
    if (entries) closedir(entries);
    return empty;
}

int nas_leftovers_check_owner(const char *out, const nas_log *log, nas_error *err) {
    static const char *const run[] = {NAS_RUN_MARK, "supernet.safetensors",
                                      "checkpoint/state.safetensors"};
    static const char *const replaced[] = {
        "pipeline.json", "metrics.jsonl", "family.json", "report.html", "search",
        "family",        "tensorboard",   "checkpoint",  "data.json",   "next"};
    for (size_t i = 0; i < sizeof run / sizeof *run; i++)
        if (holds(out, run[i])) return NAS_OK;
    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++)
        if (holds(out, replaced[i]))
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s is no run's directory, and holds a %s that a run would replace; "
                            "give another directory with --out",
                            out, replaced[i]);
    if (!is_empty(out))
        nas_log_line(log, NAS_WARNING,
                     "%s is not empty, and no run's directory; what is in it stays as it is", out);
    return NAS_OK;
}

static int mark(const char *out, nas_error *err) {
    char path[PATH_BYTES];
    int rc = join(out, NAS_RUN_MARK, path, sizeof path, err);
    if (rc || nas_file_exists(path)) return rc;
    json_t *json = json_pack("{s:s}", "made_by", "nashost " NASHOST_VERSION);
    rc = json ? nas_json_save(path, json, err)
              : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    json_decref(json);
    return rc;
}

int nas_leftovers_settle(const char *out, const nas_log *log, nas_error *err) {
    int rc = check_links(out, err);
    if (rc) return rc;
    remove_temporary(out);
    rc = nas_leftovers_check_owner(out, log, err);
    return rc ? rc : mark(out, err);
}
