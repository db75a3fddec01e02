#include "stages/scores.h"

#include "base/memory.h"
#include "space/lower.h"
#include "stages/progress.h"
#include "stages/rundir.h"
#include "stages/scorer.h"
#include "stages/subnets.h"
#include "stages/table.h"

#include <stdlib.h>

typedef struct scored {
    nas_candidate candidate;
    double seconds;
} scored;

typedef struct scores {
    const nas_context *context;
    nas_subnets subnets;
    scored *found; /* [subnets.n] */
} scores;

static int no_memory(const scores *s, nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu subnets", s->subnets.n);
}

static int choose(scores *s, const nas_scores_request *what, nas_error *err) {
    const nas_space *space = &s->context->space;
    int rc = NAS_OK;
    if (!what->n_files && !what->random) rc = nas_subnets_ends(space, &s->subnets, err);
    for (size_t i = 0; i < what->n_files && !rc; i++)
        rc = nas_subnets_read(space, what->files[i], &s->subnets, err);
    if (!rc && what->random)
        rc = nas_subnets_random(space, s->context->seed, what->random, &s->subnets, err);
    if (rc) return rc;
    s->found = nas_alloc(s->subnets.n, sizeof *s->found);
    return s->found ? NAS_OK : no_memory(s, err);
}

static int score(const scores *s, nas_scorer *scorer, size_t i, nas_error *err) {
    nas_candidate *candidate = &s->found[i].candidate;
    nas_lowered *lowered;
    candidate->genome = s->subnets.items[i].genome;
    candidate->hash = nas_genome_hash(&s->context->space, &candidate->genome);
    int rc = nas_lower(&s->context->space, &candidate->genome, &lowered, err);
    if (rc) return rc;
    candidate->macs = lowered->network.macs;
    candidate->params = lowered->network.params;
    nas_lowered_free(lowered);
    double began = nas_seconds();
    rc = nas_scorer_score(scorer, candidate, err);
    s->found[i].seconds = nas_seconds() - began;
    return rc;
}

static int score_all(const scores *s, nas_error *err) {
    const nas_run_request *request = s->context->request;
    nas_evaluator evaluator;
    int rc = nas_evaluator_open(s->context, &evaluator, err);
    if (rc) return rc;
    nas_scorer scorer = nas_scorer_open(&evaluator);
    nas_progress progress =
        nas_progress_open(request->log, "score", 0, s->subnets.n, request->quiet);
    rc = nas_scorer_start(&scorer, err);
    for (size_t i = 0; i < s->subnets.n && !rc; i++) {
        if (nas_progress_due(&progress)) nas_progress_show(&progress, i, s->subnets.items[i].name);
        rc = score(s, &scorer, i, err);
    }
    nas_progress_clear(&progress);
    nas_scorer_close(&scorer);
    nas_evaluator_close(&evaluator);
    return rc;
}

static int print_json(const scores *s, nas_error *err) {
    const nas_context *context = s->context;
    json_t *list = json_array();
    int failed = 0;
    for (size_t i = 0; i < s->subnets.n && !failed; i++) {
        const nas_candidate *c = &s->found[i].candidate;
        failed = json_array_append_new(
            list, json_pack("{s:s, s:o, s:I, s:I, s:f, s:f}", "name", s->subnets.items[i].name,
                            "genome", nas_genome_to_json(&context->space, &c->genome), "macs",
                            (json_int_t)c->macs, "params", (json_int_t)c->params, "score", c->score,
                            "seconds", s->found[i].seconds));
    }
    json_t *all =
        json_pack("{s:s, s:O, s:I, s:s, s:o}", "score", context->pipeline->score.id, "options",
                  context->score.resolved, "seed", (json_int_t)context->pipeline->seed, "space",
                  context->space.name, "subnets", list);
    failed = failed || !all || json_dumpf(all, stdout, JSON_INDENT(2));
    json_decref(all);
    if (failed) return no_memory(s, err);
    putchar('\n');
    return NAS_OK;
}

static int print_table(const scores *s, nas_error *err) {
    const char *const titles[] = {
        "subnet", s->context->pipeline->score.id, "time", "MACs", "params", "genome"};
    nas_table table;
    int rc = nas_table_create(s->subnets.n + 1, sizeof titles / sizeof *titles, &table, err);
    if (rc) return rc;
    nas_table_head(&table, titles);
    for (size_t i = 0; i < s->subnets.n; i++) {
        const nas_candidate *c = &s->found[i].candidate;
        nas_cell *cells = nas_table_at(&table, i + 1, 0);
        snprintf(cells[0].text, sizeof cells[0].text, "%s", s->subnets.items[i].name);
        snprintf(cells[1].text, sizeof cells[1].text, "%.6g", c->score);
        cells[2] = nas_text_value(1000 * s->found[i].seconds, "ms");
        cells[3] = nas_text_count(c->macs);
        cells[4] = nas_text_count(c->params);
        nas_genome_short(&s->context->space, &c->genome, cells[5].text, sizeof cells[5].text);
    }
    nas_table_print(&table, stdout);
    nas_table_free(&table);
    return NAS_OK;
}

int nas_scores(const nas_run_request *request, const nas_scores_request *what, nas_error *err) {
    int rc = nas_rundir_trained(request->out, err);
    if (rc) return rc;
    nas_context *context = nas_alloc(1, sizeof *context);
    if (!context) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    scores s = {.context = context};
    rc = nas_context_open(request, context, err);
    if (!rc) rc = choose(&s, what, err);
    if (!rc) rc = nas_context_load(context, err);
    if (!rc) rc = score_all(&s, err);
    if (!rc) rc = request->json ? print_json(&s, err) : print_table(&s, err);
    nas_subnets_free(&s.subnets);
    free(s.found);
    nas_context_close(context);
    free(context);
    return rc;
}
