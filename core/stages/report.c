#include "stages/report.h"

#include "base/file.h"
#include "base/json.h"
#include "host/exporter.h"
#include "run/progress.h"
#include "run/rundir.h"
#include "stages/confusion.h"
#include "stages/figures.h"
#include "stages/html.h"
#include "stages/int8.h"
#include "stages/sidecar.h"
#include "stages/verify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for family.json");
}

typedef struct report {
    const nas_context *context;
    nas_evaluator *evaluator;
    const char *base; /* the folder that its files go to */
    nas_images test;
    json_t *platforms, *reference; /* of family.json */
    json_t *confusions;            /* one a platform */
} report;

static const uint32_t weight_bits[] = {8, 7};

/* ---- One subnet ---- */

/* What a platform's entry in family.json says of its exports. */
typedef struct exported {
    json_t *files;       /* an array of names */
    json_t *verified;    /* an array of what engines answered; empty: nothing asks for it */
    double top1;         /* in single precision */
    bool int8[2];        /* some format is in 8 bits, with weights of 8 and of 7 bits */
    double int8_top1[2]; /* in these; NaN: no such format */
} exported;

/* Of an export's arithmetic. */
static double top1_of(const exported *e, const nas_instance *plugin) {
    uint32_t bits = nas_export_int8(plugin);
    return bits ? e->int8_top1[bits == 7] : e->top1;
}

static int verify(const report *r, const nas_instance *plugin, const nas_folded *net,
                  const char *path, const char *file, exported *to, nas_error *err) {
    const nas_verify it = {r->evaluator, net, plugin, path, file};
    json_t *json;
    int rc = nas_verify_file(&it, &json, err);
    if (!rc && json_array_append_new(to->verified, json)) rc = no_memory(err);
    return rc;
}

/* Writes one of a platform's files, a second one where the format has two, and what describes them.
 */
static int export_one(const report *r, size_t export, const char *name, const nas_folded *net,
                      exported *to, nas_error *err) {
    const nas_instance *plugin = &r->context->exports[export];
    char base[96], file[112], path[NAS_RUNDIR_PATH];
    nas_export_name(plugin, name, base, sizeof base);
    snprintf(file, sizeof file, "family/%s", base);
    int rc = nas_rundir_path(r->base, file, path, sizeof path, err);
    net->lowered->network.weight_bits = nas_export_int8(plugin);
    if (!rc) rc = nas_export_file(plugin, &net->lowered->network, path, err);
    const nas_sidecar sidecar = {r->evaluator, net, plugin, path, top1_of(to, plugin), r->test.n};
    if (!rc) rc = nas_sidecar_write(&sidecar, err);
    if (!rc && r->context->pipeline->exports[export].verify)
        rc = verify(r, plugin, net, path, file, to, err);
    if (rc) return rc;
    char *second = nas_export_second(plugin, file);
    nas_json_add(&to->files, json_string(file));
    if (second) nas_json_add(&to->files, json_string(second));
    free(second);
    return to->files ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path);
}

static void find_int8(const report *r, const nas_export_list *list, bool int8[2]) {
    for (size_t i = 0; i < list->n; i++)
        for (int k = 0; k < 2; k++)
            if (nas_export_int8(&r->context->exports[list->first + i]) == weight_bits[k])
                int8[k] = true;
}

/* Writes a platform's files. */
static int export_all(const report *r, const nas_platform *platform, const nas_genome *genome,
                      exported *to, nas_error *err) {
    const nas_export_list *list = &platform->exports;
    nas_folded net;
    find_int8(r, list, to->int8);
    int rc = nas_folded_make(r->evaluator, genome, &net, err);
    if (!rc && (to->int8[0] || to->int8[1])) rc = nas_int8_calibrate(r->evaluator, &net, err);
    for (int i = 0; i < 2 && !rc; i++) {
        net.lowered->network.weight_bits = weight_bits[i];
        if (to->int8[i]) rc = nas_int8_top1(r->evaluator, &net, &r->test, &to->int8_top1[i], err);
    }
    for (size_t i = 0; i < list->n && !rc; i++)
        rc = export_one(r, list->first + i, platform->name, &net, to, err);
    nas_folded_free(&net);
    return rc;
}

/* Also adds to the confusions. */
static int test(const report *r, const nas_genome *genome, double *top1, nas_error *err) {
    json_t *confusion;
    nas_evaluator_select(r->evaluator, genome);
    int rc = nas_confusion(r->evaluator, &r->test, top1, &confusion, err);
    if (!rc && json_array_append_new(r->confusions, confusion))
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for report.html");
    return rc;
}

/* ---- Platforms ---- */

/* What 8 bits cost; null: no test image has a label. */
static json_t *int8_json(const report *r, double top1, double int8_top1) {
    json_t *json = json_object();
    nas_json_put(&json, "test_top1", nas_number_json(int8_top1));
    nas_json_put(&json, "top1_loss", nas_number_json(top1 - int8_top1));
    nas_json_put(&json, "calibration_images", nas_count_json(nas_int8_images(r->evaluator)));
    return json;
}

static int report_platform(report *r, size_t index, const nas_candidate *candidate,
                           nas_error *err) {
    const nas_platform *platform = &r->context->pipeline->platforms[index];
    exported exports = {json_array(), json_array(), NAN, {false, false}, {NAN, NAN}};
    int rc = test(r, &candidate->genome, &exports.top1, err);
    const double top1 = exports.top1;
    if (!rc) rc = export_all(r, platform, &candidate->genome, &exports, err);
    if (rc) {
        json_decref(exports.files);
        json_decref(exports.verified);
        return rc;
    }
    json_t *json = nas_chosen_json(&r->context->space, platform, candidate);
    nas_json_put(&json, "test_top1", nas_number_json(top1));
    if (exports.int8[0]) nas_json_put(&json, "int8", int8_json(r, top1, exports.int8_top1[0]));
    if (exports.int8[1]) nas_json_put(&json, "int8w7", int8_json(r, top1, exports.int8_top1[1]));
    nas_json_put(&json, "files", exports.files);
    if (json_array_size(exports.verified))
        nas_json_put(&json, "verified", exports.verified);
    else
        json_decref(exports.verified);
    nas_json_add(&r->platforms, json);
    return r->platforms ? NAS_OK : no_memory(err);
}

/* ---- References ---- */

static int report_reference(report *r, const char *name, const nas_genome *genome, nas_error *err) {
    nas_figures figures;
    int rc = nas_figures_measure(r->evaluator, genome, &r->test, &figures, err);
    if (rc) return rc;
    nas_json_put(&r->reference, name, nas_figures_json(&r->context->space, genome, &figures));
    return r->reference ? NAS_OK : no_memory(err);
}

/* ---- The stage ---- */

static int prepare(report *r, nas_error *err) {
    const nas_context *context = r->context;
    char folder[NAS_RUNDIR_PATH];
    r->platforms = json_array();
    r->reference = json_object();
    r->confusions = json_array();
    int rc = nas_rundir_path(r->base, "family", folder, sizeof folder, err);
    if (!rc) rc = nas_folder_make(folder, err);
    if (!rc) rc = nas_source_read(&context->source, NAS_SPLIT_TEST, &r->test, err);
    return rc;
}

static json_t *family_json(const report *r) {
    const nas_pipeline *pipeline = r->context->pipeline;
    json_t *json = json_object();
    nas_json_put(&json, "seed", json_integer(pipeline->seed));
    nas_json_put(&json, "dataset", nas_text_json(pipeline->dataset.id));
    nas_json_put(&json, "space", nas_text_json(r->context->space.name));
    nas_json_put(&json, "labelled", nas_count_json(r->context->split.n_labelled));
    nas_json_put(&json, "skipped_images", nas_count_json(r->context->source.info.skipped));
    nas_json_put(&json, "platforms", json_incref(r->platforms));
    nas_json_put(&json, "reference", json_incref(r->reference));
    return json;
}

static int publish(const report *r, const nas_candidate *chosen, json_t **family, nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    int rc = nas_rundir_path(r->base, "family.json", path, sizeof path, err);
    *family = family_json(r);
    const nas_html html = {r->context, r->evaluator, chosen, *family, r->confusions, r->test.n};
    if (!rc) rc = *family ? nas_json_save(path, *family, err) : no_memory(err);
    return rc ? rc : nas_html_write(&html, err);
}

/* Before each subnet: shows how far it is; fails if the run was asked to stop. */
static int begin(const report *r, nas_progress *progress, uint64_t done, const char *what,
                 nas_error *err) {
    char doing[96];
    if (nas_progress_due(progress, done)) nas_progress_show(progress, done, what);
    snprintf(doing, sizeof doing, "in the report, at '%.40s'", what);
    return nas_context_stopped(r->context, doing, err);
}

int nas_report(const nas_context *context, nas_evaluator *evaluator, const nas_candidate *chosen,
               json_t **family, nas_error *err) {
    report r = {.context = context, .evaluator = evaluator};
    r.base = nas_staging_report(&context->staging, context->request->out);
    nas_genome largest = nas_genome_largest(&context->space);
    nas_genome smallest = nas_genome_smallest(&context->space);
    size_t n = context->pipeline->n_platforms;
    const nas_run_request *request = context->request;
    nas_progress progress = nas_progress_open(request->log, "report", 0, n + 2, request->quiet);
    int rc = prepare(&r, err);
    for (size_t i = 0; i < n && !rc; i++) {
        rc = begin(&r, &progress, i, context->pipeline->platforms[i].name, err);
        if (!rc) rc = report_platform(&r, i, &chosen[i], err);
    }
    if (!rc) rc = begin(&r, &progress, n, "largest", err);
    if (!rc) rc = report_reference(&r, "largest", &largest, err);
    if (!rc) rc = begin(&r, &progress, n + 1, "smallest", err);
    if (!rc) rc = report_reference(&r, "smallest", &smallest, err);
    nas_progress_clear(&progress);
    if (!rc) rc = publish(&r, chosen, family, err);
    nas_images_free(&r.test);
    json_decref(r.platforms);
    json_decref(r.reference);
    json_decref(r.confusions);
    return rc;
}
