#include "run/checkpoint.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/safetensors.h"
#include "base/version.h"
#include "host/call.h"
#include "nn/kernels.h"
#include "run/rundir.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The plugin's state table, or NULL. */
static const nas_state_api *state_api(const nas_train_state *state) {
    return state->ssl ? nas_instance_extension(state->ssl, NAS_EXT_STATE) : NULL;
}

static nas_tensor flat(const char *name, const float *data, size_t n) {
    nas_tensor tensor = {.ndim = 1, .shape = {n}, .data = data};
    snprintf(tensor.name, sizeof tensor.name, "%s", name);
    return tensor;
}

static int save_plugin(const nas_train_state *state, const nas_state_api *api, void *buffer,
                       nas_error *err) {
    nas_call call;
    nas_call_begin(&call, state->ssl, "save");
    return nas_call_end(&call, api->save(state->ssl->self, buffer, &call.err), err);
}

int nas_train_state_pack(const nas_train_state *state, unsigned char **bytes, size_t *n,
                         nas_error *err) {
    const nas_state_api *api = state_api(state);
    *bytes = NULL;
    *n = 0;
    if (!api) return NAS_OK;
    nas_call call;
    nas_call_begin(&call, state->ssl, "bytes");
    size_t size = api->bytes(state->ssl->self);
    int rc = nas_call_done(&call, err);
    if (rc) return rc;
    unsigned char *buffer = nas_alloc(size ? size : 1, 1);
    rc = buffer ? save_plugin(state, api, buffer, err)
                : nas_fail(err, NAS_ERR_MEMORY, "out of memory for a loss's state");
    if (rc) {
        free(buffer);
        return rc;
    }
    *bytes = buffer;
    *n = size;
    return NAS_OK;
}

int nas_train_state_unpack(const nas_train_state *state, const unsigned char *bytes, size_t n,
                           nas_error *err) {
    const nas_state_api *api = state_api(state);
    if (!api) return NAS_OK;
    nas_call call;
    nas_call_begin(&call, state->ssl, "load");
    return nas_call_end(&call, api->load(state->ssl->self, bytes, n, &call.err), err);
}

/* The plugin's bytes as numbers 0 to 255; NULL where it keeps no state. The caller frees. */
static int pack_plugin(const nas_train_state *state, float **numbers, size_t *n, nas_error *err) {
    unsigned char *bytes;
    *numbers = NULL;
    int rc = nas_train_state_pack(state, &bytes, n, err);
    if (rc || !bytes) return rc;
    float *out = nas_alloc(*n ? *n : 1, sizeof *out);
    for (size_t i = 0; i < *n && out; i++) out[i] = bytes[i];
    free(bytes);
    *numbers = out;
    return out ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for a checkpoint");
}

/* ---- The metadata ---- */

static void put_text(json_t **json, const char *key, json_t *value) {
    char *text = nas_json_text(value, JSON_COMPACT, NULL);
    nas_json_put(json, key, text ? json_string(text) : NULL);
    json_decref(value);
    free(text);
}

/* Which builds a checkpoint belongs to. */
static void put_builds(json_t **json, const nas_train_state *state) {
    char text[200];
    snprintf(text, sizeof text, "%s, ABI %d.%d", NASHOST_VERSION, NAS_ABI_MAJOR, NAS_ABI_MINOR);
    nas_json_put(json, "program", json_string(text));
    if (state->ssl) {
        const nas_plugin *plugin = state->ssl->plugin;
        snprintf(text, sizeof text, "%.31s %.60s, ABI %u.%u", plugin->id, plugin->version,
                 plugin->abi_major, plugin->abi_minor);
        nas_json_put(json, "ssl", nas_text_json(text));
    }
    nas_json_put(json, "instructions", json_string(nas_kernels_pick()->isa));
}

/* The caller frees; NULL: out of memory. */
static char *make_metadata(const nas_train_state *state) {
    char step[24];
    json_t *json = json_object();
    snprintf(step, sizeof step, "%llu", (unsigned long long)state->step);
    nas_json_put(&json, "step", json_string(step));
    nas_json_put(&json, "seconds", json_sprintf("%.17g", state->seconds));
    nas_json_put(&json, "logged", json_sprintf("%.17g", state->logged));
    put_text(&json, "metrics", nas_metrics_state(&state->metrics));
    if (state->pipeline) put_text(&json, "training", nas_rundir_training(state->pipeline));
    put_builds(&json, state);
    char *text = nas_json_text(json, JSON_COMPACT, NULL);
    json_decref(json);
    return text;
}

/* ---- Saving ---- */

typedef struct paths {
    char state[NAS_RUNDIR_PATH], kept[NAS_RUNDIR_PATH], folder[NAS_RUNDIR_PATH];
    char next[NAS_RUNDIR_PATH]; /* written whole, before it takes the place of state */
} paths;

static int paths_of(const char *out, paths *p, nas_error *err) {
    int rc = nas_rundir_path(out, NAS_CHECKPOINT, p->state, sizeof p->state, err);
    if (!rc) rc = nas_rundir_path(out, NAS_CHECKPOINT_KEPT, p->kept, sizeof p->kept, err);
    if (!rc) rc = nas_rundir_path(out, "checkpoint/next.safetensors", p->next, sizeof p->next, err);
    return rc ? rc : nas_rundir_path(out, "checkpoint", p->folder, sizeof p->folder, err);
}

static int write_state(const paths *p, const nas_train_state *state, const float *numbers,
                       size_t n_numbers, const char *metadata, nas_error *err) {
    nas_tensor tensors[5];
    size_t n = 0;
    tensors[n++] = flat("weights", state->weights, state->size);
    tensors[n++] = flat("velocity", state->velocity, state->size);
    if (state->average) tensors[n++] = flat("average", state->average, state->size);
    if (state->initial) tensors[n++] = flat("initial", state->initial, state->size);
    if (n_numbers) tensors[n++] = flat("ssl_state", numbers, n_numbers);
    return nas_tensors_save(p->next, tensors, n, metadata, err);
}

int nas_checkpoint_save(const char *out, const nas_train_state *state, nas_error *err) {
    paths p;
    float *numbers = NULL;
    size_t n_numbers = 0;
    int rc = paths_of(out, &p, err);
    if (!rc) rc = nas_folder_make(p.folder, err);
    if (!rc) rc = pack_plugin(state, &numbers, &n_numbers, err);
    if (rc) return rc;
    char *metadata = make_metadata(state);
    if (!metadata) rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", p.state);
    if (!rc) rc = write_state(&p, state, numbers, n_numbers, metadata, err);
    if (!rc) rc = nas_file_keep(p.state, p.kept, err);
    if (!rc) rc = nas_file_move(p.next, p.state, err);
    if (rc) unlink(p.next);
    free(metadata);
    free(numbers);
    return rc;
}

void nas_checkpoint_remove(const char *out) {
    paths p;
    if (paths_of(out, &p, NULL)) return;
    unlink(p.next);
    unlink(p.kept); /* first, so that the newer one is never the one that is missing */
    unlink(p.state);
    rmdir(p.folder);
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
    const nas_tensor *tensor = nas_tensors_find(file, "ssl_state");
    if (!state_api(state)) return NAS_OK;
    size_t bytes = tensor && tensor->ndim == 1 ? (size_t)tensor->shape[0] : 0;
    unsigned char *buffer = nas_alloc(bytes ? bytes : 1, 1);
    if (!buffer) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    int rc = NAS_OK;
    for (size_t i = 0; i < bytes && !rc; i++) {
        float number = tensor->data[i];
        if (number >= 0 && number <= 255 && number == floorf(number))
            buffer[i] = (unsigned char)number;
        else
            rc = nas_fail(err, NAS_ERR_INPUT,
                          "%s: ssl_state[%zu]: expected a whole number from 0 to 255", path, i);
    }
    if (!rc) rc = nas_train_state_unpack(state, buffer, bytes, err);
    free(buffer);
    return rc;
}

static int load_number(const char *path, const json_t *metadata, const char *key, double *value,
                       nas_error *err) {
    const char *text = json_string_value(json_object_get(metadata, key));
    char *end = NULL;
    *value = text ? strtod(text, &end) : -1;
    if (text && end != text && !*end && isfinite(*value) && *value >= 0) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: __metadata__.%s: expected a finite number of at least 0 as a string", path,
                    key);
}

static int load_step(const char *path, const json_t *metadata, uint64_t steps, uint64_t *step,
                     nas_error *err) {
    const char *text = json_string_value(json_object_get(metadata, "step"));
    size_t n = text ? strspn(text, "0123456789") : 0;
    *step = n ? strtoull(text, NULL, 10) : 0;
    if (n && n < 19 && !text[n] && *step <= steps) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: __metadata__.step: expected a whole number from 0 to %llu as a string, "
                    "found \"%.60s\"",
                    path, (unsigned long long)steps, text ? text : "nothing");
}

static int load_metrics(const char *path, const json_t *metadata, nas_metrics *metrics,
                        nas_error *err) {
    const char *text = json_string_value(json_object_get(metadata, "metrics"));
    json_t *json = NULL;
    int rc = NAS_OK;
    if (text) rc = nas_json_parse(text, strlen(text), 0, path, &json, err);
    if (!rc && !nas_metrics_restore(json, metrics))
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: __metadata__.metrics: expected the sums of a training", path);
    json_decref(json);
    return rc;
}

/* Refuses what another training or another build made. */
static int check_origin(const char *path, const json_t *metadata, const nas_train_state *state,
                        nas_error *err) {
    static const char *const keys[] = {"program", "ssl", "instructions"};
    const char *training = json_string_value(json_object_get(metadata, "training"));
    json_t *mine = json_object(), *before = NULL;
    int rc = NAS_OK;
    put_builds(&mine, state);
    if (!mine) rc = nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
    if (!rc && training && state->pipeline)
        rc = nas_json_parse(training, strlen(training), 0, path, &before, err);
    if (!rc && before) rc = nas_rundir_same_training(before, state->pipeline, path, err);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !rc; i++) {
        const char *then = json_string_value(json_object_get(metadata, keys[i]));
        const char *now = json_string_value(json_object_get(mine, keys[i]));
        if (!then || !now || strcmp(then, now) == 0) continue;
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: it was made with other bits: its %s is \"%.100s\", and here it is "
                      "\"%.100s\"; go on where it was made, or remove the file to train from the "
                      "start",
                      path, keys[i], then, now);
    }
    json_decref(before);
    json_decref(mine);
    return rc;
}

/* *foreign: the file is not damaged, but is not for this training. */
static int load_file(const char *path, uint64_t steps, nas_train_state *state, bool *foreign,
                     nas_error *err) {
    nas_tensor_file file;
    json_t *metadata = NULL;
    int rc = nas_tensors_load(path, &file, err);
    if (rc) return rc;
    const char *text = file.metadata ? file.metadata : "{}";
    rc = nas_json_parse(text, strlen(text), 0, path, &metadata, err);
    if (!rc && !json_object_get(metadata, "checksum"))
        rc = nas_fail(err, NAS_ERR_INPUT, "%s: __metadata__.checksum: missing", path);
    if (!rc) {
        rc = check_origin(path, metadata, state, err);
        *foreign = rc != NAS_OK;
    }
    if (!rc) rc = load_step(path, metadata, steps, &state->step, err);
    if (!rc) rc = load_number(path, metadata, "seconds", &state->seconds, err);
    if (!rc) rc = nas_tensors_finite(&file, path, err);
    if (!rc) rc = load_number(path, metadata, "logged", &state->logged, err);
    if (!rc) rc = load_metrics(path, metadata, &state->metrics, err);
    if (!rc) rc = load_array(path, &file, "weights", state->size, state->weights, err);
    if (!rc) rc = load_array(path, &file, "velocity", state->size, state->velocity, err);
    if (!rc && state->average)
        rc = load_array(path, &file, "average", state->size, state->average, err);
    if (!rc && state->initial)
        rc = load_array(path, &file, "initial", state->size, state->initial, err);
    if (!rc) rc = load_plugin(path, &file, state, err);
    json_decref(metadata);
    nas_tensors_free(&file);
    return rc;
}

int nas_checkpoint_load(const char *out, uint64_t steps, const nas_log *log, nas_train_state *state,
                        bool *found, nas_error *err) {
    paths p;
    nas_error why = {0};
    int rc = paths_of(out, &p, err);
    bool first = !rc && nas_file_exists(p.state), second = !rc && nas_file_exists(p.kept);
    *found = first || second;
    if (!rc) unlink(p.next); /* a kill may have left it */
    if (rc || !*found) return rc;
    bool foreign = false;
    if (first) rc = load_file(p.state, steps, state, &foreign, &why);
    if (first && rc &&
        !(second && !foreign && (rc == NAS_ERR_INPUT || rc == NAS_ERR_IO || rc == NAS_ERR_NUMERIC)))
        return nas_fail(err, rc, "%s", why.message);
    if (first && !rc) return NAS_OK;
    if (first) nas_log_line(log, NAS_WARNING, "%s; the one before it is used", why.message);
    return load_file(p.kept, steps, state, &foreign, err);
}
