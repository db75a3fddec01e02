/* libFuzzer harness of checkpoints. The checksum is made good first, or nothing behind it is met.
 */
#include "base/safetensors.h"
#include "fuzz_file.h"
#include "run/checkpoint.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static const char *const names[] = {"input", NULL};
    enum { SIZE = 4 };
    float weights[SIZE] = {0}, velocity[SIZE] = {0}, average[SIZE] = {0};
    nas_train_state state = {
        .size = SIZE, .weights = weights, .velocity = velocity, .average = average};
    nas_error err = {0};
    nas_tensor_file file;
    char path[160];
    bool found;
    const char *folder = fuzz_folder(data, bytes, names);
    snprintf(path, sizeof path, "%s/input", folder);
    if (nas_tensors_load(path, &file, &err)) return 0;
    nas_checkpoint_save(folder, &state, NULL); /* makes the folder */
    snprintf(path, sizeof path, "%s/" NAS_CHECKPOINT, folder);
    if (!nas_tensors_save(path, file.tensors, file.n_tensors, file.metadata ? file.metadata : "{}",
                          &err)) {
        nas_checkpoint_load(folder, 100, NULL, &state, &found, &err);
        if (state.step > 100) abort();
    }
    nas_tensors_free(&file);
    nas_checkpoint_remove(folder);
    return 0;
}
