/* Which shards an option names. */
#include "shard.h"

#include <nashost/kit/dataset_files.h>

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MOST_DIGITS = 9 };

/* What shards are listed into. */
typedef struct target {
    const tar_how *how;
    tar_files *files;
    tar_samples *samples;
} target;

static int list_one(const target *t, const char *path, nas_error *err) {
    return tar_list(path, t->how, t->files, t->samples, err);
}

bool tar_named_as_shard(const char *name) {
    static const char *const endings[] = {".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t end = strlen(endings[i]);
        if (n > end && !strcasecmp(name + n - end, endings[i])) return true;
    }
    return false;
}

static int list_entry(void *context, const char *name, const char *path, nas_error *err) {
    return tar_named_as_shard(name) ? list_one(context, path, err) : NAS_OK;
}

/* FIRST..LAST in braces, of digits; the first one's tell how wide numbers are. */
static bool parse_range(const char *open, long *first, long *last, int *width, const char **rest) {
    char *end, *close;
    size_t digits = strspn(open + 1, "0123456789");
    *first = strtol(open + 1, &end, 10);
    if (!digits || digits > MOST_DIGITS || strncmp(end, "..", 2) != 0) return false;
    size_t more = strspn(end + 2, "0123456789");
    *last = strtol(end + 2, &close, 10);
    *width = (int)digits;
    *rest = close + 1;
    return more && more <= MOST_DIGITS && *close == '}' && *first <= *last;
}

static int list_range(const target *t, const char *text, const char *open, nas_error *err) {
    char path[PATH_MAX];
    const char *rest;
    long first, last;
    int width, rc = NAS_OK;
    if (!parse_range(open, &first, &last, &width, &rest) || strchr(rest, '{'))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: expected one range such as {000..099} between braces", text);
    for (long i = first; i <= last && !rc; i++) {
        int n =
            snprintf(path, sizeof path, "%.*s%0*ld%s", (int)(open - text), text, width, i, rest);
        rc = n < 0 || n >= (int)sizeof path
                 ? nas_fail(err, NAS_ERR_INPUT, "%s: the path is too long", text)
                 : list_one(t, path, err);
    }
    return rc;
}

static int list_pattern(const target *t, const char *text, nas_error *err) {
    glob_t found;
    int code = glob(text, 0, NULL, &found), rc = NAS_OK;
    if (code == GLOB_NOSPACE) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", text);
    if (code && code != GLOB_NOMATCH)
        return nas_fail(err, NAS_ERR_IO, "%s: the folder cannot be read", text);
    for (size_t i = 0; !code && i < found.gl_pathc && !rc; i++)
        rc = list_one(t, found.gl_pathv[i], err);
    globfree(&found);
    return rc;
}

int tar_list_all(const char *text, const tar_how *how, tar_files *files, tar_samples *samples,
                 nas_error *err) {
    target t = {how, files, samples};
    struct stat status;
    const char *open = strchr(text, '{');
    int rc;
    if (stat(text, &status) == 0)
        rc = S_ISDIR(status.st_mode) ? nas_each_entry(text, list_entry, &t, err)
                                     : list_one(&t, text, err);
    else if (open)
        rc = list_range(&t, text, open, err);
    else if (strpbrk(text, "*?["))
        rc = list_pattern(&t, text, err);
    else
        rc = list_one(&t, text, err); /* which says that there is none */
    if (rc || samples->n) return rc;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: no image in it; expected a tar archive of KEY.jpg, .jpeg, .png or .webp, "
                    "a folder of such archives, or a pattern",
                    text);
}
