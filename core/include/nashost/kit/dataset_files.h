/* nashost plugin kit: what data sets in files share: opening files, names of classes, and folders
 * that are to be recognised (NAS_EXT_RECOGNISE). A data set may do without it. Every function
 * here: [any]. */
#ifndef NASHOST_KIT_DATASET_FILES_H
#define NASHOST_KIT_DATASET_FILES_H

#include <nashost/dataset.h>

#include <limits.h>
#include <string.h>

/* ---- Files ---- */

/* Writes FOLDER/NAME; one that is too long is an error. */
int nas_data_path(const char *folder, const char *name, char path[PATH_MAX], nas_error *err);

/* Opens a regular file to read; the caller closes it. size: its bytes, or NULL. missing: what to do
 * where there is none, such as "check the option \"folder\"". */
int nas_data_open(const char *path, const char *missing, FILE **file, uint64_t *size,
                  nas_error *err);

/* What a failed call is, by errno, which was 0 before it: NAS_ERR_MEMORY and "out of memory" where
 * memory ended, which libraries call damage; else code and why. An image that is left out because
 * memory ended would make another data set. */
int nas_data_code(int code);
const char *nas_data_why(const char *why);

/* What read() says when it is asked for an image that its split, of `count`, does not have. */
int nas_data_beyond(uint64_t index, uint64_t count, nas_error *err);

/* ---- Names of classes ---- */

/* Cuts a list at its commas, without the blanks around a name, into *names [classes], which point
 * into *text; the caller frees both, whatever comes. An empty list leaves them NULL. where: what
 * has the classes, for messages. */
int nas_class_names(const char *list, uint32_t classes, const char *where, char **text,
                    const char ***names, nas_error *err);

/* ---- Labels that are texts ---- */

/* The classes that labels [n] name: each once, in the order of their values where all are numbers
 * (digits alone; "01" and "1" are one class, which has the shorter name), else of their bytes. The
 * caller frees each of *classes [*n_classes] and the list, whatever comes. */
int nas_label_classes(const char *const *labels, size_t n, char ***classes, uint32_t *n_classes,
                      nas_error *err);

/* The class that a label names, as a number where all classes are numbers; -1: none. */
int32_t nas_label_class(const char *const *classes, uint32_t n_classes, const char *label);

/* Whether a text is a whole number below 10^9, of digits alone; *value (NULL: not wanted) is it. */
bool nas_label_number(const char *text, long *value);

/* ---- Fingerprints ---- */

#define NAS_HASH_START 0xcbf29ce484222325u

/* Goes on with a hash (64-bit FNV-1a) over n bytes; begin with NAS_HASH_START. */
uint64_t nas_hash(uint64_t hash, const void *data, size_t n);

/* ---- Labels ---- */

/* Bytes of an integer of NumPy's type, such as "<i8" or "|u1"; 0: it is another type. */
uint32_t nas_integer_width(const char *type);

/* An integer of such a type; one beyond int64_t becomes the largest. */
int64_t nas_decode_integer(const uint8_t *bytes, const char *type, uint32_t width);

/* ---- Folders ---- */

/* Called for each entry of a folder: its name, and its path. Other than NAS_OK it ends the walk. */
typedef int (*nas_entry_fn)(void *context, const char *name, const char *path, nas_error *err);

/* Calls fn for the entries that do not begin with a dot, in the order of their names' bytes. */
int nas_each_entry(const char *folder, nas_entry_fn fn, void *context, nas_error *err);

/* ---- Which file is what, by its name ---- */

enum {
    NAS_ROLE_TRAIN_IMAGES,
    NAS_ROLE_TRAIN_LABELS,
    NAS_ROLE_TEST_IMAGES,
    NAS_ROLE_TEST_LABELS,
    NAS_ROLE_EXTRA_IMAGES,
    NAS_ROLES
};

typedef struct nas_roles {
    char values[NAS_ROLES][2 * PATH_MAX]; /* "": not there */
    bool twice;                           /* two values for one role */
} nas_roles;

/* Notes value, such as a path, for the role of a name, if it has one. */
void nas_roles_add(nas_roles *roles, const char *name, const char *value);

/* True if training and test images and their labels are there, each once. */
bool nas_roles_complete(const nas_roles *roles);

/* ---- The answer ---- */

/* Adds an option whose value is JSON text, such as "28" or "\"10\"", and says yes. What does not
 * fit makes it a no. */
void nas_recognised_json(nas_recognised *found, const char *key, const char *value);

/* The same for a string. One that is not UTF-8 the host will refuse. */
void nas_recognised_text(nas_recognised *found, const char *key, const char *value);

/* Defines recogniser_extension(), for a plugin that offers look alone. */
#define NAS_RECOGNISER(look_)                                                                      \
    static const void *recogniser_extension(void *self, const char *id) {                          \
        static const nas_recognise_api recogniser = {sizeof recogniser, look_};                    \
        (void)self;                                                                                \
        return strcmp(id, NAS_EXT_RECOGNISE) == 0 ? &recogniser : NULL;                            \
    }

#endif
