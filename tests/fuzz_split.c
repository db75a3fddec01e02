/* libFuzzer harness of split.json. */
#include "data/split.h"
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    char path[32];
    nas_split_sets sets;
    nas_error err = {0};
    int rc = nas_split_load(fuzz_file(data, bytes, path), 40, 10, &sets, &err);
    FUZZ_JUDGE(rc, err);
    for (uint64_t i = 0; !rc && i < sets.n_labelled; i++)
        if (sets.labelled[i] >= 40) abort();
    if (!rc) nas_split_free(&sets);
    return 0;
}
