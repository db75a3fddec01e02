/* libFuzzer harness of CIFAR's files: the input is all of them, and the class names. */
#include "../plugins/datasets/cifar.c"
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static const char *const names[] = {"train.bin", "test.bin", "fine_label_names.txt", NULL};
    nas_error err = {0};
    nas_dataset_info info = {.size = sizeof info};
    void *self = NULL;
    const cifar_config config = {.folder = fuzz_folder(data, bytes, names), .classes = 1};
    int rc = cifar_create(NULL, &config, &self, &err);
    FUZZ_JUDGE(rc, err);
    if (rc) return 0;
    rc = cifar_info(self, &info, &err);
    uint64_t index = 0;
    uint8_t image[3072];
    int32_t label;
    if (!rc && info.count[0]) cifar_read(self, NAS_SPLIT_TRAIN, &index, 1, image, &label, &err);
    cifar_destroy(self);
    return 0;
}
