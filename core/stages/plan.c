#include "stages/plan.h"

#include "space/lower.h"
#include "stages/chosen.h"
#include "stages/evaluate.h"
#include "stages/search.h"
#include "stages/step.h"

typedef unsigned long long ull;

/* The figures of the plan. */
typedef struct plan {
    const nas_context *context;
    uint64_t pool;     /* unlabelled images */
    uint64_t per_step; /* of them in a step */
    uint32_t subnets;  /* of a step */
    const char *teacher;
    nas_candidate largest[NAS_MAX_PLATFORMS], smallest[NAS_MAX_PLATFORMS];
    size_t train_bytes, evaluate_bytes, image_bytes;
} plan;

static int measure_engines(plan *p, nas_error *err) {
    static const char *const names[] = {"none", "self", "largest", "ema"};
    const nas_context *context = p->context;
    nas_step step;
    nas_evaluator evaluator;
    int rc = nas_step_open(context, p->pool, &step, err);
    if (rc) return rc;
    p->subnets = step.subnets;
    p->teacher = names[step.teacher];
    size_t arrays = context->pipeline->train.ema > 0 ? 4 : 3; /* weights, velocity, gradient */
    p->train_bytes = nas_step_bytes(&step) + arrays * context->supernet->size * sizeof(nas_real);
    nas_step_close(&step);
    rc = nas_evaluator_open(context, &evaluator, err);
    if (rc) return rc;
    p->evaluate_bytes = nas_engine_bytes(evaluator.engine);
    nas_evaluator_close(&evaluator);
    return NAS_OK;
}

static int cost(const plan *p, size_t i, const nas_genome *genome, nas_candidate *candidate,
                nas_error *err) {
    const nas_context *context = p->context;
    const nas_instance *hardware = &context->hardware[i];
    int rc = nas_candidate_cost(&context->space, genome, hardware->plugin->vtable, hardware->self,
                                &context->pipeline->platforms[i].constraints, candidate, err);
    return rc == NAS_ERR_INFEASIBLE ? NAS_OK : rc;
}

static int measure(plan *p, nas_error *err) {
    const nas_context *context = p->context;
    const nas_source *source = &context->source;
    const nas_split_sets *split = &context->split;
    nas_genome largest = nas_genome_largest(&context->space);
    nas_genome smallest = nas_genome_smallest(&context->space);
    p->pool = source->train.n - split->n_validation - split->n_heldout + source->extra.n;
    p->per_step = nas_step_unlabelled(context);
    p->image_bytes = (source->train.n + source->extra.n) * source->info.height *
                     source->info.width * source->info.channels;
    int rc = measure_engines(p, err);
    for (size_t i = 0; i < context->pipeline->n_platforms && !rc; i++) {
        rc = cost(p, i, &largest, &p->largest[i], err);
        if (!rc) rc = cost(p, i, &smallest, &p->smallest[i], err);
    }
    return rc;
}

/* ---- JSON ---- */

static json_t *subnet_json(const nas_candidate *candidate) {
    return json_pack("{s:o, s:o, s:o}", "macs", nas_count_json(candidate->macs), "params",
                     nas_count_json(candidate->params), "predicted",
                     nas_cost_json(&candidate->cost));
}

static json_t *platforms_json(const plan *p) {
    json_t *list = json_array();
    for (size_t i = 0; i < p->context->pipeline->n_platforms; i++)
        json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "name",
                                              p->context->pipeline->platforms[i].name, "largest",
                                              subnet_json(&p->largest[i]), "smallest",
                                              subnet_json(&p->smallest[i])));
    return list;
}

static int print_json(const plan *p, nas_error *err) {
    const nas_context *context = p->context;
    const nas_split_sets *split = &context->split;
    const nas_train_config *train = &context->pipeline->train;
    json_t *json = json_pack(
        "{s:s, s:{s:I, s:I, s:I, s:I, s:I}, s:{s:s, s:f}, s:{s:I, s:I, s:I, s:i, s:s, s:s}, "
        "s:{s:s, "
        "s:s, s:I}, s:o, s:{s:I, s:I, s:I}}",
        "out", context->request->out, "data", "train", (json_int_t)split->n_train, "labelled",
        (json_int_t)split->n_labelled, "validation", (json_int_t)split->n_validation, "heldout",
        (json_int_t)split->n_heldout, "unlabelled", (json_int_t)p->pool, "space", "name",
        context->space.name, "subnets", nas_space_size(&context->space), "train", "steps",
        (json_int_t)train->steps, "labelled", (json_int_t)train->batch, "unlabelled",
        (json_int_t)p->per_step, "subnets", (int)p->subnets, "ssl", context->pipeline->ssl.id,
        "teacher", p->teacher, "search", "plugin", context->pipeline->search.id, "score",
        context->pipeline->score.id, "evaluations",
        (json_int_t)context->pipeline->search_config.evaluations, "platforms", platforms_json(p),
        "memory", "train_bytes", (json_int_t)p->train_bytes, "evaluate_bytes",
        (json_int_t)p->evaluate_bytes, "image_bytes", (json_int_t)p->image_bytes);
    if (!json) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for the plan");
    json_dumpf(json, stdout, JSON_INDENT(2));
    fputc('\n', stdout);
    json_decref(json);
    return NAS_OK;
}

/* ---- Text ---- */

static void print_data(const plan *p) {
    const nas_context *context = p->context;
    const nas_dataset_info *info = &context->source.info;
    const nas_split_sets *split = &context->split;
    const nas_pipeline *pipeline = context->pipeline;
    const nas_train_config *train = &pipeline->train;
    printf("data      %s: %llu training images %ux%ux%u, %u classes, %llu for the final test\n",
           pipeline->dataset.id, (ull)split->n_train, info->height, info->width, info->channels,
           info->classes, (ull)info->count[NAS_SPLIT_TEST]);
    printf("split     %llu labelled, %llu validation, %llu held out for scores, %llu unlabelled\n",
           (ull)split->n_labelled, (ull)split->n_validation, (ull)split->n_heldout, (ull)p->pool);
    printf("space     %s: %.4g subnets\n", context->space.name, nas_space_size(&context->space));
    printf("train     %lld steps of %lld labelled and %llu unlabelled images, %u %s, loss %s, "
           "teacher %s\n",
           (long long)train->steps, (long long)train->batch, (ull)p->per_step, p->subnets,
           p->subnets == 1 ? "subnet" : "subnets", pipeline->ssl.id, p->teacher);
    double steps = (double)train->steps;
    printf("          each labelled image is seen %.1f times, each unlabelled one %.1f times\n",
           steps * (double)train->batch / (double)split->n_labelled,
           steps * (double)p->per_step / (double)p->pool);
    printf("search    %s, %lld subnets a platform, score %s\n", pipeline->search.id,
           (long long)pipeline->search_config.evaluations, pipeline->score.id);
    printf("memory    %s training, %s judging, %s images\n", nas_text_bytes(p->train_bytes).text,
           nas_text_bytes(p->evaluate_bytes).text, nas_text_bytes(p->image_bytes).text);
    printf("threads   %d\nwrites    %s\n\n", context->request->threads, context->request->out);
}

static void fill_row(nas_table *table, size_t row, const char *name, const char *subnet,
                     const char *limits, const nas_candidate *candidate) {
    nas_cell *cells = nas_table_at(table, row, 0);
    snprintf(cells[0].text, sizeof cells[0].text, "%s", name);
    snprintf(cells[1].text, sizeof cells[1].text, "%s", limits);
    snprintf(cells[2].text, sizeof cells[2].text, "%s", subnet);
    cells[3] = nas_text_value(candidate->cost.latency_ms, "ms");
    cells[4] = nas_text_count(candidate->macs);
    cells[5] = nas_text_count(candidate->params);
    cells[6] = nas_text_bytes(candidate->cost.peak_bytes);
    snprintf(cells[7].text, sizeof cells[7].text, "%s", candidate->violation <= 0 ? "yes" : "no");
}

static int print_text(const plan *p, nas_error *err) {
    static const char *const titles[] = {"platform", "at most", "subnet",      "latency",
                                         "MACs",     "params",  "peak memory", "fits"};
    const nas_pipeline *pipeline = p->context->pipeline;
    nas_table table;
    int rc = nas_table_create(2 * pipeline->n_platforms + 1, 8, &table, err);
    if (rc) return rc;
    nas_table_head(&table, titles);
    for (size_t i = 0; i < pipeline->n_platforms; i++) {
        const nas_platform *platform = &pipeline->platforms[i];
        nas_cell limits = nas_limits_text(&platform->constraints);
        fill_row(&table, 2 * i + 1, platform->name, "largest", limits.text, &p->largest[i]);
        fill_row(&table, 2 * i + 2, "", "smallest", "", &p->smallest[i]);
    }
    print_data(p);
    nas_table_print(&table, stdout);
    nas_table_free(&table);
    return NAS_OK;
}

int nas_plan(const nas_context *context, nas_error *err) {
    plan p = {.context = context};
    int rc = measure(&p, err);
    if (rc) return rc;
    return context->request->json ? print_json(&p, err) : print_text(&p, err);
}
