/* libFuzzer harness of plugin npy: an array or an archive, read as images and as labels. No input
 * may crash it or make it take memory that the input's size does not explain. */
#include "../plugins/datasets/npy/npy.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Opens the input as nas_npy_file_open does a file, up to its header. False: libzip refuses it. */
static bool open_input(nas_npy_file *f, const uint8_t *data, size_t bytes, nas_error *err) {
    f->option = "train_images";
    f->name = strdup("input");
    f->path = strdup("input");
    if (!f->name || !f->path) return false;
    if (bytes < 2 || memcmp(data, "PK", 2) != 0) {
        f->size = bytes;
        f->file = fmemopen((void *)(uintptr_t)data, bytes, "rb");
        return f->file != NULL;
    }
    zip_source_t *source = zip_source_buffer_create(data, bytes, 0, NULL);
    f->zip = source ? zip_open_from_source(source, ZIP_RDONLY, NULL) : NULL;
    if (source && !f->zip) zip_source_free(source);
    return f->zip && !nas_npy_file_pick(f, NULL, bytes, err);
}

static int read_images(npy *self, array *a, nas_error *err) {
    uint64_t indices[3] = {0, a->n - 1, a->n / 2};
    uint8_t *images = malloc(3 * item_bytes(a));
    self->scratch = malloc(scratch_bytes(self));
    int rc = images && self->scratch
                 ? npy_read(self, NAS_SPLIT_TRAIN, indices, 3, images, NULL, err)
                 : NAS_ERR_MEMORY;
    free(images);
    return rc;
}

static void try_as(bool images, int layout, const uint8_t *data, size_t bytes) {
    const npy_config config = {.class_names = "a, b", .layout = layout};
    npy *self = calloc(1, sizeof *self);
    nas_error err = {0};
    if (!self) return;
    self->config = &config;
    array *a = &self->arrays[images ? TRAIN_IMAGES : TRAIN_LABELS];
    int rc = open_input(&a->in, data, bytes, &err) ? NAS_OK : NAS_ERR_INPUT;
    if (!rc) rc = nas_npy_file_header(&a->in, &err);
    if (!rc) rc = check_type(a, images, &err);
    if (!rc) rc = check_shape(a, images, layout, &err);
    if (!rc) rc = check_size(a, &err);
    if (!rc && a->n * item_bytes(a) > NAS_DEFLATE_RATIO * (uint64_t)bytes + NAS_DEFLATE_RATIO)
        abort();
    if (!rc) rc = images ? read_images(self, a, &err) : read_labels(self, 0, MAX_CLASSES, &err);
    if (!rc && !images) rc = count_classes(self, &err);
    if (!rc && !images)
        rc = nas_class_names(config.class_names, self->classes, a->in.name, &self->text,
                             &self->class_names, &err);
    if (strchr(err.message, '\n')) abort();
    npy_destroy(self);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    try_as(true, NHWC, data, bytes);
    try_as(true, NCHW, data, bytes);
    try_as(false, NHWC, data, bytes);
    return 0;
}
