/* libFuzzer harness of latency tables. */
#include "fuzz_file.h"

#include <nashost/kit/lut_file.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    char path[32];
    nas_error err = {0};
    nas_lut table;
    int rc = nas_lut_load(fuzz_file(data, bytes, path), &table, &err);
    FUZZ_JUDGE(rc, err);
    nas_lut_free(&table);
    return 0;
}
