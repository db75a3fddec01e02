#include <nashost/kit/names.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Optimal string alignment: insert, delete, replace, or swap two neighbours, each at cost 1.
 * rows [3][m + 1]: the current row of the table and the two before it. */
static size_t distance(const char *word, size_t m, const char *name, size_t *rows) {
    size_t *now = rows, *last = rows + m + 1, *before = last + m + 1;
    for (size_t j = 0; j <= m; j++) now[j] = j;
    for (size_t i = 1; name[i - 1]; i++) {
        size_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t cost = last[j - 1] + (name[i - 1] != word[j - 1]);
            cost = smaller(cost, smaller(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && name[i - 1] == word[j - 2] && name[i - 2] == word[j - 1])
                cost = smaller(cost, before[j - 2] + 1);
            now[j] = cost;
        }
    }
    return now[m];
}

const char *nas_nearest(const char *word, const char *const *names, size_t n) {
    size_t m = strlen(word);
    size_t best = m / 3 > 2 ? m / 3 : 2;
    size_t *rows = calloc(3 * (m + 1), sizeof *rows);
    const char *nearest = NULL;
    for (size_t i = 0; i < n && rows; i++) {
        if (!names[i]) continue;
        size_t length = strlen(names[i]);
        if (length > m + best || m > length + best) continue;
        size_t d = distance(word, m, names[i], rows);
        if (d > best || (d == best && nearest)) continue;
        best = d;
        nearest = names[i];
    }
    free(rows);
    return nearest;
}

static int is_file(const struct dirent *entry) {
    return entry->d_type != DT_DIR;
}

const char *nas_nearest_file(const char *path, char *text, size_t size) {
    struct dirent **entries;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *best = NULL;
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int n = folder ? scandir(folder, &entries, is_file, alphasort) : -1;
    for (int i = 0; i < n; i++) {
        const char *const both[] = {best, entries[i]->d_name};
        best = nas_nearest(name, both, 2);
    }
    snprintf(text, size, "%s%s%s", best ? "; did you mean \"" : "", best ? best : "",
             best ? "\"?" : "");
    for (int i = 0; i < n; i++) free(entries[i]);
    if (n >= 0) free(entries);
    free(folder);
    return text;
}
