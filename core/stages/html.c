#include "stages/html.h"

#include "base/file.h"
#include "base/json.h"
#include "host/call.h"
#include "run/machine.h"
#include "run/rundir.h"
#include "run/search_file.h"
#include "space/lower.h"
#include "stages/gallery.h"
#include "stages/page.h"

#include <math.h>
#include <nashost/kit/json_file.h>
#include <nashost/kit/layers.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 1 << 30, MOST_LINES = 2000, MOST_PAIRS = 100000 };

static int no_memory(nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for report.html");
}

/* ---- The training ---- */

/* The lines of metrics.jsonl, every k-th if they are more than a curve can show. */
static int training_json(const char *out, json_t **json, nas_error *err) {
    char path[NAS_RUNDIR_PATH], *data = NULL;
    size_t bytes = 0, lines = 0, line = 0;
    *json = json_array();
    int rc = nas_rundir_path(out, "metrics.jsonl", path, sizeof path, err);
    if (rc || !nas_file_exists(path)) return rc;
    rc = nas_file_read(path, MAX_BYTES, &data, &bytes, err);
    if (rc) return rc;
    for (size_t i = 0; i < bytes; i++) lines += data[i] == '\n';
    size_t stride = 1 + lines / MOST_LINES;
    for (size_t at = 0, end; at < bytes && !rc; at = end + 1, line++) {
        const char *newline = memchr(data + at, '\n', bytes - at);
        end = newline ? (size_t)(newline - data) : bytes;
        /* The last lines are the training's end, and what the validation gave. */
        if (line % stride != stride - 1 && line + 2 < lines) continue;
        json_t *parsed;
        rc = nas_json_parse(data + at, end - at, 0, path, &parsed, err);
        if (!rc) nas_json_add(json, parsed);
    }
    free(data);
    return rc ? rc : *json ? NAS_OK : no_memory(err);
}

/* ---- A platform ---- */

static json_t *layer_json(const nas_layer *l) {
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:o, s:[i, i, i], s:[i, i, i], s:o, s:o}", "name",
                     l->name, "op", nas_op_name(l->op), "activation",
                     nas_activation_name(l->activation), "kernel", (int)l->kernel, "stride",
                     (int)l->stride, "expand", nas_json_plain(nas_layer_expand(l)), "in",
                     (int)l->in.h, (int)l->in.w, (int)l->in.c, "out", (int)l->out.h, (int)l->out.w,
                     (int)l->out.c, "macs", nas_count_json(l->macs), "weights",
                     nas_count_json(l->weights + l->biases));
}

static int layers_json(const nas_space *space, const nas_genome *genome, json_t **json,
                       nas_error *err) {
    nas_lowered *lowered = NULL;
    int rc = nas_lower(space, genome, &lowered, err);
    if (rc) return rc;
    *json = json_array();
    for (uint32_t i = 0; i < lowered->network.n_layers; i++)
        nas_json_add(json, layer_json(&lowered->layers[i]));
    nas_lowered_free(lowered);
    return *json ? NAS_OK : no_memory(err);
}

/* One candidate: score, violation, latency, energy, peak, flash, MACs, parameters, genome. */
static json_t *candidate_json(const nas_space *space, const nas_candidate *c) {
    char genome[1024];
    return json_pack("[o, o, o, o, o, o, o, o, s]", nas_number_json(c->score),
                     nas_number_json(c->violation), nas_number_json(c->cost.latency_ms),
                     nas_number_json(c->cost.energy_mj), nas_count_json(c->cost.peak_bytes),
                     nas_count_json(c->cost.flash_bytes), nas_count_json(c->macs),
                     nas_count_json(c->params),
                     nas_genome_short(space, &c->genome, genome, sizeof genome));
}

/* Every candidate, and which of them is the chosen one. */
static int candidates_json(const nas_html *html, size_t index, json_t **platform, nas_error *err) {
    const nas_context *context = html->context;
    char path[NAS_RUNDIR_PATH];
    nas_memo memo = {.space = &context->space};
    const char *base = nas_staging_search(&context->staging, context->request->out, index);
    int rc = nas_rundir_search(base, context->pipeline->platforms[index].name, path, err);
    if (!rc) rc = nas_search_file_read(path, &context->space, &memo, err);
    json_t *list = json_array();
    for (size_t i = 0; i < memo.n && !rc; i++) {
        const nas_candidate *item = &memo.items[i];
        nas_json_add(&list, candidate_json(&context->space, item));
        if (nas_genome_equal(&context->space, &item->genome, &html->chosen[index].genome))
            nas_json_put(platform, "chosen", json_integer((json_int_t)i));
    }
    nas_json_put(platform, "candidates", list);
    nas_memo_free(&memo);
    return rc ? rc : *platform ? NAS_OK : no_memory(err);
}

/* [[predicted, measured], ...] of networks whose time is known, in ms; null: there are none. */
static json_t *validation_json(const nas_instance *hardware) {
    const nas_validation_api *api = nas_instance_extension(hardware, NAS_EXT_VALIDATION);
    json_t *pairs = json_array();
    double predicted = NAN, measured = NAN;
    for (uint32_t i = 0; api && i < MOST_PAIRS; i++) {
        nas_call call;
        nas_call_begin(&call, hardware, "network");
        bool more = api->network(hardware->self, i, &predicted, &measured);
        if (nas_call_done(&call, NULL) || !more) break;
        if (isfinite(predicted) && isfinite(measured))
            nas_json_add(&pairs, json_pack("[f, f]", predicted, measured));
    }
    if (!pairs || json_array_size(pairs)) return pairs;
    json_decref(pairs);
    return json_null();
}

/* What the largest and the smallest subnet cost: {"largest": {...}, "smallest": {...}}. Null where
 * a cost would have to be measured once more, or is not known. */
static json_t *ends_json(const nas_html *html, size_t index, bool measures) {
    const nas_space *space = &html->context->space;
    const nas_instance *hardware = &html->context->hardware[index];
    const nas_genome ends[] = {nas_genome_largest(space), nas_genome_smallest(space)};
    const nas_constraints none = {.latency_ms = NAN, .energy_mj = NAN};
    json_t *json = json_object();
    for (int i = 0; i < 2; i++) {
        nas_candidate candidate;
        nas_error ignored;
        int rc = measures ? NAS_ERR_INPUT
                          : nas_candidate_cost(space, &ends[i], hardware->plugin->vtable,
                                               hardware->self, &none, &candidate, &ignored);
        bool priced = !rc || (!measures && rc == NAS_ERR_INFEASIBLE);
        nas_json_put(&json, i ? "smallest" : "largest",
                     priced                 ? nas_cost_json(&candidate.cost)
                     : rc == NAS_ERR_MEMORY ? NULL
                                            : json_null());
    }
    return json;
}

static int platform_json(const nas_html *html, size_t index, json_t **list, nas_error *err) {
    const nas_context *context = html->context;
    const nas_platform *platform = &context->pipeline->platforms[index];
    const nas_instance *hardware = &context->hardware[index];
    const nas_plugin *plugin = hardware->plugin;
    bool measures = nas_instance_extension(hardware, NAS_EXT_MEASURE) != NULL;
    json_t *layers = NULL;
    int rc = layers_json(&context->space, &html->chosen[index].genome, &layers, err);
    json_t *json = json_pack(
        "{s:s, s:{s:s, s:s, s:s, s:b}, s:o, s:o, s:o, s:O}", "name", platform->name, "hardware",
        "plugin", plugin->id, "version", plugin->version, "summary", plugin->summary, "measures",
        measures, "layers", layers, "validation", validation_json(hardware), "ends",
        ends_json(html, index, measures), "confusion", json_array_get(html->confusions, index));
    if (!rc) rc = json ? candidates_json(html, index, &json, err) : no_memory(err);
    nas_json_add(list, json);
    return rc ? rc : *list ? NAS_OK : no_memory(err);
}

/* ---- The whole ---- */

static json_t *dataset_json(const nas_html *html) {
    const nas_context *context = html->context;
    const nas_dataset_info *info = &context->source.info;
    json_t *names = info->class_names ? json_array() : json_null();
    for (uint32_t i = 0; info->class_names && i < info->classes; i++)
        nas_json_add(&names, nas_text_json(info->class_names[i]));
    return json_pack("{s:s, s:i, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "plugin",
                     context->pipeline->dataset.id, "classes", (int)info->classes, "class_names",
                     names, "train", (json_int_t)context->source.train.n, "extra",
                     (json_int_t)context->source.extra.n, "test", (json_int_t)html->n_test,
                     "labelled", (json_int_t)context->split.n_labelled, "validation",
                     (json_int_t)context->split.n_validation, "heldout",
                     (json_int_t)context->split.n_heldout, "skipped", (json_int_t)info->skipped);
}

static int collect(const nas_html *html, json_t **data, nas_error *err) {
    const nas_context *context = html->context;
    const nas_run_request *request = context->request;
    json_t *training = NULL, *platforms = json_array(), *gallery = NULL, *bins = NULL;
    char *pipeline = nas_json_text(context->pipeline->resolved, JSON_INDENT(2), NULL);
    int rc = training_json(request->out, &training, err);
    for (size_t i = 0; i < context->pipeline->n_platforms && !rc; i++)
        rc = platform_json(html, i, &platforms, err);
    if (!rc) rc = nas_gallery(html->evaluator, &gallery, err);
    if (!rc) rc = nas_confidence_bins(html->evaluator, &bins, err);
    nas_json_put(data, "out", nas_text_json(request->out));
    nas_json_put(data, "machine", nas_machine_json(request->threads));
    nas_json_put(data, "dataset", dataset_json(html));
    nas_json_put(data, "pipeline", pipeline ? json_string(pipeline) : NULL);
    nas_json_put(data, "family", nas_json_copy(html->family));
    nas_json_put(data, "training", training);
    nas_json_put(data, "platforms", platforms);
    nas_json_put(data, "gallery", gallery);
    nas_json_put(data, "confidence", bins);
    free(pipeline);
    return rc ? rc : *data ? NAS_OK : no_memory(err);
}

int nas_html_write(const nas_html *html, nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    json_t *data = json_object();
    const nas_context *context = html->context;
    const char *base = nas_staging_report(&context->staging, context->request->out);
    int rc = nas_rundir_path(base, "report.html", path, sizeof path, err);
    if (!rc) rc = collect(html, &data, err);
    if (!rc) rc = nas_page_write(path, data, err);
    json_decref(data);
    return rc;
}
