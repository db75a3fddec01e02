/* Judges every subnet of a small space with the weights of a finished run:
 *     table RUN SPACE OUT [IMAGES [THREADS]]
 * RUN is the run directory; the space of its pipeline must hold every choice of the file SPACE. OUT
 * gets a JSON array of names, then one of numbers for each subnet, in the order of an odometer over
 * its genes: the genes; of the first IMAGES held-out images the share that it answers like the
 * largest subnet of the run, and the share that it answers rightly; MACs; parameters; latency_ms on
 * each of the run's platforms. Lines that OUT holds already are kept, so a stopped run goes on. */
#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "host/guarded.h"
#include "run/candidate.h"
#include "run/rundir.h"
#include "stages/evaluate.h"

#include <nashost/kit/logits.h>
#include <stdlib.h>
#include <string.h>

enum { CALIBRATION_IMAGES = 256 };

typedef struct table {
    nas_context *context;
    nas_evaluator evaluator;
    nas_space part;
    uint64_t images;
    float *logits;       /* [images][classes] */
    uint32_t *reference; /* [images]: what the largest subnet answers */
    FILE *out;
} table;

static uint32_t answer(const table *t, uint64_t i) {
    uint32_t classes = t->context->source.info.classes;
    return (uint32_t)nas_argmax(t->logits + i * classes, classes);
}

static void run_subnet(table *t, const nas_genome *genome) {
    const nas_context *context = t->context;
    nas_evaluator_select(&t->evaluator, genome);
    nas_evaluator_logits(&t->evaluator, nas_context_heldout(context), context->split.heldout,
                         t->images, t->logits);
}

/* The genome of the small space as one of the run's. */
static int translate(const table *t, const nas_genome *small, nas_genome *genome, nas_error *err) {
    json_t *json = nas_genome_to_json(&t->part, small);
    if (!json) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    int rc = nas_genome_from_json(&t->context->space, json, "the small space", genome, err);
    json_decref(json);
    return rc;
}

static int judge(table *t, const nas_genome *small, nas_error *err) {
    const nas_context *context = t->context;
    nas_genome genome;
    int rc = translate(t, small, &genome, err);
    if (rc) return rc;
    run_subnet(t, &genome);
    uint64_t same = 0, right = 0;
    for (uint64_t i = 0; i < t->images; i++) {
        uint32_t class = answer(t, i);
        same += class == t->reference[i];
        right += (int32_t) class == nas_context_heldout(context)->labels[context->split.heldout[i]];
    }
    fputc('[', t->out);
    for (uint32_t g = 0; g < t->part.n_genes; g++) fprintf(t->out, "%u,", (unsigned)small->gene[g]);
    fprintf(t->out, "%.6g,%.6g", (double)same / (double)t->images,
            (double)right / (double)t->images);
    for (size_t p = 0; p < context->pipeline->n_platforms && !rc; p++) {
        const nas_instance *hardware = &context->hardware[p];
        nas_candidate c;
        rc = nas_candidate_cost(&context->space, &genome, &nas_guarded_hardware,
                                nas_guarded(hardware), &context->pipeline->platforms[p].constraints,
                                &c, err);
        if (!p)
            fprintf(t->out, ",%llu,%llu", (unsigned long long)c.macs, (unsigned long long)c.params);
        fprintf(t->out, ",%.6g", c.cost.latency_ms);
    }
    fputs("]\n", t->out);
    fflush(t->out);
    return rc;
}

static void write_names(table *t) {
    const nas_pipeline *pipeline = t->context->pipeline;
    fputc('[', t->out);
    for (uint32_t g = 0; g < t->part.n_genes; g++)
        fprintf(t->out, "\"%s\",", t->part.gene_names[g]);
    fputs("\"agreement\",\"top1\",\"macs\",\"params\"", t->out);
    for (size_t p = 0; p < pipeline->n_platforms; p++)
        fprintf(t->out, ",\"latency_ms %s\"", pipeline->platforms[p].name);
    fputs("]\n", t->out);
}

/* Every genome in canonical form, but for the first `done`. */
static int judge_all(table *t, uint64_t done, nas_error *err) {
    nas_genome genome = {0}, canonical;
    uint32_t g = 0;
    int rc = NAS_OK;
    while (g < t->part.n_genes && !rc) {
        canonical = genome;
        nas_genome_canonical(&t->part, &canonical);
        /* Equal genomes may differ in what is inactive, and each must be judged once. */
        if (memcmp(&genome, &canonical, sizeof genome) == 0) {
            if (done)
                done--;
            else
                rc = judge(t, &genome, err);
        }
        for (g = 0; g < t->part.n_genes && ++genome.gene[g] == t->part.arity[g]; g++)
            genome.gene[g] = 0;
    }
    return rc;
}

/* Opens OUT after its last whole line; *done: how many subnets it holds. */
static int open_out(table *t, const char *path, uint64_t *done, nas_error *err) {
    long end = 0;
    *done = 0;
    t->out = fopen(path, "a+");
    if (!t->out) return nas_fail(err, NAS_ERR_IO, "%s: cannot be written", path);
    rewind(t->out);
    for (int c; (c = fgetc(t->out)) != EOF;)
        if (c == '\n') ++*done, end = ftell(t->out);
    if (fseek(t->out, 0, SEEK_END) || ftell(t->out) != end)
        return nas_fail(err, NAS_ERR_INPUT, "%s: remove its last, unfinished line", path);
    if (*done)
        --*done;
    else
        write_names(t);
    return NAS_OK;
}

static int open_part(table *t, const char *path, nas_error *err) {
    const nas_dataset_info *info = &t->context->source.info;
    json_t *json;
    int rc = nas_json_load(path, &json, err);
    if (rc) return rc;
    rc = nas_space_parse(json, path, info->channels, info->classes, &t->part, err);
    json_decref(json);
    return rc;
}

static int load(table *t, const char *run, nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    nas_context *context = t->context;
    int rc = nas_rundir_path(run, "split.json", path, sizeof path, err);
    if (!rc) rc = nas_context_split(context, path, err);
    if (!rc) rc = nas_rundir_path(run, "supernet.safetensors", path, sizeof path, err);
    if (!rc) rc = nas_supernet_load(context->supernet, path, err);
    if (!rc && t->images > context->split.n_heldout)
        rc = nas_fail(err, NAS_ERR_INPUT, "%s: expected at least %llu held-out images", run,
                      (unsigned long long)t->images);
    return rc ? rc : nas_evaluator_open(context, &t->evaluator, err);
}

static int make(table *t, char **argv, nas_error *err) {
    uint64_t done;
    int rc = load(t, argv[1], err);
    if (!rc) rc = open_part(t, argv[2], err);
    if (!rc) rc = open_out(t, argv[3], &done, err);
    if (rc) return rc;
    t->logits = nas_alloc(t->images, t->context->source.info.classes * sizeof *t->logits);
    t->reference = nas_alloc(t->images, sizeof *t->reference);
    if (!t->logits || !t->reference) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    nas_genome largest = nas_genome_largest(&t->context->space);
    run_subnet(t, &largest);
    for (uint64_t i = 0; i < t->images; i++) t->reference[i] = answer(t, i);
    return judge_all(t, done, err);
}

int main(int argc, char **argv) {
    if (argc < 4) return fputs("usage: table RUN SPACE OUT [IMAGES [THREADS]]\n", stderr), 2;
    static nas_context context;
    char path[NAS_RUNDIR_PATH], calibration[64];
    const char *overrides[] = {calibration};
    const nas_args args = {.overrides = overrides, .n_overrides = 1};
    nas_session session = {0};
    nas_pipeline pipeline = {0};
    nas_error err = {0};
    snprintf(calibration, sizeof calibration, "search.calibration_images=%d", CALIBRATION_IMAGES);
    int rc = nas_session_open(&args, true, &session, &err);
    if (!rc) rc = nas_rundir_path(argv[1], "pipeline.json", path, sizeof path, &err);
    if (!rc) rc = nas_session_pipeline(&session, path, &args, &pipeline, &err);
    const nas_run_request request = {.pipeline = &pipeline,
                                     .registry = session.registry,
                                     .out = argv[1],
                                     .threads = argc > 5 ? atoi(argv[5]) : 1,
                                     .log = &session.log};
    table t = {.context = &context, .images = argc > 4 ? strtoull(argv[4], NULL, 10) : 1000};
    if (!rc) rc = nas_context_open(&request, &context, &err);
    if (!rc) rc = make(&t, argv, &err);
    if (rc) fprintf(stderr, "table: %s\n", err.message);
    if (t.out && fclose(t.out)) rc = NAS_ERR_IO;
    free(t.logits);
    free(t.reference);
    nas_evaluator_close(&t.evaluator);
    nas_context_close(&context);
    nas_pipeline_free(&pipeline);
    nas_session_close(&session);
    return rc != NAS_OK;
}
