/* Which training images have labels. */
#ifndef NAS_DATA_SPLIT_H
#define NAS_DATA_SPLIT_H

#include <jansson.h>
#include <nashost/plugin.h>

enum { NAS_SPLIT_ALL = -1 }; /* as a number of labelled images: all that nothing else takes */

/* Where held-out images come from. */
typedef enum nas_heldout_from {
    NAS_HELDOUT_AUTO =
        0, /* the unlabelled images where they are enough, else the training images */
    NAS_HELDOUT_TRAIN = 1,
    NAS_HELDOUT_UNLABELLED = 2,
} nas_heldout_from;

/* How labels are spread over the classes. */
typedef enum nas_balance {
    NAS_BALANCE_EQUAL = 0,  /* as many of each class; sizes that do not divide differ by one */
    NAS_BALANCE_SHARES = 1, /* by each class's share of the training images, at least one */
} nas_balance;

/* What a split is drawn from, and how. Everything is borrowed. */
typedef struct nas_split_request {
    const int32_t *labels;     /* [n_train] */
    uint64_t n_train, n_extra; /* training and unlabelled images of the data set */
    uint32_t classes;
    const char *const *class_names; /* [classes], for messages; NULL: they have none */
    int64_t labelled;               /* or NAS_SPLIT_ALL */
    int64_t validation, heldout;
    nas_balance balance; /* of labelled and validation */
    nas_heldout_from heldout_from;
    uint64_t seed;
} nas_split_request;

/* Indices into the training images, each list ascending, or, where heldout_extra is set, held-out
 * ones into the unlabelled images. The unlabelled pool of training is every training image that is
 * not in validation or heldout (labelled images are in it, without their labels), and then every
 * unlabelled image that is not in heldout. */
typedef struct nas_split_sets {
    uint64_t seed;
    uint64_t n_train, n_extra; /* training and unlabelled images in the data set */
    bool heldout_extra;
    uint64_t *labelled, n_labelled;
    uint64_t *validation, n_validation; /* labelled too; never trained on */
    uint64_t *heldout, n_heldout;       /* unlabelled, for scoring subnets; never trained on */
} nas_split_sets;

/* Draws a split by the request's seed. Held-out images are uniform from what is left, but by the
 * classes' shares where every label is used and they come from the training images: a rare class
 * keeps at least one label. A class with too few images, or a size beyond the data, is an error
 * that names the class or the key. With "equal" the same seed gives the same labelled set whatever
 * the other sizes are. [any] */
int nas_split_draw(const nas_split_request *request, nas_split_sets *sets, nas_error *err);

/* The text of such a file, of *bytes bytes, without a NUL behind; the caller frees. [any] */
int nas_split_text(const nas_split_sets *sets, char **text, size_t *bytes, nas_error *err);

/* split.json: that it was drawn and not made by hand, the seed, the sizes, where held-out images
 * are from, and the three lists. Loading checks that every index is in range, ascending and in one
 * list only, and that n_train is as given (n_extra too, where the file tells it or has unlabelled
 * images held out). [any] */
int nas_split_save(const char *path, const nas_split_sets *sets, nas_error *err);
int nas_split_load(const char *path, uint64_t n_train, uint64_t n_extra, nas_split_sets *sets,
                   nas_error *err);

/* Reads what such a file holds, as load does; name: for messages. [any] */
int nas_split_read(const char *name, const json_t *root, uint64_t n_train, uint64_t n_extra,
                   nas_split_sets *sets, nas_error *err);

/* The training images of the unlabelled pool: how many, and which, ascending, for the caller to
 * free. [any] */
uint64_t nas_split_pool_size(const nas_split_sets *sets);
int nas_split_pool(const nas_split_sets *sets, uint64_t **pool, nas_error *err);

/* The same for the unlabelled images of the pool. [any] */
uint64_t nas_split_extra_size(const nas_split_sets *sets);
int nas_split_extra(const nas_split_sets *sets, uint64_t **extra, nas_error *err);

void nas_split_free(nas_split_sets *sets);

#endif
