#include "run/context.h"

#include "base/file.h"
#include "base/memory.h"
#include "host/call.h"
#include "host/exporter.h"
#include "host/guarded.h"
#include "nn/gemm.h"
#include "run/leftovers.h"
#include "run/rundir.h"

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

static const char *extension(const nas_instance *plugin, int which) {
    const nas_export_api *api = plugin->plugin->vtable;
    if (!which) return api->extension;
    return NAS_HAS(api, write_two) ? api->second_extension : NULL;
}

/* An extension that both plugins write, or NULL. Files in 8 bits have another name. */
static const char *shared_extension(const nas_instance *one, const nas_instance *other) {
    if (nas_export_int8(one) != nas_export_int8(other)) return NULL;
    for (int i = 0; i < 4; i++) {
        const char *mine = extension(one, i & 1), *theirs = extension(other, i >> 1);
        if (mine && theirs && strcmp(mine, theirs) == 0) return mine;
    }
    return NULL;
}

/* A platform's files differ in their extensions alone. */
static int check_exports(const nas_context *context, nas_error *err) {
    const nas_pipeline *pipeline = context->pipeline;
    for (size_t i = 0; i < pipeline->n_exports; i++) {
        for (size_t j = 0; j < i; j++) {
            const char *both = shared_extension(&context->exports[i], &context->exports[j]);
            if (both)
                return nas_fail(err, NAS_ERR_INPUT,
                                "%s: export[%zu]: '%s' writes .%s files, as export[%zu] does "
                                "already; keep one of them",
                                pipeline->file, i, pipeline->exports[i].id, both, j);
        }
    }
    return NAS_OK;
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
        rc = create(context, NAS_KIND_EXPORT, &pipeline->exports[i], &context->exports[i], err);
    return rc ? rc : check_exports(context, err);
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

static int open_space(nas_context *context, nas_error *err) {
    const nas_pipeline *pipeline = context->pipeline;
    char where[1024];
    snprintf(where, sizeof where, "%s: space", pipeline->file);
    int rc = nas_space_parse(pipeline->space, where, context->source.info.channels,
                             context->source.info.classes, &context->space, err);
    if (rc) return rc;
    context->fixed = nas_genome_largest(&context->space);
    snprintf(where, sizeof where, "%s: train.genome", pipeline->file);
    if (pipeline->genome)
        rc = nas_genome_from_json(&context->space, pipeline->genome, where, &context->fixed, err);
    if (rc) return rc;
    return nas_supernet_create(&context->space, context->seed, false, &context->supernet, err);
}

int nas_context_open(const nas_run_request *request, nas_context *context, nas_error *err) {
    *context = (nas_context){.request = request,
                             .pipeline = request->pipeline,
                             .seed = (uint64_t)request->pipeline->seed,
                             .augment = request->pipeline->augment};
    int rc = nas_gemm_prepare(request->threads, err);
    if (!rc) rc = create_all(context, err);
    if (!rc) rc = nas_context_plan(context, err);
    if (!rc)
        rc = nas_source_open(&nas_guarded_dataset, nas_guarded(&context->dataset), &context->source,
                             err);
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
    for (size_t i = 0; i < NAS_MAX_EXPORTS; i++) nas_instance_destroy(&context->exports[i]);
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
    const struct {
        const char *key;
        uint64_t found, expected;
    } fields[] = {{"seed", split->seed, context->seed},
                  {"n_labelled", split->n_labelled, (uint64_t)pipeline->labelled},
                  {"n_validation", split->n_validation, (uint64_t)pipeline->validation},
                  {"n_heldout", split->n_heldout, (uint64_t)pipeline->heldout}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].found != fields[i].expected)
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: %s: the pipeline asks for %llu, found %llu; remove the file to "
                            "draw a new split, or use another --out",
                            path, fields[i].key, (ull)fields[i].expected, (ull)fields[i].found);
    return NAS_OK;
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
    const nas_pipeline *pipeline = context->pipeline;
    const nas_source *source = &context->source;
    nas_split_free(&context->split);
    if (path && nas_file_exists(path)) {
        int rc = nas_split_load(path, source->train.n, &context->split, err);
        return rc ? rc : check_split(context, path, err);
    }
    int rc = nas_split_draw(source->train.labels, source->train.n, source->info.classes,
                            (uint64_t)pipeline->labelled, (uint64_t)pipeline->validation,
                            (uint64_t)pipeline->heldout, context->seed, &context->split, err);
    if (!rc && path) rc = save_split(context, path, err);
    return rc;
}

int nas_context_load(nas_context *context, nas_error *err) {
    const char *out = context->request->out;
    char path[NAS_RUNDIR_PATH];
    int rc = nas_rundir_path(out, "split.json", path, sizeof path, err);
    if (!rc) rc = nas_context_split(context, path, err);
    if (!rc) rc = nas_rundir_path(out, "supernet.safetensors", path, sizeof path, err);
    return rc ? rc : nas_supernet_load(context->supernet, path, err);
}

int nas_context_stopped(const nas_context *context, const char *doing, nas_error *err) {
    const volatile sig_atomic_t *stop = context->request->stop;
    if (!stop || !*stop) return NAS_OK;
    return nas_fail(err, NAS_ERR_INTERRUPTED,
                    "stopped %s; what was done is saved in %s, and the same command goes on", doing,
                    context->request->out);
}

const nas_ssl_api *nas_context_ssl(const nas_context *context) {
    return context->ssl.plugin->vtable;
}
