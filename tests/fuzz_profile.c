/* libFuzzer harness of device profiles, by the plugin that reads them. */
#include "../plugins/hardware/roofline/roofline.c"
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    char path[32];
    nas_error err = {0};
    roofline_config config = {.profile = fuzz_file(data, bytes, path)};
    void *self = NULL;
    int rc = create(NULL, &config, &self, &err);
    FUZZ_JUDGE(rc, err);
    destroy(self);
    return 0;
}
