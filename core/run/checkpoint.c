#include "run/checkpoint.h"

#include "base/memory.h"
#include "base/safetensors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The plugin's state table, or NULL. */
static const nas_state_api *state_api(const nas_train_state *state) {
    return state->ssl ? nas_instance_extension(state->ssl, NAS_EXT_STATE) : NULL;
}

static nas_tensor flat(const char *name, const float *data, size_t n) {
    nas_tensor tensor = {.ndim = 1, .shape = {n}, .data = data};
    snprintf(tensor.name, sizeof tensor.name, "%s", name);
    return tensor;
}

/* The plugin's bytes as numbers 0 to 255; NULL where it keeps no state. The caller frees. */
static int pack_plugin(const nas_train_state *state, float **numbers, size_t *n, nas_error *err) {
    const nas_state_api *api = state_api(state);
    *numbers = NULL;
    *n = 0;
    if (!api) return NAS_OK;
    size_t bytes = api->bytes(state->ssl->self);
    unsigned char *buffer = nas_alloc(bytes ? bytes : 1, 1);
    float *out = nas_alloc(bytes ? bytes : 1, sizeof *out);
    int rc = buffer && out ? api->save(state->ssl->self, buffer, err)
                           : nas_fail(err, NAS_ERR_MEMORY, "out of memory for a checkpoint");
    for (size_t i = 0; i < bytes && !rc; i++) out[i] = buffer[i];
    free(buffer);
    if (rc) {
        free(out);
        return rc;
    }
    *numbers = out;
    *n = bytes;
    return NAS_OK;
}

int nas_checkpoint_save(const char *path, const nas_train_state *state, nas_error *err) {
    float *numbers;
    size_t n_numbers, n = 0;
    int rc = pack_plugin(state, &numbers, &n_numbers, err);
    if (rc) return rc;
    nas_tensor tensors[5];
    tensors[n++] = flat("weights", state->weights, state->size);
    tensors[n++] = flat("velocity", state->velocity, state->size);
    if (state->average) tensors[n++] = flat("average", state->average, state->size);
    if (state->initial) tensors[n++] = flat("initial", state->initial, state->size);
    if (n_numbers) tensors[n++] = flat("ssl_state", numbers, n_numbers);
    char metadata[128];
    snprintf(metadata, sizeof metadata, "{\"step\": \"%llu\", \"seconds\": \"%.3f\"}",
             (unsigned long long)state->step, state->seconds);
    rc = nas_tensors_save(path, tensors, n, metadata, err);
    free(numbers);
    return rc;
}

/* ---- Loading ---- */

static int load_array(const char *path, const nas_tensor_file *file, const char *name, size_t n,
                      nas_real *out, nas_error *err) {
    const nas_tensor *tensor = nas_tensors_find(file, name);
    if (!tensor || tensor->ndim != 1 || tensor->shape[0] != n)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: expected a tensor '%s' of %zu numbers; remove the file to train from "
                        "the start",
                        path, name, n);
    memcpy(out, tensor->data, n * sizeof *out);
    return NAS_OK;
}

static int load_plugin(const char *path, const nas_tensor_file *file, const nas_train_state *state,
                       nas_error *err) {
    const nas_state_api *api = state_api(state);
    const nas_tensor *tensor = nas_tensors_find(file, "ssl_state");
    if (!api) return NAS_OK;
    size_t bytes = tensor && tensor->ndim == 1 ? (size_t)tensor->shape[0] : 0;
    unsigned char *buffer = nas_alloc(bytes ? bytes : 1, 1);
    if (!buffer) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    int rc = NAS_OK;
    for (size_t i = 0; i < bytes && !rc; i++) {
        float number = tensor->data[i];
        if (number >= 0 && number <= 255)
            buffer[i] = (unsigned char)number;
        else
            rc = nas_fail(err, NAS_ERR_INPUT, "%s: ssl_state[%zu]: expected 0 to 255", path, i);
    }
    if (!rc) rc = api->load(state->ssl->self, buffer, bytes, err);
    free(buffer);
    return rc;
}

/* A number that metadata gives as a string. */
static int load_number(const char *path, const json_t *metadata, const char *key, double *value,
                       nas_error *err) {
    const char *text = json_string_value(json_object_get(metadata, key));
    char *end = NULL;
    errno = 0;
    *value = text ? strtod(text, &end) : -1;
    if (text && end != text && !*end && !errno && *value >= 0) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: __metadata__.%s: expected a number as a string", path,
                    key);
}

int nas_checkpoint_load(const char *path, nas_train_state *state, nas_error *err) {
    nas_tensor_file file;
    int rc = nas_tensors_load(path, &file, err);
    if (rc) return rc;
    json_t *metadata = file.metadata ? json_loads(file.metadata, 0, NULL) : NULL;
    double step = 0;
    rc = load_number(path, metadata, "step", &step, err);
    if (!rc) rc = load_number(path, metadata, "seconds", &state->seconds, err);
    if (!rc) rc = nas_tensors_finite(&file, path, err);
    if (!rc) rc = load_array(path, &file, "weights", state->size, state->weights, err);
    if (!rc) rc = load_array(path, &file, "velocity", state->size, state->velocity, err);
    if (!rc && state->average)
        rc = load_array(path, &file, "average", state->size, state->average, err);
    if (!rc && state->initial)
        rc = load_array(path, &file, "initial", state->size, state->initial, err);
    if (!rc) rc = load_plugin(path, &file, state, err);
    state->step = (uint64_t)step;
    json_decref(metadata);
    nas_tensors_free(&file);
    return rc;
}
