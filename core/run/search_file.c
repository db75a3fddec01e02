#include "run/search_file.h"

#include "base/file.h"
#include "base/json_text.h"
#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 1 << 30 };

typedef struct lines {
    const char *path; /* of the file, for messages */
    const nas_space *space;
    const nas_candidate **ordered;
    size_t n;
} lines;

static int write_lines(void *context, const char *temporary, nas_error *err) {
    const lines *all = context;
    FILE *file = fopen(temporary, "w");
    if (!file)
        return nas_fail(err, NAS_ERR_IO, "%s: cannot be opened: %s", temporary, strerror(errno));
    int rc = NAS_OK;
    for (size_t i = 0; i < all->n && !rc; i++) {
        json_t *json = nas_candidate_json(all->space, all->ordered[i]);
        char *text = json ? nas_json_text(json, JSON_COMPACT) : NULL;
        if (!rc && !text) rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", all->path);
        if (!rc && (fputs(text, file) == EOF || fputc('\n', file) == EOF))
            rc = nas_fail(err, NAS_ERR_IO, "%s: cannot be written", all->path);
        free(text);
        json_decref(json);
    }
    if (fclose(file) && !rc)
        rc = nas_fail(err, NAS_ERR_IO, "%s: cannot be written: %s", all->path, strerror(errno));
    return rc;
}

int nas_search_file_write(const char *path, const nas_space *space, const nas_memo *memo,
                          nas_error *err) {
    lines all = {.path = path, .space = space};
    all.ordered = nas_alloc(memo->n ? memo->n : 1, sizeof(nas_candidate *));
    char *folder = nas_path_folder(path);
    int rc = all.ordered && folder ? nas_folder_make(folder, err)
                                   : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    for (size_t i = 0; i < memo->n && !rc; i++) {
        const nas_candidate *item = &memo->items[i];
        if (!item->asked) continue;
        all.ordered[item->asked - 1] = item;
        all.n++;
    }
    if (!rc) rc = nas_file_replace(path, write_lines, &all, err);
    free(folder);
    free(all.ordered);
    return rc;
}

static int read_line(const char *where, const char *text, size_t bytes, const nas_space *space,
                     nas_memo *memo, nas_error *err) {
    json_error_t error;
    json_t *json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (!json) return nas_fail(err, NAS_ERR_INPUT, "%s: %s", where, error.text);
    nas_candidate candidate;
    int rc = nas_candidate_read(space, json, where, &candidate, err);
    json_decref(json);
    if (rc) return rc;
    if (nas_memo_find(memo, &candidate.genome))
        return nas_fail(err, NAS_ERR_INPUT, "%s: the same subnet stands on an earlier line", where);
    candidate.asked = memo->n + 1;
    return nas_memo_add(memo, &candidate, err);
}

int nas_search_file_read(const char *path, const nas_space *space, nas_memo *memo, nas_error *err) {
    char *data = NULL;
    size_t bytes = 0, line = 1;
    int rc = nas_file_read(path, MAX_BYTES, &data, &bytes, err);
    for (size_t at = 0, end; at < bytes && !rc; at = end + 1, line++) {
        const char *newline = memchr(data + at, '\n', bytes - at);
        end = newline ? (size_t)(newline - data) : bytes;
        char where[4200];
        snprintf(where, sizeof where, "%s: line %zu", path, line);
        rc = read_line(where, data + at, end - at, space, memo, err);
    }
    free(data);
    return rc;
}
