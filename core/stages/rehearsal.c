#include "stages/rehearsal.h"

#include "base/json.h"
#include "base/memory.h"
#include "host/call.h"
#include "host/exporter.h"
#include "host/guarded.h"
#include "run/candidate.h"
#include "run/checkpoint.h"
#include "run/rundir.h"
#include "stages/evaluate.h"
#include "stages/folded.h"
#include "stages/import.h"
#include "stages/int8.h"
#include "stages/learner.h"
#include "stages/scorer.h"
#include "stages/search.h"

#include <math.h>
#include <nashost/cluster.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SIDE = 12, CLASSES = 3, IMAGES = 96, MOST_IMAGES = 64, STEPS = 4, EVALUATIONS = 12 };

static const char space_text[] =
    "{\"name\": \"rehearsal\", \"resolution\": [9, 12],"
    " \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 8, \"activation\": \"h-swish\"},"
    " \"stages\": [{\"width\": [8, 16], \"stride\": 2, \"depth\": [1, 2], \"kernel\": [3, 5],"
    "  \"expand\": [2, 3], \"squeeze_excite\": true, \"activation\": \"h-swish\"}],"
    " \"head\": {\"width\": 16, \"activation\": \"h-swish\", \"hidden\": [16],"
    "  \"hidden_activation\": \"h-swish\"}}";

/* ---- What stands in ---- */

static int stand_in_info(void *self, nas_dataset_info *info, nas_error *err) {
    static const char *const names[CLASSES] = {"dark", "grey", "light"};
    (void)self, (void)err;
    info->height = info->width = SIDE;
    info->channels = 1;
    info->classes = CLASSES;
    info->class_names = names;
    info->count[NAS_SPLIT_TRAIN] = info->count[NAS_SPLIT_TEST] = IMAGES;
    return NAS_OK;
}

static int stand_in_read(void *self, nas_split split, const uint64_t *indices, size_t n,
                         uint8_t *images, int32_t *labels, nas_error *err) {
    (void)self, (void)split, (void)err;
    for (size_t i = 0; i < n; i++) {
        for (size_t p = 0; p < SIDE * SIDE; p++)
            images[i * SIDE * SIDE + p] =
                (uint8_t)(80 * (indices[i] % CLASSES) + (7 * indices[i] + 13 * p) % 40);
        if (labels) labels[i] = (int32_t)(indices[i] % CLASSES);
    }
    return NAS_OK;
}

static int stand_in_plan(void *self, nas_ssl_plan *plan, nas_error *err) {
    (void)self, (void)err;
    plan->n_views = 0;
    return NAS_OK;
}

static int stand_in_cost(void *self, const nas_network *network, nas_cost *cost, nas_error *err) {
    (void)self, (void)err;
    cost->latency_ms = 1e-6 * (double)network->macs;
    cost->known_share = 1;
    return NAS_OK;
}

static int stand_in_start(void *self, const nas_subnet *largest, nas_error *err) {
    (void)self, (void)largest, (void)err;
    return NAS_OK;
}

static int stand_in_score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    (void)self, (void)err;
    *value = (double)(subnet->network->params % 1000) / 1000;
    return NAS_OK;
}

static const nas_dataset_api dataset_api = {
    .size = sizeof dataset_api, .info = stand_in_info, .read = stand_in_read};
static const nas_ssl_api ssl_api = {sizeof ssl_api, stand_in_plan, NULL};
static const nas_hardware_api hardware_api = {sizeof hardware_api, stand_in_cost};
static const nas_score_api score_api = {
    .size = sizeof score_api, .start = stand_in_start, .score = stand_in_score};
static const nas_plugin ssl_stand_in = {.id = "stand-in", .version = "", .vtable = &ssl_api};
static const nas_plugin hardware_stand_in = {.id = "stand-in", .vtable = &hardware_api};
static const nas_plugin score_stand_in = {.id = "stand-in", .vtable = &score_api};

/* ---- The problem ---- */

typedef struct rehearsal {
    nas_pipeline pipeline;
    nas_run_request request;
    nas_context context;
    nas_evaluator evaluator;
    json_t *space;
} rehearsal;

static void fill_pipeline(nas_pipeline *pipeline) {
    static char file[] = "the check's own pipeline", folder[] = ".";
    pipeline->file = file;
    pipeline->folder = folder;
    pipeline->split = (nas_split_section){.labelled = 9, .validation = 12, .heldout = 12};
    pipeline->n_platforms = 1;
    pipeline->train = (nas_train_config){.steps = STEPS,
                                         .batch = 6,
                                         .mu = 2,
                                         .subnets = 3,
                                         .lr = 0.01,
                                         .momentum = 0.9,
                                         .cosine_cycles = 7.0 / 16,
                                         .ema = 0.9,
                                         .log_every = 1};
    pipeline->search_config =
        (nas_search_config){.evaluations = EVALUATIONS, .batch = 4, .calibration_images = 16};
    snprintf(pipeline->platforms[0].name, sizeof pipeline->platforms[0].name, "any");
    pipeline->platforms[0].constraints.latency_ms = 1e9;
    pipeline->platforms[0].constraints.energy_mj = (double)NAN;
}

static int open_problem(rehearsal *r, const char *folder, nas_error *err) {
    fill_pipeline(&r->pipeline);
    r->request =
        (nas_run_request){.pipeline = &r->pipeline, .out = folder, .threads = 1, .quiet = true};
    nas_context *c = &r->context;
    c->request = &r->request;
    c->pipeline = &r->pipeline;
    c->ssl.plugin = &ssl_stand_in;
    c->score.plugin = &score_stand_in;
    c->hardware[0].plugin = &hardware_stand_in;
    int rc = nas_source_open(&dataset_api, NULL, &c->source, err);
    if (!rc) rc = nas_json_parse(space_text, strlen(space_text), 0, "check", &r->space, err);
    if (!rc) rc = nas_space_parse(r->space, "check", 1, CLASSES, &c->space, err);
    if (!rc) rc = nas_supernet_create(&c->space, 0, false, &c->supernet, err);
    if (!rc) rc = nas_context_split(c, NULL, err);
    if (!rc) c->fixed = nas_genome_largest(&c->space);
    return rc;
}

/* The stand-ins have nothing to be destroyed. */
static void close_problem(rehearsal *r) {
    nas_context *c = &r->context;
    if (r->evaluator.context) nas_evaluator_close(&r->evaluator);
    nas_supernet_destroy(c->supernet);
    nas_split_free(&c->split);
    nas_source_close(&c->source);
    json_decref(r->space);
}

/* ---- One kind after the other ---- */

/* A data set whose splits are cut short, since the whole may be large. */
static int short_info(void *self, nas_dataset_info *info, nas_error *err) {
    int rc = nas_guarded_dataset.info(self, info, err);
    for (int split = 0; split < NAS_SPLITS && !rc; split++)
        if (info->count[split] > MOST_IMAGES && info->count[split] <= INT32_MAX)
            info->count[split] = MOST_IMAGES;
    return rc;
}

static int ask_fingerprint(const nas_instance *instance, nas_error *err) {
    const nas_dataset_api *api = instance->plugin->vtable;
    if (!NAS_HAS(api, fingerprint) || !api->fingerprint) return NAS_OK;
    nas_call call;
    nas_call_begin(&call, instance, "fingerprint");
    api->fingerprint(instance->self, NAS_SPLIT_TRAIN);
    return nas_call_done(&call, err);
}

static int rehearse_dataset(nas_instance *instance, nas_error *err) {
    const nas_dataset_api shortened = {
        .size = sizeof shortened, .info = short_info, .read = nas_guarded_dataset.read};
    nas_source source;
    nas_images test = {0};
    int rc = nas_source_open(&shortened, nas_guarded(instance), &source, err);
    if (rc) return rc;
    rc = nas_source_read(&source, NAS_SPLIT_TEST, &test, err);
    nas_images_free(&test);
    nas_source_close(&source);
    return rc ? rc : ask_fingerprint(instance, err);
}

static int train(rehearsal *r, nas_error *err) {
    nas_learner *learner = nas_alloc(1, sizeof *learner);
    bool found;
    if (!learner) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    int rc = nas_learner_open(&r->context, NULL, learner, err);
    for (int i = 0; i < STEPS && !rc; i++) rc = nas_learner_step(learner, err);
    if (!rc) rc = nas_checkpoint_save(r->request.out, &learner->state, err);
    if (!rc) rc = nas_checkpoint_load(r->request.out, STEPS, NULL, &learner->state, &found, err);
    nas_checkpoint_remove(r->request.out);
    nas_learner_close(learner);
    free(learner);
    return rc;
}

static int rehearse_ssl(rehearsal *r, nas_instance *instance, nas_error *err) {
    r->context.ssl = *instance;
    int rc = nas_context_plan(&r->context, err);
    return rc ? rc : train(r, err);
}

static int rehearse_score(rehearsal *r, nas_instance *instance, nas_error *err) {
    nas_genome genomes[2] = {nas_genome_largest(&r->context.space),
                             nas_genome_smallest(&r->context.space)};
    r->context.score = *instance;
    nas_scorer scorer = nas_scorer_open(&r->evaluator);
    int rc = nas_scorer_check(&r->evaluator, err);
    for (int i = 0; i < 2 && !rc; i++) {
        nas_candidate candidate = {.genome = genomes[i],
                                   .hash = nas_genome_hash(&r->context.space, &genomes[i])};
        rc = nas_scorer_score(&scorer, &candidate, err);
    }
    nas_scorer_close(&scorer);
    return rc;
}

static int rehearse_search(rehearsal *r, nas_instance *instance, nas_error *err) {
    double ms[EVALUATIONS];
    nas_search_times times = {.ms = ms};
    r->context.search[0] = *instance;
    *instance = (nas_instance){0}; /* it is used up there */
    return nas_search_time(&r->context, &r->evaluator, EVALUATIONS, &times, err);
}

/* NAS_ERR_INFEASIBLE is an answer, too. */
static int rehearse_hardware(rehearsal *r, const nas_instance *instance, nas_error *err) {
    nas_genome genomes[2] = {nas_genome_largest(&r->context.space),
                             nas_genome_smallest(&r->context.space)};
    const nas_constraints *none = &r->pipeline.platforms[0].constraints;
    int rc = NAS_OK;
    for (int i = 0; i < 2 && !rc; i++) {
        nas_candidate candidate;
        rc = nas_candidate_cost(&r->context.space, &genomes[i], &nas_guarded_hardware,
                                nas_guarded(instance), none, &candidate, err);
        if (rc == NAS_ERR_INFEASIBLE) rc = NAS_OK;
    }
    return rc;
}

static int rehearse_export(rehearsal *r, const nas_instance *instance, nas_error *err) {
    nas_genome largest = nas_genome_largest(&r->context.space);
    const nas_export_api *api = instance->plugin->vtable;
    char name[48], path[NAS_RUNDIR_PATH];
    struct stat status;
    nas_folded net;
    snprintf(name, sizeof name, "net.%.32s", api->extension);
    int rc = nas_folded_make(&r->evaluator, &largest, &net, err);
    if (!rc && nas_export_int8(instance)) rc = nas_int8_calibrate(&r->evaluator, &net, err);
    if (!rc) rc = nas_rundir_path(r->request.out, name, path, sizeof path, err);
    if (!rc) rc = nas_export_file(instance, &net.lowered->network, path, err);
    if (!rc && (stat(path, &status) || !status.st_size))
        rc = nas_fail(err, NAS_ERR_PLUGIN, "plugin \"%s\": write succeeded, and wrote nothing",
                      instance->plugin->id);
    nas_folded_free(&net);
    return rc;
}

static int check_ranks(const nas_cluster_api *api, void *self, nas_error *err) {
    uint32_t rank = api->rank(self), ranks = api->ranks(self);
    if (rank < ranks) return NAS_OK;
    return nas_fail(err, NAS_ERR_PLUGIN, "says that this is rank %u of %u", rank, ranks);
}

static int check_words(const char *function, const uint32_t *words, uint32_t ranks,
                       nas_error *err) {
    for (uint32_t r = 0; r < ranks; r++)
        if (words[r] != 7 + r)
            return nas_fail(err, NAS_ERR_PLUGIN, "%s gives %u as rank %u's part; expected %u",
                            function, words[r], r, 7 + r);
    return NAS_OK;
}

/* What rank 0 has reaches this rank; what this one has stays, and the others' comes. */
static int check_exchange(const nas_instance *instance, uint32_t *words, uint64_t *ends,
                          nas_error *err) {
    const nas_cluster_api *api = instance->plugin->vtable;
    uint32_t rank = api->rank(instance->self), ranks = api->ranks(instance->self), word = 7 + rank;
    nas_call call;
    nas_call_begin(&call, instance, "broadcast");
    int rc = api->broadcast(instance->self, 0, &word, sizeof word, &call.err);
    rc = nas_call_end(&call, rc, err);
    if (rc) return rc;
    words[rank] = word + rank;
    for (uint32_t r = 0; r < ranks; r++) ends[r] = (r + 1) * sizeof *words;
    nas_call_begin(&call, instance, "gather");
    rc = nas_call_end(&call, api->gather(instance->self, words, ends, &call.err), err);
    return rc ? rc : check_words("gather", words, ranks, err);
}

/* The same in two calls, if the plugin has them. */
static int check_begun(const nas_instance *instance, uint32_t *words, uint64_t *ends,
                       nas_error *err) {
    const nas_cluster_api *api = instance->plugin->vtable;
    uint32_t ranks = api->ranks(instance->self);
    if (!NAS_HAS(api, end) || !api->begin || !api->end) return NAS_OK;
    for (uint32_t r = 0; r < ranks; r++) words[r] = 0;
    words[api->rank(instance->self)] = 7 + api->rank(instance->self);
    nas_call call;
    nas_call_begin(&call, instance, "begin");
    int rc = nas_call_end(&call, api->begin(instance->self, words, ends, &call.err), err);
    if (rc) return rc;
    nas_call_begin(&call, instance, "end");
    rc = nas_call_end(&call, api->end(instance->self, &call.err), err);
    return rc ? rc : check_words("end", words, ranks, err);
}

static int rehearse_exchange(const nas_instance *instance, nas_error *err) {
    const nas_cluster_api *api = instance->plugin->vtable;
    uint32_t ranks = api->ranks(instance->self);
    uint32_t *words = nas_alloc(ranks, sizeof *words);
    uint64_t *ends = nas_alloc(ranks, sizeof *ends);
    int rc = words && ends ? check_exchange(instance, words, ends, err)
                           : nas_fail(err, NAS_ERR_MEMORY, "out of memory for %u ranks", ranks);
    if (!rc) rc = check_begun(instance, words, ends, err);
    free(words);
    free(ends);
    return rc;
}

static int rehearse_cluster(const nas_instance *instance, nas_error *err) {
    nas_call call;
    nas_call_begin(&call, instance, "rank");
    int rc = check_ranks(instance->plugin->vtable, instance->self, &call.err);
    rc = nas_call_end(&call, rc, err);
    return rc ? rc : rehearse_exchange(instance, err);
}

static int rehearse_kind(rehearsal *r, nas_instance *instance, nas_error *err) {
    switch ((nas_kind)instance->plugin->kind) {
    case NAS_KIND_DATASET:
        return rehearse_dataset(instance, err);
    case NAS_KIND_SSL:
        return rehearse_ssl(r, instance, err);
    case NAS_KIND_SEARCH:
        return rehearse_search(r, instance, err);
    case NAS_KIND_HARDWARE:
        return rehearse_hardware(r, instance, err);
    case NAS_KIND_SCORE:
        return rehearse_score(r, instance, err);
    case NAS_KIND_IMPORT:
        return nas_import_rehearse(instance, err);
    case NAS_KIND_CLUSTER:
        return rehearse_cluster(instance, err);
    case NAS_KIND_EXPORT:
        break;
    }
    return rehearse_export(r, instance, err);
}

int nas_rehearse(nas_instance *instance, const char *folder, nas_error *err) {
    rehearsal *r = nas_alloc(1, sizeof *r);
    int rc = r ? open_problem(r, folder, err) : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    if (!rc) rc = nas_evaluator_open(&r->context, &r->evaluator, err);
    if (!rc) rc = rehearse_kind(r, instance, err);
    if (r) close_problem(r);
    nas_instance_destroy(instance);
    free(r);
    return rc;
}
