#include "cli/weights.h"

#include "host/space_file.h"

/* The last dimension but `before` of a tensor, or 0. */
static uint32_t dimension(const nas_tensor_file *file, const char *name, uint32_t before) {
    const nas_tensor *t = nas_tensors_find(file, name);
    if (!t || t->ndim <= before || t->shape[t->ndim - 1 - before] > INT32_MAX) return 0;
    return (uint32_t)t->shape[t->ndim - 1 - before];
}

static int read_space(const char *path, nas_weights *weights, nas_error *err) {
    uint32_t channels = dimension(&weights->file, "stem.conv", 1);
    uint32_t classes = dimension(&weights->file, "classifier.weight", 0);
    char where[1024];
    json_t *json;
    if (!channels || classes < 2)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: expected the tensors stem.conv and classifier.weight of a supernet; "
                        "`nashost import` makes such a file of a framework's",
                        path);
    int rc = nas_space_of_weights(path, &json, where, sizeof where, err);
    if (!rc) rc = nas_space_parse(json, where, channels, classes, &weights->space, err);
    json_decref(json);
    return rc;
}

int nas_weights_open(const char *path, nas_weights *weights, nas_error *err) {
    *weights = (nas_weights){0};
    int rc = nas_tensors_load(path, &weights->file, err);
    if (!rc) rc = read_space(path, weights, err);
    if (rc) nas_weights_close(weights);
    return rc;
}

void nas_weights_close(nas_weights *weights) {
    if (!weights) return;
    nas_tensors_free(&weights->file);
    *weights = (nas_weights){0};
}
