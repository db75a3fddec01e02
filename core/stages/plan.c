#include "stages/plan.h"

#include "base/json.h"
#include "host/guarded.h"
#include "run/candidate.h"
#include "stages/evaluate.h"
#include "stages/learner.h"
#include "stages/scorer.h"
#include "stages/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef unsigned long long ull;

enum { CODE_BYTES = 3 << 20 }; /* of the program and its libraries, that is first run later */

/* The figures of the plan. */
typedef struct plan {
    const nas_context *context;
    uint64_t pool;     /* unlabelled images */
    uint64_t per_step; /* of them in a step */
    uint32_t subnets;  /* of a step */
    const char *teacher;
    double all_subnets; /* of the space before it is narrowed */
    nas_candidate largest[NAS_MAX_PLATFORMS], smallest[NAS_MAX_PLATFORMS];
    size_t train_bytes, evaluate_bytes, image_bytes;
    size_t process_bytes; /* what the program takes with its images and the first weights */
} plan;

/* What the training would refuse before its first step. */
static int measure_loader(plan *p, nas_error *err) {
    nas_loader *loader;
    int rc = nas_learner_loader(p->context, NULL, 0, &loader, err);
    if (rc) return rc;
    p->train_bytes += nas_loader_bytes(loader);
    nas_loader_close(loader);
    return NAS_OK;
}

/* Bytes of this process that are in memory: the second number of the file, in pages; 0: the system
 * does not tell. */
static size_t resident_bytes(void) {
    char line[100], *end = line;
    FILE *file = fopen("/proc/self/statm", "r");
    bool got = file && fgets(line, sizeof line, file);
    if (file) fclose(file);
    if (got) strtoull(line, &end, 10);
    return got ? (size_t)strtoull(end, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* The most at any time: training, while the evaluator waits; or the report, which has the test
 * images but no longer what trains. */
static size_t peak_bytes(const plan *p) {
    const nas_source *source = &p->context->source;
    size_t test = nas_source_more_bytes(source, source->info.count[NAS_SPLIT_TEST]);
    size_t more = nas_source_more_bytes(source, 0);
    size_t train = p->train_bytes + more;
    return p->process_bytes + CODE_BYTES + p->evaluate_bytes + (train > test ? train : test);
}

static int measure_engines(plan *p, nas_error *err) {
    static const char *const names[] = {"none", "self", "largest", "ema"};
    const nas_context *context = p->context;
    nas_step step;
    nas_evaluator evaluator;
    int rc = nas_step_open(context, p->pool, &step, err);
    if (rc) return rc;
    p->subnets = step.subnets;
    p->teacher = names[step.teacher];
    const nas_train_config *train = &context->pipeline->train;
    size_t arrays = 2U + (train->ema > 0) + (train->anchor > 0); /* velocity, gradient, average */
    p->train_bytes = nas_step_bytes(&step) + arrays * context->supernet->size * sizeof(nas_real);
    nas_step_close(&step);
    rc = measure_loader(p, err);
    if (rc) return rc;
    rc = nas_evaluator_open(context, &evaluator, err);
    if (rc) return rc;
    p->evaluate_bytes = nas_evaluator_bytes(&evaluator);
    rc = nas_scorer_check(&evaluator, err);
    nas_evaluator_close(&evaluator);
    return rc;
}

static int measure_space(plan *p, nas_error *err) {
    const nas_pipeline *pipeline = p->context->pipeline;
    nas_space whole;
    int rc = nas_space_parse(pipeline->space, pipeline->file, 1, 2, &whole, err);
    p->all_subnets = rc ? 0 : nas_space_size(&whole);
    return rc;
}

static int cost(const plan *p, size_t i, const nas_genome *genome, nas_candidate *candidate,
                nas_error *err) {
    const nas_context *context = p->context;
    const nas_instance *hardware = &context->hardware[i];
    if (nas_instance_barred(hardware)) { /* a dry run starts nothing: its cost is not known */
        nas_log_line(context->request->log, NAS_WARNING,
                     "platform '%s': the program of the plugin '%s' is not started in a dry run; "
                     "--allow-commands does",
                     context->pipeline->platforms[i].name, hardware->plugin->id);
        return nas_candidate_unknown(&context->space, genome, candidate, err);
    }
    int rc =
        nas_candidate_cost(&context->space, genome, &nas_guarded_hardware, nas_guarded(hardware),
                           &context->pipeline->platforms[i].constraints, candidate, err);
    return rc == NAS_ERR_INFEASIBLE ? NAS_OK : rc;
}

static int measure(plan *p, nas_error *err) {
    const nas_context *context = p->context;
    const nas_source *source = &context->source;
    const nas_split_sets *split = &context->split;
    nas_genome largest = nas_genome_largest(&context->space);
    nas_genome smallest = nas_genome_smallest(&context->space);
    p->pool = nas_split_pool_size(split) + nas_split_extra_size(split);
    p->per_step = nas_step_unlabelled(context);
    p->image_bytes = nas_source_bytes(source);
    int rc = measure_space(p, err);
    if (!rc) rc = measure_engines(p, err);
    for (size_t i = 0; i < context->pipeline->n_platforms && !rc; i++) {
        rc = cost(p, i, &largest, &p->largest[i], err);
        if (!rc) rc = cost(p, i, &smallest, &p->smallest[i], err);
    }
    return rc;
}

/* ---- JSON ---- */

static json_t *data_json(const plan *p) {
    const nas_context *context = p->context;
    const nas_dataset_info *info = &context->source.info;
    const nas_split_sets *split = &context->split;
    json_t *json = json_object();
    nas_json_put(&json, "dataset", nas_text_json(context->pipeline->dataset.id));
    nas_json_put(&json, "image",
                 json_pack("[i, i, i]", (int)info->height, (int)info->width, (int)info->channels));
    nas_json_put(&json, "classes", nas_count_json(info->classes));
    nas_json_put(&json, "train", nas_count_json(split->n_train));
    nas_json_put(&json, "labelled", nas_count_json(split->n_labelled));
    nas_json_put(&json, "validation", nas_count_json(split->n_validation));
    nas_json_put(&json, "heldout", nas_count_json(split->n_heldout));
    nas_json_put(&json, "unlabelled", nas_count_json(p->pool));
    nas_json_put(&json, "test", nas_count_json(info->count[NAS_SPLIT_TEST]));
    nas_json_put(&json, "skipped", nas_count_json(info->skipped));
    return json;
}

static json_t *space_json(const plan *p) {
    const nas_space *space = &p->context->space;
    json_t *json = json_object();
    nas_json_put(&json, "name", nas_text_json(space->name));
    nas_json_put(&json, "subnets", json_real(nas_space_size(space)));
    nas_json_put(&json, "of", json_real(p->all_subnets));
    return json;
}

static json_t *train_json(const plan *p) {
    const nas_pipeline *pipeline = p->context->pipeline;
    const nas_train_config *train = &pipeline->train;
    json_t *json = json_object();
    nas_json_put(&json, "steps", json_integer(train->steps));
    nas_json_put(&json, "labelled", json_integer(train->batch));
    nas_json_put(&json, "unlabelled", nas_count_json(p->per_step));
    nas_json_put(&json, "subnets", nas_count_json(p->subnets));
    nas_json_put(&json, "ssl", nas_text_json(pipeline->ssl.id));
    nas_json_put(&json, "teacher", nas_text_json(p->teacher));
    return json;
}

static json_t *search_json(const nas_pipeline *pipeline) {
    json_t *json = json_object();
    nas_json_put(&json, "plugin", nas_text_json(pipeline->search.id));
    nas_json_put(&json, "score", nas_text_json(pipeline->score.id));
    nas_json_put(&json, "evaluations", json_integer(pipeline->search_config.evaluations));
    return json;
}

static json_t *subnet_json(const nas_candidate *candidate) {
    json_t *json = json_object();
    nas_json_put(&json, "macs", nas_count_json(candidate->macs));
    nas_json_put(&json, "params", nas_count_json(candidate->params));
    nas_json_put(&json, "predicted", nas_cost_json(&candidate->cost));
    nas_json_put(&json, "fits", json_boolean(candidate->violation <= 0));
    return json;
}

static json_t *platforms_json(const plan *p) {
    const nas_pipeline *pipeline = p->context->pipeline;
    json_t *list = json_array();
    for (size_t i = 0; i < pipeline->n_platforms; i++) {
        json_t *json = json_object();
        nas_json_put(&json, "name", nas_text_json(pipeline->platforms[i].name));
        nas_json_put(&json, "constraints",
                     nas_constraints_json(&pipeline->platforms[i].constraints));
        nas_json_put(&json, "largest", subnet_json(&p->largest[i]));
        nas_json_put(&json, "smallest", subnet_json(&p->smallest[i]));
        nas_json_add(&list, json);
    }
    return list;
}

static json_t *memory_json(const plan *p) {
    json_t *json = json_object();
    nas_json_put(&json, "train_bytes", nas_count_json(p->train_bytes));
    nas_json_put(&json, "evaluate_bytes", nas_count_json(p->evaluate_bytes));
    nas_json_put(&json, "image_bytes", nas_count_json(p->image_bytes));
    nas_json_put(&json, "peak_bytes", nas_count_json(peak_bytes(p)));
    return json;
}

static json_t *plan_json(const plan *p) {
    const nas_context *context = p->context;
    json_t *json = json_object();
    nas_json_put(&json, "out", nas_text_json(context->request->out));
    nas_json_put(&json, "threads", json_integer(context->request->threads));
    nas_json_put(&json, "data", data_json(p));
    nas_json_put(&json, "space", space_json(p));
    nas_json_put(&json, "train", train_json(p));
    nas_json_put(&json, "search", search_json(context->pipeline));
    nas_json_put(&json, "platforms", platforms_json(p));
    nas_json_put(&json, "memory", memory_json(p));
    return json;
}

int nas_plan(const nas_context *context, json_t **result, nas_error *err) {
    plan p = {.context = context, .process_bytes = resident_bytes()};
    int rc = measure(&p, err);
    if (rc) return rc;
    *result = plan_json(&p);
    return *result ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for the plan");
}
