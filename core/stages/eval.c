#include "stages/eval.h"

#include "base/memory.h"
#include "stages/context.h"
#include "stages/evaluate.h"
#include "stages/rundir.h"
#include "stages/subnets.h"
#include "stages/table.h"

#include <stdlib.h>
#include <string.h>

typedef struct eval {
    const nas_context *context;
    nas_subnets subnets;
    nas_figures *figures; /* [subnets.n] */
} eval;

/* ---- Which subnets ---- */

static int choose(eval *e, const char *const *files, size_t n, nas_error *err) {
    const nas_space *space = &e->context->space;
    int rc = n ? NAS_OK : nas_subnets_ends(space, &e->subnets, err);
    for (size_t i = 0; i < n && !rc; i++) rc = nas_subnets_read(space, files[i], &e->subnets, err);
    if (rc) return rc;
    e->figures = nas_alloc(e->subnets.n, sizeof *e->figures);
    if (e->figures) return NAS_OK;
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu subnets", e->subnets.n);
}

/* ---- What becomes of them ---- */

static int judge(eval *e, nas_error *err) {
    const nas_context *context = e->context;
    nas_evaluator evaluator;
    nas_images test = {0};
    int rc = nas_evaluator_open(context, &evaluator, err);
    if (rc) return rc;
    rc = nas_source_read(&context->source, NAS_SPLIT_TEST, &test, err);
    for (size_t i = 0; i < e->subnets.n && !rc; i++)
        rc = nas_evaluator_figures(&evaluator, &e->subnets.items[i].genome, &test, &e->figures[i],
                                   err);
    nas_images_free(&test);
    nas_evaluator_close(&evaluator);
    return rc;
}

/* NULL: out of memory. */
static json_t *subnet_json(const eval *e, size_t i) {
    const nas_named *s = &e->subnets.items[i];
    json_t *json = json_pack("{s:s}", "name", s->name);
    json_t *figures = nas_figures_json(&e->context->space, &s->genome, &e->figures[i]);
    bool good = figures && json_object_update(json, figures) == 0;
    json_decref(figures);
    if (good) return json;
    json_decref(json);
    return NULL;
}

static int print_json(const eval *e, nas_error *err) {
    const nas_context *context = e->context;
    json_t *list = json_array();
    bool good = true;
    for (size_t i = 0; i < e->subnets.n && good; i++)
        good = !json_array_append_new(list, subnet_json(e, i));
    json_t *all =
        json_pack("{s:I, s:s, s:s, s:I, s:o}", "seed", (json_int_t)context->pipeline->seed,
                  "dataset", context->pipeline->dataset.id, "space", context->space.name,
                  "labelled", (json_int_t)context->pipeline->labelled, "subnets", list);
    if (good && all) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
    }
    json_decref(all);
    if (good && all) return NAS_OK;
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu subnets", e->subnets.n);
}

static int print_table(const eval *e, nas_error *err) {
    static const char *const titles[] = {"subnet",           "MACs",       "params",
                                         "validation top-1", "test top-1", "genome"};
    nas_table table;
    int rc = nas_table_create(e->subnets.n + 1, sizeof titles / sizeof *titles, &table, err);
    if (rc) return rc;
    nas_table_head(&table, titles);
    for (size_t i = 0; i < e->subnets.n; i++) {
        const nas_named *s = &e->subnets.items[i];
        const nas_figures *figures = &e->figures[i];
        nas_cell *cells = nas_table_at(&table, i + 1, 0);
        snprintf(cells[0].text, sizeof cells[0].text, "%s", s->name);
        cells[1] = nas_text_count(figures->macs);
        cells[2] = nas_text_count(figures->params);
        cells[3] = nas_text_percent(figures->validation_top1);
        cells[4] = nas_text_percent(figures->test_top1);
        nas_genome_short(&e->context->space, &s->genome, cells[5].text, sizeof cells[5].text);
    }
    nas_table_print(&table, stdout);
    nas_table_free(&table);
    return NAS_OK;
}

/* ---- The stage ---- */

int nas_eval(const nas_run_request *request, const char *const *files, size_t n, nas_error *err) {
    int rc = nas_rundir_trained(request->out, err);
    if (rc) return rc;
    nas_context *context = nas_alloc(1, sizeof *context);
    if (!context) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    eval e = {.context = context};
    rc = nas_context_open(request, context, err);
    if (!rc) rc = choose(&e, files, n, err);
    if (!rc) rc = nas_context_load(context, err);
    if (!rc) rc = judge(&e, err);
    if (!rc) rc = request->json ? print_json(&e, err) : print_table(&e, err);
    nas_subnets_free(&e.subnets);
    free(e.figures);
    nas_context_close(context);
    free(context);
    return rc;
}
