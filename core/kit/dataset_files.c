#include <nashost/kit/dataset_files.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- Files ---- */

int nas_data_path(const char *folder, const char *name, char path[PATH_MAX], nas_error *err) {
    int n = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    if (n > 0 && n < PATH_MAX) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%.200s/%.200s: the path is too long", folder, name);
}

int nas_data_code(int code) {
    return errno == ENOMEM ? NAS_ERR_MEMORY : code;
}

const char *nas_data_why(const char *why) {
    return errno == ENOMEM ? "out of memory" : why;
}

int nas_data_open(const char *path, const char *missing, FILE **file, uint64_t *size,
                  nas_error *err) {
    struct stat status;
    *file = NULL;
    if (stat(path, &status))
        return errno == ENOENT ? nas_fail(err, NAS_ERR_INPUT, "%s: no such file; %s", path, missing)
                               : nas_fail(err, NAS_ERR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode)) return nas_fail(err, NAS_ERR_INPUT, "%s: expected a file", path);
    *file = fopen(path, "rb");
    if (!*file)
        return nas_fail(err, nas_data_code(NAS_ERR_IO), "%s: %s", path,
                        nas_data_why(strerror(errno)));
    if (size) *size = (uint64_t)status.st_size;
    return NAS_OK;
}

int nas_data_beyond(uint64_t index, uint64_t count, nas_error *err) {
    return nas_fail(err, NAS_ERR_PLUGIN, "image %llu was asked for, of a split of %llu",
                    (unsigned long long)index, (unsigned long long)count);
}

/* ---- Names of classes ---- */

int nas_class_names(const char *list, uint32_t classes, const char *where, char **text,
                    const char ***names, nas_error *err) {
    uint32_t found = 0;
    *text = NULL;
    *names = NULL;
    if (!*list) return NAS_OK;
    *text = strdup(list);
    *names = (const char **)calloc(classes, sizeof **names);
    if (!*text || !*names) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    for (char *at = *text, *next; at; at = next) {
        next = strchr(at, ',');
        if (next) *next++ = '\0';
        at += strspn(at, " \t");
        size_t length = strlen(at);
        while (length && strchr(" \t", at[length - 1])) at[--length] = '\0';
        if (!length)
            return nas_fail(err, NAS_ERR_INPUT, "option \"class_names\": name %u is empty", found);
        if (found < classes) (*names)[found] = at;
        found++;
    }
    if (found == classes) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "option \"class_names\": expected %u names, one for each class in %s; found %u",
                    classes, where, found);
}

/* ---- Labels that are texts ---- */

bool nas_label_number(const char *text, long *value) {
    const char *digits = text + strspn(text, "0");
    size_t n = strspn(digits, "0123456789");
    if (!*text || n > 9 || digits[n]) return false;
    if (value) *value = strtol(digits, NULL, 10);
    return true;
}

static int compare_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static long value_of(const char *number) {
    long value = -1;
    nas_label_number(number, &value);
    return value;
}

/* Of equal numbers the shortest comes first. */
static int compare_values(const void *a, const void *b) {
    const char *one = *(char *const *)a, *other = *(char *const *)b;
    long x = value_of(one), y = value_of(other);
    size_t m = strlen(one), n = strlen(other);
    return x != y ? (x > y) - (x < y) : (m > n) - (m < n);
}

int nas_label_classes(const char *const *labels, size_t n, char ***classes, uint32_t *n_classes,
                      nas_error *err) {
    char **all = calloc(n + 1, sizeof *all);
    bool numbers = true;
    uint32_t found = 0;
    *classes = all;
    *n_classes = 0;
    if (!all) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        all[i] = (char *)(uintptr_t)labels[i];
        numbers = numbers && nas_label_number(labels[i], NULL);
    }
    qsort(all, n, sizeof *all, numbers ? compare_values : compare_bytes);
    for (size_t i = 0; i < n; i++) {
        bool same = i && (numbers ? value_of(all[found - 1]) == value_of(all[i])
                                  : strcmp(all[found - 1], all[i]) == 0);
        if (!same) all[found++] = all[i];
    }
    for (; *n_classes < found; ++*n_classes) { /* the labels go, the names stay */
        all[*n_classes] = strdup(all[*n_classes]);
        if (!all[*n_classes]) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    }
    return NAS_OK;
}

/* Few classes are the rule, but there may be thousands. */
int32_t nas_label_class(const char *const *classes, uint32_t n_classes, const char *label) {
    int32_t found = -1;
    long number, value;
    for (uint32_t c = 0; c < n_classes; c++)
        if (strcmp(classes[c], label) == 0) return (int32_t)c;
    if (!nas_label_number(label, &number)) return -1;
    for (uint32_t c = 0; c < n_classes; c++) {
        if (!nas_label_number(classes[c], &value)) return -1;
        if (value == number && found < 0) found = (int32_t)c;
    }
    return found;
}

/* ---- Fingerprints ---- */

uint64_t nas_hash(uint64_t hash, const void *data, size_t n) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

/* ---- Labels ---- */

uint32_t nas_integer_width(const char *type) {
    bool number = strlen(type) == 3 && strchr("<>|", type[0]) && strchr("iu", type[1]) &&
                  strchr(type[0] == '|' ? "1" : "1248", type[2]);
    return number ? (uint32_t)(type[2] - '0') : 0;
}

int64_t nas_decode_integer(const uint8_t *bytes, const char *type, uint32_t width) {
    uint64_t value = 0, top = 0; /* top: the sign's bit */
    for (uint32_t i = 0; i < width; i++) {
        value = value << 8 | bytes[type[0] == '>' ? i : width - 1 - i];
        top = i ? top << 8 : 0x80;
    }
    if (type[1] == 'u') return value > INT64_MAX ? INT64_MAX : (int64_t)value;
    return (int64_t)((value ^ top) - top); /* carries the sign up */
}

/* ---- Folders ---- */

static int by_bytes(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_hidden(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

int nas_each_entry(const char *folder, nas_entry_fn fn, void *context, nas_error *err) {
    struct dirent **entries;
    char path[PATH_MAX];
    int n = scandir(folder, &entries, not_hidden, by_bytes), rc = NAS_OK;
    if (n < 0)
        return nas_fail(err, nas_data_code(NAS_ERR_INPUT), "%s: %s; expected a folder", folder,
                        nas_data_why(strerror(errno)));
    for (int i = 0; i < n; i++) {
        if (!rc) rc = nas_data_path(folder, entries[i]->d_name, path, err);
        if (!rc) rc = fn(context, entries[i]->d_name, path, err);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

/* ---- Which file is what, by its name ---- */

static bool has_word(const char *text, const char *const *words) {
    for (; *words; words++)
        if (strstr(text, *words)) return true;
    return false;
}

/* The role of a name such as "train-images-idx3-ubyte", "x_test.npy" or "val_labels"; -1: none. */
static int role_of(const char *name) {
    static const char *const train[] = {"train", NULL}, *const test[] = {"test", "t10k", NULL},
                             *const labels[] = {"label", "target", "y_", "_y", NULL},
                             *const images[] = {"image", "data", "x_", "_x", NULL};
    char low[256];
    size_t n = strnlen(name, sizeof low - 1);
    for (size_t i = 0; i < n; i++) low[i] = (char)tolower((unsigned char)name[i]);
    low[n] = '\0';
    bool unlabelled = strstr(low, "unlab") != NULL;
    bool is_labels = !unlabelled && has_word(low, labels);
    if (unlabelled || strstr(low, "extra")) return is_labels ? -1 : NAS_ROLE_EXTRA_IMAGES;
    if (!is_labels && !has_word(low, images)) return -1;
    if (has_word(low, train)) return is_labels ? NAS_ROLE_TRAIN_LABELS : NAS_ROLE_TRAIN_IMAGES;
    if (has_word(low, test)) return is_labels ? NAS_ROLE_TEST_LABELS : NAS_ROLE_TEST_IMAGES;
    return -1;
}

void nas_roles_add(nas_roles *roles, const char *name, const char *value) {
    int role = role_of(name);
    if (role < 0) return;
    const char *before = roles->values[role];
    roles->twice = roles->twice || (*before && strcmp(before, value) != 0);
    snprintf(roles->values[role], sizeof roles->values[role], "%s", value);
}

bool nas_roles_complete(const nas_roles *roles) {
    for (int i = NAS_ROLE_TRAIN_IMAGES; i <= NAS_ROLE_TEST_LABELS; i++)
        if (!roles->values[i][0]) return false;
    return !roles->twice;
}

/* ---- The answer ---- */

void nas_recognised_json(nas_recognised *found, const char *key, const char *value) {
    size_t used = strlen(found->options), room = sizeof found->options - used;
    if (used) used--, room++; /* over the closing brace */
    int n = snprintf(found->options + used, room, "%s\"%s\": %s}", used ? ", " : "{", key, value);
    found->yes = n > 0 && (size_t)n < room;
}

void nas_recognised_text(nas_recognised *found, const char *key, const char *value) {
    char text[6 * PATH_MAX];
    size_t n = 0;
    text[n++] = '"';
    for (; *value && n < sizeof text - 8; value++) {
        unsigned char c = (unsigned char)*value;
        if (c < ' ' || c == '"' || c == '\\')
            n += (size_t)snprintf(text + n, sizeof text - n, "\\u%04x", c);
        else
            text[n++] = (char)c;
    }
    text[n++] = '"';
    text[n] = '\0';
    nas_recognised_json(found, key, text);
}
