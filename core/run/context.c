#include "run/context.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/processors.h"
#include "host/call.h"
#include "host/guarded.h"
#include "nn/gemm.h"
#include "run/data_file.h"
#include "run/export_names.h"
#include "run/leftovers.h"
#include "run/rundir.h"
#include "supernet/pretrained.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(nas_real) == sizeof(float), "stages are built in single precision alone");

typedef unsigned long long ull;

static int create(nas_context *context, nas_kind kind, const nas_use *use, nas_instance *instance,
                  nas_error *err) {
    const nas_pipeline *pipeline = context->pipeline;
    char path[sizeof use->path + 16];
    snprintf(path, sizeof path, "%s.options", use->path);
    nas_place place = {pipeline->file, path, pipeline->folder};
    return nas_instance_create(context->request->registry, kind, use->id, use->options, &place,
                               instance, err);
}

static int create_all(nas_context *context, nas_error *err) {
    const nas_pipeline *pipeline = context->pipeline;
    int rc = create(context, NAS_KIND_DATASET, &pipeline->dataset, &context->dataset, err);
    if (!rc) rc = create(context, NAS_KIND_SSL, &pipeline->ssl, &context->ssl, err);
    if (!rc) rc = create(context, NAS_KIND_SCORE, &pipeline->score, &context->score, err);
    for (size_t i = 0; i < pipeline->n_platforms && !rc; i++) {
        const nas_use *hardware = &pipeline->platforms[i].hardware;
        rc = create(context, NAS_KIND_HARDWARE, hardware, &context->hardware[i], err);
        if (!rc) rc = create(context, NAS_KIND_SEARCH, &pipeline->search, &context->search[i], err);
    }
    for (size_t i = 0; i < pipeline->n_exports && !rc; i++)
        rc = create(context, NAS_KIND_EXPORT, &pipeline->exports[i].use, &context->exports[i], err);
    return rc ? rc : nas_export_names_check(pipeline, context->exports, err);
}

int nas_context_plan(nas_context *context, nas_error *err) {
    nas_ssl_plan *plan = &context->plan;
    const char *id = context->pipeline->ssl.id;
    *plan = (nas_ssl_plan){.size = sizeof *plan};
    nas_call call;
    nas_call_begin(&call, &context->ssl, "plan");
    int rc = nas_context_ssl(context)->plan(context->ssl.self, plan, &call.err);
    rc = nas_call_end(&call, rc, err);
    if (rc) return rc;
    if (plan->n_views > NAS_SSL_MAX_VIEWS)
        return nas_fail(err, NAS_ERR_PLUGIN, "plugin '%s' plans %u views; expected at most %d", id,
                        plan->n_views, NAS_SSL_MAX_VIEWS);
    for (uint32_t v = 0; v < plan->n_views; v++)
        if (plan->views[v].augment > NAS_AUGMENT_STRONG)
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "plugin '%s' plans view %u with augmentation %u; expected 0 (weak) or "
                            "1 (strong)",
                            id, v, plan->views[v].augment);
    return NAS_OK;
}

/* A network that was pretrained reads its pixels as it did then. One channel is the mean of three:
 * what that is off by is the same for all pixels of a channel, and batch norm takes it out. */
static void normalise_as_space(nas_context *context) {
    const float *mean = context->space.input.mean, *std = context->space.input.std;
    nas_source *source = &context->source;
    if (!(std[0] > 0)) return;
    for (uint32_t c = 0; c < 3; c++) {
        bool colour = source->info.channels == 3;
        source->mean[c] = colour ? mean[c] : (mean[0] + mean[1] + mean[2]) / 3;
        source->std[c] = colour ? std[c] : (std[0] + std[1] + std[2]) / 3;
    }
}

static int open_space(nas_context *context, nas_error *err) {
    const nas_pipeline *pipeline = context->pipeline;
    char where[1024];
    int rc = nas_pipeline_space(pipeline, context->source.info.channels,
                                context->source.info.classes, &context->space, err);
    if (rc) return rc;
    normalise_as_space(context);
    context->fixed = nas_genome_largest(&context->space);
    snprintf(where, sizeof where, "%s: train.genome", pipeline->file);
    if (pipeline->genome)
        rc = nas_genome_from_json(&context->space, pipeline->genome, where, &context->fixed, err);
    if (rc) return rc;
    return nas_supernet_create(&context->space, context->seed, false, &context->supernet, err);
}

/* How images are read; a system that does not tell its memory has no limit. */
static nas_source_request source_of(const nas_context *context) {
    nas_source_request how = nas_guarded_source(&context->dataset);
    int64_t memory = context->pipeline->dataset_config.memory;
    how.memory = memory == NAS_MEMORY_AUTO ? nas_memory_available() / 4 : (uint64_t)memory;
    how.threads = context->request->threads;
    return how;
}

static int check_images(const nas_context *context, nas_error *err) {
    uint32_t untested = 0;
    nas_source_request how = source_of(context);
    int rc = nas_source_check_images(&how, &untested, err);
    if (!rc && untested)
        nas_log_line(context->request->log, NAS_WARNING,
                     "%u classes have no test image: the test says nothing of them", untested);
    return rc;
}

/* What the user would else learn at the end. */
static void tell_source(const nas_context *context) {
    const nas_dataset_info *info = &context->source.info;
    const nas_log *log = context->request->log;
    if (!info->count[NAS_SPLIT_TEST])
        nas_log_line(log, NAS_WARNING,
                     "the data set has no test images: how accurate the subnets are will not be "
                     "known");
    if (info->skipped)
        nas_log_line(log, NAS_WARNING, "%llu images cannot be read and are left out",
                     (ull)info->skipped);
}

int nas_context_open(const nas_run_request *request, nas_context *context, nas_error *err) {
    *context = (nas_context){.request = request,
                             .pipeline = request->pipeline,
                             .seed = (uint64_t)request->pipeline->seed,
                             .augment = request->pipeline->augment};
    int rc = nas_gemm_reserve(request->threads, err);
    if (!rc) rc = create_all(context, err);
    if (!rc) rc = nas_context_plan(context, err);
    if (!rc && request->check_images) rc = check_images(context, err);
    nas_source_request how = {0};
    if (!rc) how = source_of(context);
    if (!rc) rc = nas_source_open_by(&how, &context->source, err);
    if (!rc) tell_source(context);
    context->augment.flip = context->augment.flip && context->source.info.flip;
    if (!rc) rc = open_space(context, err);
    if (rc) nas_context_close(context);
    return rc;
}

void nas_context_close(nas_context *context) {
    if (!context) return;
    nas_supernet_destroy(context->supernet);
    nas_split_free(&context->split);
    nas_source_close(&context->source);
    for (size_t i = 0; i < NAS_MAX_ALL_EXPORTS; i++) nas_instance_destroy(&context->exports[i]);
    for (size_t i = 0; i < NAS_MAX_PLATFORMS; i++) {
        nas_instance_destroy(&context->search[i]);
        nas_instance_destroy(&context->hardware[i]);
    }
    nas_instance_destroy(&context->score);
    nas_instance_destroy(&context->ssl);
    nas_instance_destroy(&context->dataset);
    *context = (nas_context){0};
}

int nas_context_create(const nas_run_request *request, nas_context **context, nas_error *err) {
    *context = NULL;
    int rc = nas_rundir_trained(request->out, err);
    nas_context *made = rc ? NULL : nas_alloc(1, sizeof *made);
    if (!rc && !made) rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    if (!rc) rc = nas_context_open(request, made, err);
    if (rc)
        free(made);
    else
        *context = made;
    return rc;
}

void nas_context_destroy(nas_context *context) {
    nas_context_close(context);
    free(context);
}

static int check_split(const nas_context *context, const char *path, nas_error *err) {
    const nas_pipeline *pipeline = context->pipeline;
    const nas_split_sets *split = &context->split;
    uint64_t taken = split->n_validation + (split->heldout_extra ? 0 : split->n_heldout);
    bool all = pipeline->split.labelled == NAS_SPLIT_ALL;
    const struct {
        const char *key;
        uint64_t found, expected;
    } fields[] = {{"seed", split->seed, context->seed},
                  {"n_labelled", split->n_labelled,
                   all ? split->n_train - taken : (uint64_t)pipeline->split.labelled},
                  {"n_validation", split->n_validation, (uint64_t)pipeline->split.validation},
                  {"n_heldout", split->n_heldout, (uint64_t)pipeline->split.heldout}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].found != fields[i].expected)
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: %s: the pipeline asks for %llu, found %llu; remove the file to "
                            "draw a new split, or use another --out",
                            path, fields[i].key, (ull)fields[i].expected, (ull)fields[i].found);
    int from = pipeline->split.heldout_from;
    if (from == NAS_HELDOUT_AUTO || split->heldout_extra == (from == NAS_HELDOUT_UNLABELLED))
        return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: heldout_from: the pipeline asks for other images than \"%s\"; remove the "
                    "file to draw a new split, or use another --out",
                    path, split->heldout_extra ? "unlabelled" : "train");
}

static nas_split_request request_of(const nas_context *context) {
    const nas_source *source = &context->source;
    const nas_split_section *split = &context->pipeline->split;
    return (nas_split_request){.labels = source->train.labels,
                               .n_train = source->train.n,
                               .n_extra = source->extra.n,
                               .classes = source->info.classes,
                               .class_names = source->info.class_names,
                               .labelled = split->labelled,
                               .validation = split->validation,
                               .heldout = split->heldout,
                               .balance = (nas_balance)split->balance,
                               .heldout_from = (nas_heldout_from)split->heldout_from,
                               .seed = context->seed};
}

const nas_images *nas_context_heldout(const nas_context *context) {
    return context->split.heldout_extra ? &context->source.extra : &context->source.train;
}

static int save_split(const nas_context *context, const char *path, nas_error *err) {
    char *text = NULL;
    size_t bytes = 0;
    int rc = nas_split_text(&context->split, &text, &bytes, err);
    if (!rc) rc = nas_leftovers_note_split(context->request->out, text, bytes, err);
    if (!rc) rc = nas_file_write(path, text, bytes, err);
    free(text);
    return rc;
}

int nas_context_split(nas_context *context, const char *path, nas_error *err) {
    const nas_source *source = &context->source;
    nas_split_free(&context->split);
    if (path && nas_file_exists(path)) {
        int rc = nas_split_load(path, source->train.n, source->extra.n, &context->split, err);
        return rc ? rc : check_split(context, path, err);
    }
    nas_split_request request = request_of(context);
    nas_error why = {0};
    int rc = nas_split_draw(&request, &context->split, &why);
    if (rc) return nas_fail(err, rc, "%s: split: %.900s", context->pipeline->file, why.message);
    if (path) rc = save_split(context, path, err);
    return rc;
}

int nas_context_check_data(const nas_context *context, nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    int rc = nas_rundir_path(context->request->out, "data.json", path, sizeof path, err);
    return rc ? rc : nas_data_file_check(path, &context->source, err);
}

int nas_context_keep_data(const nas_context *context, nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    int rc = nas_rundir_path(context->request->out, "data.json", path, sizeof path, err);
    return rc || nas_file_exists(path) ? rc : nas_data_file_save(path, &context->source, err);
}

int nas_context_load(nas_context *context, nas_error *err) {
    const char *out = context->request->out;
    char path[NAS_RUNDIR_PATH];
    int rc = nas_rundir_path(out, "split.json", path, sizeof path, err);
    if (!rc) rc = nas_context_split(context, path, err);
    if (!rc) rc = nas_context_check_data(context, err);
    if (!rc) rc = nas_rundir_path(out, "supernet.safetensors", path, sizeof path, err);
    return rc ? rc : nas_supernet_load(context->supernet, path, err);
}

int nas_context_init_weights(nas_context *context, nas_error *err) {
    const nas_init_config *init = &context->pipeline->init;
    nas_tensor_file file;
    if (!init->weights) return NAS_OK;
    int rc = nas_tensors_load(init->weights, &file, err);
    if (rc) return rc;
    rc = nas_pretrained_fill(&file, init->weights, init->classifier == NAS_CLASSIFIER_NEW,
                             context->supernet, context->request->log, err);
    nas_tensors_free(&file);
    return rc;
}

nas_cluster *nas_context_cluster(const nas_context *context) {
    return context->request ? context->request->cluster : NULL;
}

int nas_context_stopped(const nas_context *context, const char *doing, nas_error *err) {
    const volatile sig_atomic_t *stop = context->request->stop;
    if (!(stop && *stop) && !nas_cluster_stopped(nas_context_cluster(context))) return NAS_OK;
    return nas_fail(err, NAS_ERR_INTERRUPTED,
                    "stopped %s; what was done is saved in %s, and the same command goes on", doing,
                    context->request->out);
}

const nas_ssl_api *nas_context_ssl(const nas_context *context) {
    return context->ssl.plugin->vtable;
}
