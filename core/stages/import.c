#include "stages/import.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/safetensors.h"
#include "host/call.h"
#include "space/lower.h"
#include "supernet/order.h"
#include "supernet/pretrained.h"

#include <math.h>
#include <nashost/import.h>
#include <stdlib.h>
#include <string.h>

enum { SPACE_BYTES = 1 << 16 };

typedef struct import {
    const nas_import_request *request;
    nas_tensor_file file;
    nas_checkpoint_tensor *tensors; /* what plugins see of the file */
    nas_checkpoint checkpoint;
    nas_instance plugin;
    char space_text[SPACE_BYTES];
    nas_import_network network;
    nas_space space;
    nas_supernet *supernet;
    float *statistics; /* of batch norms, where weights have their gamma and beta: order.h */
    bool *used;        /* [file.n_tensors] */
    size_t problems;
} import;

/* ---- The checkpoint and its plugin ---- */

/* Shows the file's tensors to plugins. */
static int show_file(import *in, nas_error *err) {
    const nas_import_request *request = in->request;
    in->tensors = nas_alloc(in->file.n_tensors + 1, sizeof *in->tensors);
    in->used = nas_alloc(in->file.n_tensors + 1, sizeof *in->used);
    if (!in->tensors || !in->used)
        return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", request->name);
    for (size_t i = 0; i < in->file.n_tensors; i++) {
        const nas_tensor *t = &in->file.tensors[i];
        in->tensors[i] = (nas_checkpoint_tensor){.name = t->name, .ndim = t->ndim};
        memcpy(in->tensors[i].shape, t->shape, sizeof t->shape);
    }
    in->checkpoint = (nas_checkpoint){sizeof in->checkpoint, sizeof *in->tensors,
                                      in->file.n_tensors, in->tensors};
    return NAS_OK;
}

static int open_file(import *in, nas_error *err) {
    int rc = nas_tensors_load(in->request->weights, &in->file, err);
    return rc ? rc : show_file(in, err);
}

static int create(import *in, const char *id, nas_error *err) {
    const nas_place place = {"import", "", "."};
    return nas_instance_create(in->request->registry, NAS_KIND_IMPORT, id, NULL, &place,
                               &in->plugin, err);
}

static int recognise(const import *in, bool *mine, nas_error *err) {
    const nas_import_api *api = in->plugin.plugin->vtable;
    nas_call call;
    *mine = false;
    nas_call_begin(&call, &in->plugin, "recognise");
    int status = api->recognise(in->plugin.self, &in->checkpoint, mine, &call.err);
    return nas_call_end(&call, status, err);
}

static int try_plugin(import *in, const char *id, bool *mine, nas_error *err) {
    *mine = false;
    int rc = create(in, id, err);
    if (rc) return rc;
    rc = recognise(in, mine, err);
    if (rc || !*mine) nas_instance_destroy(&in->plugin);
    return rc;
}

static int unknown_file(const import *in, const char *tried, nas_error *err) {
    const char *first = in->file.n_tensors ? in->file.tensors[0].name : "";
    if (in->file.metadata && strstr(in->file.metadata, NAS_PRETRAINED_FORMAT))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: holds a supernet already; a pipeline names it as it is: \"init\": "
                        "{\"weights\": ...}",
                        in->request->name);
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: its %zu tensors (\"%s\", ...) are of no network that the import plugins "
                    "know (%s); write one for it: nashost plugins new import NAME",
                    in->request->name, in->file.n_tensors, first, tried);
}

/* The plugin that is asked for, else the first one that recognises the file. */
static int choose_plugin(import *in, nas_error *err) {
    nas_registry *registry = in->request->registry;
    char tried[256] = "";
    bool mine = false;
    if (in->request->format) return create(in, in->request->format, err);
    for (size_t i = 0, used = 0; i < nas_registry_count(registry); i++) {
        const nas_manifest_entry *entry = nas_registry_entry(registry, i);
        if (entry->kind != NAS_KIND_IMPORT) continue;
        int rc = try_plugin(in, entry->id, &mine, err);
        if (rc || mine) return rc;
        if (used < sizeof tried)
            used += (size_t)snprintf(tried + used, sizeof tried - used, "%s%s", used ? ", " : "",
                                     entry->id);
    }
    return unknown_file(in, tried[0] ? tried : "none is installed", err);
}

static int describe(import *in, nas_error *err) {
    const nas_import_api *api = in->plugin.plugin->vtable;
    in->network = (nas_import_network){
        .size = sizeof in->network, .space = in->space_text, .space_size = SPACE_BYTES};
    nas_error why = {0};
    nas_call call;
    nas_call_begin(&call, &in->plugin, "describe");
    int rc = api->describe(in->plugin.self, &in->checkpoint, &in->network, &call.err);
    rc = nas_call_end(&call, rc, &why);
    if (rc)
        return nas_fail(err, rc, "%s: %s: %.700s", in->request->name, in->plugin.plugin->id,
                        why.message);
    in->space_text[SPACE_BYTES - 1] = '\0';
    char where[96];
    snprintf(where, sizeof where, "the space of import plugin '%s'", in->plugin.plugin->id);
    json_t *json = NULL;
    rc = nas_json_parse(in->space_text, strlen(in->space_text), 0, where, &json, &why);
    if (!rc) rc = nas_space_parse(json, where, 3, in->network.classes, &in->space, &why);
    json_decref(json);
    if (!rc) return NAS_OK;
    return nas_fail(err, rc == NAS_ERR_MEMORY ? rc : NAS_ERR_PLUGIN, "%s", why.message);
}

/* ---- Tensors ---- */

/* A tensor of the supernet, or of a batch norm's statistics. */
typedef struct target {
    const char *name;
    uint32_t ndim, shape[4];
    bool square; /* not transposed: a transformation between kernels */
} target;

/* What the framework's tensor must be. [out][in][k][k] and the like; a linear layer may have two
 * more dimensions of 1. */
static bool shape_fits(const nas_tensor *t, const target *to) {
    const uint32_t *s = to->shape;
    switch (to->ndim) {
    case 4: /* [k][k][in][out] */
        return t->ndim == 4 && t->shape[0] == s[3] && t->shape[1] == s[2] && t->shape[2] == s[0] &&
               t->shape[3] == s[1];
    case 3: /* [k][k][c] */
        return t->ndim == 4 && t->shape[0] == s[2] && t->shape[1] == 1 && t->shape[2] == s[0] &&
               t->shape[3] == s[1];
    case 2: /* [in][out] */
        return (t->ndim == 2 || (t->ndim == 4 && t->shape[2] == 1 && t->shape[3] == 1)) &&
               t->shape[0] == s[1] && t->shape[1] == s[0];
    default:
        return t->ndim == 1 && t->shape[0] == s[0];
    }
}

static void transpose(const nas_tensor *t, const target *to, float *out) {
    size_t columns = to->shape[to->ndim - 1], rows = 1;
    for (uint32_t d = 0; d + 1 < to->ndim; d++) rows *= to->shape[d];
    size_t area = to->ndim > 2 ? (size_t)to->shape[0] * to->shape[1] : 1, in = rows / area;
    for (size_t r = 0; r < rows; r++)
        for (size_t o = 0; o < columns; o++) {
            size_t tap = r / in, i = r % in;
            out[r * columns + o] =
                t->data[to->square ? r * columns + o : (o * in + i) * area + tap];
        }
}

static void complain(import *in, const target *to, const char *name, const nas_tensor *t) {
    char found[NAS_SHAPE_TEXT], needed[NAS_SHAPE_TEXT];
    uint64_t shape[4] = {0};
    in->problems++;
    for (uint32_t d = 0; d < to->ndim; d++) shape[d] = to->shape[d];
    nas_tensor_shape_text(to->ndim, shape, needed);
    if (t) nas_tensor_shape_text(t->ndim, t->shape, found);
    nas_log_line(in->request->log, NAS_WARNING, "%s: tensor \"%s\" %s%s, for \"%s\" (%s)",
                 in->request->name, name, t ? "has another shape: " : "is missing", t ? found : "",
                 to->name, needed);
}

/* Fetches one tensor to out, or notes what is wrong with it. */
static int fetch(import *in, const target *to, const nas_import_target *asked, float *out,
                 nas_error *err) {
    const nas_import_api *api = in->plugin.plugin->vtable;
    char name[NAS_IMPORT_NAME] = "";
    nas_call call;
    nas_call_begin(&call, &in->plugin, "locate");
    int rc = api->locate(in->plugin.self, &in->checkpoint, asked, name, &call.err);
    rc = nas_call_end(&call, rc, err);
    if (rc) return rc;
    name[sizeof name - 1] = '\0';
    const nas_tensor *t = nas_tensors_find(&in->file, name);
    if (t) in->used[t - in->file.tensors] = true; /* told once, if its shape is wrong */
    if (!t || !shape_fits(t, to)) {
        complain(in, to, name, t);
        return NAS_OK;
    }
    size_t n = 1;
    for (uint32_t d = 0; d < to->ndim; d++) n *= to->shape[d];
    transpose(t, to, out);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(out[i]))
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: tensor \"%s\" holds a number that is not finite",
                            in->request->name, name);
    return NAS_OK;
}

/* "stage1.block0.depthwise.bn.gamma" as plugins are asked for it. */
static nas_import_target asked_for(const import *in, const char *name, char layer[24]) {
    static const char *const words[][2] = {{".conv", "weight"},
                                           {".weight", "weight"},
                                           {".bias", "bias"},
                                           {".bn.gamma", "gamma"},
                                           {".bn.beta", "beta"},
                                           {NAS_PRETRAINED_MEAN, "mean"},
                                           {NAS_PRETRAINED_VARIANCE, "variance"},
                                           {".matrix7to5", "matrix7to5"},
                                           {".matrix5to3", "matrix5to3"}};
    nas_import_target asked = {sizeof asked, NAS_IMPORT_NO_BLOCK, layer, ""};
    const char *block = strstr(name, ".block");
    if (block) {
        unsigned long stage = strtoul(name + strlen("stage"), NULL, 10);
        asked.block = (uint32_t)strtoul(block + strlen(".block"), NULL, 10);
        for (uint32_t s = 0; s < stage; s++)
            asked.block += in->space.stages[s].depth.value[in->space.stages[s].depth.n - 1];
        name = strchr(block + 1, '.') + 1;
    }
    if (strncmp(name, "se.", 3) == 0) name += 3;
    size_t n = strcspn(name, ".");
    snprintf(layer, 24, "%.*s", (int)n, name);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(name + n, words[i][0]) == 0) asked.part = words[i][1];
    return asked;
}

static int fetch_parameter(import *in, const nas_parameter *p, nas_error *err) {
    char layer[24];
    target to = {.name = p->name, .ndim = p->ndim, .square = strstr(p->name, ".matrix") != NULL};
    memcpy(to.shape, p->shape, sizeof to.shape);
    nas_import_target asked = asked_for(in, p->name, layer);
    return fetch(in, &to, &asked, in->supernet->weights + p->offset, err);
}

/* The running statistic that stands where a batch norm's parameter does: the mean for gamma, the
 * variance for beta. False: p is no such parameter. */
static bool statistic_of(const nas_parameter *p, char name[NAS_TENSOR_NAME + 16]) {
    static const char *const pairs[][2] = {{".bn.gamma", NAS_PRETRAINED_MEAN},
                                           {".bn.beta", NAS_PRETRAINED_VARIANCE}};
    size_t n = strlen(p->name);
    for (int i = 0; i < 2; i++) {
        size_t end = strlen(pairs[i][0]);
        if (n <= end || strcmp(p->name + n - end, pairs[i][0]) != 0) continue;
        snprintf(name, NAS_TENSOR_NAME + 16, "%.*s%s", (int)(n - end), p->name, pairs[i][1]);
        return true;
    }
    return false;
}

static int fetch_statistic(import *in, const nas_parameter *p, nas_error *err) {
    char name[NAS_TENSOR_NAME + 16], layer[24];
    if (!statistic_of(p, name)) return NAS_OK;
    target to = {.name = name, .ndim = 1, .shape = {p->shape[0]}};
    nas_import_target asked = asked_for(in, name, layer);
    return fetch(in, &to, &asked, in->statistics + p->offset, err);
}

static int ask_spare(const import *in, const char *name, bool *spare, nas_error *err) {
    const nas_import_api *api = in->plugin.plugin->vtable;
    *spare = false;
    if (!NAS_HAS(api, spare) || !api->spare) return NAS_OK;
    nas_call call;
    nas_call_begin(&call, &in->plugin, "spare");
    *spare = api->spare(in->plugin.self, name);
    return nas_call_done(&call, err);
}

static int find_left_over(import *in, nas_error *err) {
    for (size_t i = 0; i < in->file.n_tensors; i++) {
        const char *name = in->file.tensors[i].name;
        bool spare = in->used[i];
        int rc = spare ? NAS_OK : ask_spare(in, name, &spare, err);
        if (rc) return rc;
        if (spare) continue;
        in->problems++;
        nas_log_line(in->request->log, NAS_WARNING, "%s: tensor \"%s\" has no place in a %s",
                     in->request->name, name, in->space.name);
    }
    return NAS_OK;
}

static int fetch_all(import *in, nas_error *err) {
    in->statistics = nas_alloc(in->supernet->size, sizeof *in->statistics);
    if (!in->statistics) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for statistics");
    int rc = NAS_OK;
    for (uint32_t i = 0; i < in->supernet->n_parameters && !rc; i++) {
        rc = fetch_parameter(in, &in->supernet->parameters[i], err);
        if (!rc) rc = fetch_statistic(in, &in->supernet->parameters[i], err);
    }
    return rc ? rc : find_left_over(in, err);
}

static int check_problems(const import *in, nas_error *err) {
    if (!in->problems) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: as a %s it has %zu tensors that are missing, left over or of another "
                    "shape; nothing was written",
                    in->request->name, in->plugin.plugin->id, in->problems);
}

/* ---- Writing ---- */

/* Weights and statistics, under the names of the supernet. */
static size_t list_tensors(const import *in, nas_tensor *tensors) {
    const nas_supernet *supernet = in->supernet;
    char name[NAS_TENSOR_NAME + 16];
    size_t n = 0;
    for (uint32_t i = 0; i < supernet->n_parameters; i++) {
        const nas_parameter *p = &supernet->parameters[i];
        nas_tensor t = {.ndim = p->ndim, .data = supernet->weights + p->offset};
        for (uint32_t d = 0; d < p->ndim; d++) t.shape[d] = p->shape[d];
        tensors[n] = t;
        snprintf(tensors[n++].name, sizeof t.name, "%s", p->name);
        if (!statistic_of(p, name)) continue;
        t.data = in->statistics + p->offset;
        tensors[n] = t;
        snprintf(tensors[n++].name, sizeof t.name, "%s", name);
    }
    return n;
}

static char *metadata(const import *in) {
    json_t *json = json_object();
    nas_json_put(&json, "format", json_string(NAS_PRETRAINED_FORMAT));
    nas_json_put(&json, "space", nas_text_json(in->space.name));
    nas_json_put(&json, "space_json", nas_text_json(in->space_text));
    nas_json_put(&json, "imported_by", nas_text_json(in->plugin.plugin->id));
    char *text = nas_json_text(json, JSON_COMPACT, NULL);
    json_decref(json);
    return text;
}

static int write_out(const import *in, nas_error *err) {
    const nas_import_request *request = in->request;
    nas_tensor *tensors = nas_alloc(2 * (size_t)in->supernet->n_parameters, sizeof *tensors);
    char *text = metadata(in);
    int rc = tensors && text
                 ? nas_tensors_save(request->out, tensors, list_tensors(in, tensors), text, err)
                 : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", request->out);
    free(text);
    free(tensors);
    if (rc || !request->space_out) return rc;
    json_t *space = NULL;
    rc = nas_json_parse(in->space_text, strlen(in->space_text), 0, request->space_out, &space, err);
    if (!rc) rc = nas_json_save(request->space_out, space, err);
    json_decref(space);
    return rc;
}

static int result_json(const import *in, json_t **result, nas_error *err) {
    nas_genome largest = nas_genome_largest(&in->space);
    nas_lowered *lowered;
    int rc = nas_lower(&in->space, &largest, &lowered, err);
    if (rc) return rc;
    *result = json_object();
    nas_json_put(result, "weights", nas_text_json(in->request->name));
    nas_json_put(result, "format", nas_text_json(in->plugin.plugin->id));
    nas_json_put(result, "out", nas_text_json(in->request->out));
    nas_json_put(result, "space", nas_text_json(in->space.name));
    nas_json_put(result, "classes", nas_count_json(in->space.classes));
    nas_json_put(result, "tensors", nas_count_json(in->file.n_tensors));
    nas_json_put(result, "params", nas_count_json(lowered->network.params));
    nas_json_put(result, "macs", nas_count_json(lowered->network.macs));
    nas_json_put(result, "genome", nas_genome_to_json(&in->space, &largest));
    nas_lowered_free(lowered);
    return *result ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
}

static int run_import(import *in, json_t **result, nas_error *err) {
    int rc = open_file(in, err);
    if (!rc) rc = choose_plugin(in, err);
    if (!rc) rc = describe(in, err);
    if (!rc) rc = nas_supernet_create(&in->space, 0, false, &in->supernet, err);
    if (!rc) rc = fetch_all(in, err);
    if (!rc) rc = check_problems(in, err);
    if (!rc && !in->network.ordered) rc = nas_order_channels(in->supernet, in->statistics, err);
    if (!rc) rc = write_out(in, err);
    return rc ? rc : result_json(in, result, err);
}

static void close_import(import *in) {
    nas_supernet_destroy(in->supernet);
    free(in->statistics);
    free(in->tensors);
    free(in->used);
    free(in);
}

int nas_import(const nas_import_request *request, json_t **result, nas_error *err) {
    import *in = nas_alloc(1, sizeof *in);
    *result = NULL;
    if (!in) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    in->request = request;
    int rc = run_import(in, result, err);
    nas_instance_destroy(&in->plugin);
    nas_tensors_free(&in->file);
    close_import(in);
    return rc;
}

/* ---- Rehearsing ---- */

/* A plugin may refuse to describe what it does not recognise; what it describes must be good. */
static int rehearse(import *in, nas_error *err) {
    bool mine = false;
    int rc = show_file(in, err);
    if (!rc) rc = recognise(in, &mine, err);
    if (rc) return rc;
    rc = describe(in, err);
    if (!mine && rc == NAS_ERR_INPUT) return NAS_OK;
    if (!rc) rc = nas_supernet_create(&in->space, 0, false, &in->supernet, err);
    return rc ? rc : fetch_all(in, err); /* that tensors are missing is no fault of it */
}

int nas_import_rehearse(const nas_instance *plugin, nas_error *err) {
    static const float data[216];
    nas_tensor tensors[] = {{"stem.weight", 4, {8, 3, 3, 3}, data},
                            {"stem.norm.weight", 1, {8}, data},
                            {"stem.norm.count", 1, {1}, data}};
    const nas_import_request request = {.name = "the check's own checkpoint"};
    import *in = nas_alloc(1, sizeof *in);
    if (!in) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    in->request = &request;
    in->plugin = *plugin;
    in->file = (nas_tensor_file){.tensors = tensors, .n_tensors = sizeof tensors / sizeof *tensors};
    int rc = rehearse(in, err);
    close_import(in);
    return rc;
}
