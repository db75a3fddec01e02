/* Images are where their labels say, the same at every read, and none is beyond the end. */
#include "@ID@.c"

#include <assert.h>

int main(void) {
    const config given = {.train = 40, .test = 8, .noise = 0.3};
    const uint64_t indices[] = {0, 1, 2, 3, 39}, beyond = 40;
    uint8_t images[5][SIDE][SIDE], again[5][SIDE][SIDE];
    int32_t labels[5];
    void *self = NULL;
    nas_error err = {0};
    nas_dataset_info about = {.size = sizeof about};
    assert(create(NULL, &given, &self, &err) == NAS_OK);
    assert(info(self, &about, &err) == NAS_OK);
    assert(about.classes == CLASSES && about.count[NAS_SPLIT_TRAIN] == 40);
    assert(read_images(self, NAS_SPLIT_TRAIN, indices, 5, &images[0][0][0], labels, &err) ==
           NAS_OK);
    assert(read_images(self, NAS_SPLIT_TRAIN, indices, 5, &again[0][0][0], NULL, &err) == NAS_OK);
    assert(memcmp(images, again, sizeof images) == 0);
    for (int i = 0; i < 5; i++) {
        int y = labels[i] / 2 * (SIDE / 2), x = labels[i] % 2 * (SIDE / 2);
        assert(images[i][y][x] > images[i][SIDE - 1 - y][SIDE - 1 - x]);
    }
    assert(read_images(self, NAS_SPLIT_TRAIN, &beyond, 1, &images[0][0][0], NULL, &err) != NAS_OK);
    destroy(self);
    destroy(NULL);
    return 0;
}
