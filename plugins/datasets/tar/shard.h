/* Shards: tar archives, plain or compressed, in WebDataset's layout
 * (https://github.com/webdataset/webdataset): the members of a sample stand together and have one
 * key, their path up to the first dot of its last part. */
#ifndef NAS_TAR_SHARD_H
#define NAS_TAR_SHARD_H

#include <nashost/kit/image_set.h>

#include <limits.h>

typedef struct tar_sample {
    char *name;      /* SHARD:MEMBER of the image */
    char *label;     /* NULL: none */
    size_t key;      /* where in name the member begins, and */
    size_t key_size; /* the length of its key */
    uint32_t shard;
    uint64_t at, bytes; /* the image's, in the shard or in what was unpacked of it */
} tar_sample;

/* The samples of one split, in the order of their shards. */
typedef struct tar_samples {
    tar_sample *items;
    size_t n;
} tar_samples;

/* Where images lie: shards by number, and the file that compressed ones are unpacked into. */
typedef struct tar_files {
    char **paths;
    size_t n;
    int unpacked; /* a file without a name; -1: none */
    uint64_t unpacked_bytes;
    bool *plain; /* [n] */
} tar_files;

/* What a label is called in KEY.json. */
typedef struct tar_how {
    const char *label_key;
} tar_how;

/* Appends the samples of a shard. Errors name the file and the key: a shard that is cut off, two
 * samples with one key, a label without an image, a label that cannot be read. */
int tar_list(const char *path, const tar_how *how, tar_files *files, tar_samples *samples,
             nas_error *err);

/* Whether a file's name ends as one of a shard. [any] */
bool tar_named_as_shard(const char *name);

/* Calls tar_list for what text names, in the order of names: a file, a folder of .tar, .tar.gz,
 * .tgz, .tar.zst and .tzst files, a pattern with *, ? or [, or a range as in train-{000..099}.tar.
 */
int tar_list_all(const char *text, const tar_how *how, tar_files *files, tar_samples *samples,
                 nas_error *err);

/* A sample's image as a file; nas_image_how's open. context: tar_files. [any] */
int tar_open_image(const void *context, const nas_image_item *item, FILE **file, nas_error *err);

void tar_samples_free(tar_samples *samples);
void tar_files_free(tar_files *files);

#endif
