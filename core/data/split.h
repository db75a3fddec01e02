/* Which training images have labels. */
#ifndef NAS_DATA_SPLIT_H
#define NAS_DATA_SPLIT_H

#include <nashost/plugin.h>

/* Indices into the training images, each list ascending. The unlabelled pool of training is every
 * training image that is not in validation or heldout (labelled images are in it, without their
 * labels). */
typedef struct nas_split_sets {
    uint64_t seed;
    uint64_t n_train; /* training images in the data set */
    uint64_t *labelled, n_labelled;
    uint64_t *validation, n_validation; /* labelled too; never trained on */
    uint64_t *heldout, n_heldout;       /* unlabelled, for scoring subnets; never trained on */
} nas_split_sets;

/* Draws a split by seed: labelled and validation balanced over the classes (sizes that do not
 * divide differ by at most one a class), heldout uniformly from the rest. A class with too few
 * images, or a size beyond the data, is an error that names the class or the key. labels [n_train].
 * The same seed gives the same labelled set whatever the other sizes are. [any] */
int nas_split_draw(const int32_t *labels, uint64_t n_train, uint32_t classes, uint64_t n_labelled,
                   uint64_t n_validation, uint64_t n_heldout, uint64_t seed, nas_split_sets *sets,
                   nas_error *err);

/* The text of such a file, of *bytes bytes, without a NUL behind; the caller frees. [any] */
int nas_split_text(const nas_split_sets *sets, char **text, size_t *bytes, nas_error *err);

/* split.json: the seed, the sizes and the three lists. Loading checks that every index is in range,
 * ascending and in one list only, and that n_train is as given. [any] */
int nas_split_save(const char *path, const nas_split_sets *sets, nas_error *err);
int nas_split_load(const char *path, uint64_t n_train, nas_split_sets *sets, nas_error *err);

/* The training images of the unlabelled pool: how many, and which, ascending, for the caller to
 * free. [any] */
uint64_t nas_split_pool_size(const nas_split_sets *sets);
int nas_split_pool(const nas_split_sets *sets, uint64_t **pool, nas_error *err);

void nas_split_free(nas_split_sets *sets);

#endif
