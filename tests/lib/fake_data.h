/* A data set plugin in memory that does what a test tells it to. */
#ifndef NAS_TESTS_FAKE_DATA_H
#define NAS_TESTS_FAKE_DATA_H

#include <nashost/dataset.h>
#include <string.h>

typedef struct fake_data {
    nas_dataset_info info;
    int info_code;       /* what info() returns */
    int read_code;       /* what read() returns */
    nas_split fails_on;  /* the split that read_code is for */
    int32_t wrong_label; /* given to image 3 of every split; 0: none */
    bool forgets_labels; /* read() leaves labels as they were */
    unsigned reads[NAS_SPLITS];
} fake_data;

static inline int fake_info(void *self, nas_dataset_info *info, nas_error *err) {
    const fake_data *d = self;
    if (d->info_code) return nas_fail(err, d->info_code, "fake: no info");
    *info = d->info;
    return NAS_OK;
}

/* Value k of image i of a split: i plus 100 times the split plus 40 k, in a byte. */
static inline uint8_t fake_pixel(nas_split split, uint64_t i, uint64_t k) {
    return (uint8_t)(i + 100 * (uint64_t)split + 40 * k);
}

static inline int fake_read(void *self, nas_split split, const uint64_t *indices, size_t n,
                            uint8_t *images, int32_t *labels, nas_error *err) {
    fake_data *d = self;
    d->reads[split]++;
    if (d->read_code && split == d->fails_on)
        return nas_fail(err, d->read_code, "fake: split %d cannot be read", (int)split);
    size_t size = (size_t)d->info.height * d->info.width * d->info.channels;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < size; k++) images[i * size + k] = fake_pixel(split, indices[i], k);
        if (!labels || d->forgets_labels) continue;
        labels[i] = split == NAS_SPLIT_EXTRA ? -1 : (int32_t)(indices[i] % d->info.classes);
        if (d->wrong_label && indices[i] == 3) labels[i] = d->wrong_label;
    }
    return NAS_OK;
}

static const nas_dataset_api fake_api = {
    .size = sizeof fake_api, .info = fake_info, .read = fake_read};

static inline fake_data fake_make(uint64_t n_train, uint64_t n_extra, uint32_t channels) {
    return (fake_data){.info = {.size = sizeof(nas_dataset_info),
                                .height = 6,
                                .width = 5,
                                .channels = channels,
                                .classes = 5,
                                .count = {n_train, 10, n_extra}}};
}

#endif
