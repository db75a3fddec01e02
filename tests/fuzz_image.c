/* libFuzzer harness of plugin image_folder: no file may crash its decoders, and what they accept
 * must be readable in full and can be resized. */
#include "../plugins/datasets/image_folder.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    picture p = {.channels = bytes % 2 ? 3 : 1};
    const folder_config config = {.side = 8, .channels = p.channels, .max_side = 128};
    uint8_t small[8 * 8 * 3];
    nas_error err = {0};
    FILE *file = bytes ? fmemopen((void *)(uintptr_t)data, bytes, "rb") : NULL;
    if (!file) return 0;
    int rc = decode(&config, file, "input", &p, &err);
    if (rc ? rc != err.code || strchr(err.message, '\n')
           : nas_resize_square(p.pixels, p.h, p.w, p.channels, 8, small, &err))
        abort();
    unsigned sum = 0;
    for (size_t i = 0; i < (size_t)p.h * p.w * p.channels && !rc; i++) sum += p.pixels[i];
    volatile unsigned keep = sum;
    (void)keep;
    if (p.h > 128 || p.w > 128) abort();
    free(p.pixels);
    fclose(file);
    return 0;
}
