/* libFuzzer harness of idx files, plain or compressed: the input is all four of them. */
#include "../plugins/datasets/idx.c"
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static const char *const names[] = {"a", "b", "c", "d", NULL};
    nas_error err = {0};
    void *self = NULL;
    idx_config config = {.folder = fuzz_folder(data, bytes, names), .class_names = ""};
    for (int i = 0; i < FILES; i++) config.names[i] = names[i];
    int rc = idx_create(NULL, &config, &self, &err);
    FUZZ_JUDGE(rc, err);
    if (!rc) idx_destroy(self);
    return 0;
}
