/* libFuzzer harness of nashost/kit/image_file.h, by the plugin that reads images: no file may crash
 * the decoders, and what they accept must be readable in full and can be resized. */
#include "../plugins/datasets/image_folder.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    nas_picture p = {.channels = bytes % 2 ? 3 : 1, .side = 8, .max_side = 128};
    uint8_t small[8 * 8 * 3];
    nas_error err = {0};
    FILE *file = bytes ? fmemopen((void *)(uintptr_t)data, bytes, "rb") : NULL;
    if (!file) return 0;
    int rc = nas_image_decode(file, "input", &p, &err);
    if (rc ? rc != err.code || strchr(err.message, '\n') : nas_image_square(&p, 8, small, &err))
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
