#include <nashost/kit/names.h>

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
