#include "stages/search.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "host/call.h"
#include "host/guarded.h"
#include "run/events.h"
#include "run/progress.h"
#include "run/rundir.h"
#include "run/search_file.h"
#include "stages/problem.h"
#include "stages/scorer.h"
#include "stages/team.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

enum {
    MOST_ASKS = 100, /* for each evaluation */
    MOST_MISSES = 4, /* the same, in a row without a new feasible subnet */
    FIRST_TOLD = 1,  /* abi_minor of the first plugins that are told of what they did not ask for */
};

/* The search for one platform. */
typedef struct search {
    nas_scorer *scorer;
    const nas_context *context;
    const nas_platform *platform;
    const char *base; /* the folder that the search's files are in */
    nas_problem problem;
    size_t asked; /* of its known subnets, by the plugin or by the host */
    uint64_t scored;
    double best;     /* score of a feasible one; NaN: none yet */
    uint64_t budget; /* evaluations */
    nas_progress progress;
    nas_events events;       /* closed: none are written */
    nas_search_times *times; /* NULL: not asked for */
    double last;             /* end of the last evaluation, on nas_seconds' clock */
} search;

/* ---- Asking and telling ---- */

static int failed(const search *s, nas_error *err) {
    const nas_error *failure = &s->problem.failure;
    return nas_fail(err, failure->code, "platform '%s': %.900s", s->platform->name,
                    failure->message);
}

static void show(search *s) {
    char text[64];
    if (!nas_progress_due(&s->progress, s->scored)) return;
    snprintf(text, sizeof text, "best score %.4f", s->best);
    nas_progress_show(&s->progress, s->scored, text);
}

static int log_score(search *s, double score, nas_error *err) {
    if (!s->events.file) return NAS_OK;
    json_t *values = json_pack("{s:o, s:o}", "best_score", nas_number_json(s->best), "score",
                               nas_number_json(score));
    int rc = nas_events_write(&s->events, s->scored, values, err);
    json_decref(values);
    return rc;
}

static int score(search *s, nas_candidate *candidate, bool counts, nas_error *err) {
    double start = nas_seconds();
    int rc = nas_scorer_score(s->scorer, candidate, err);
    if (!s->times || !counts || rc) return rc;
    double now = nas_seconds();
    s->times->score_seconds += now - start;
    s->times->ms[s->times->scored++] = (now - s->last) * 1e3;
    s->last = now;
    return NAS_OK;
}

/* Judges a genome: its costs, and its score if it is feasible. counts: as an evaluation. */
static int consider(search *s, const nas_genome *genome, bool counts, nas_candidate *candidate,
                    nas_error *err) {
    char doing[80];
    snprintf(doing, sizeof doing, "in the search for '%s'", s->platform->name);
    int rc = nas_context_stopped(s->context, doing, err);
    if (rc) return rc;
    if (!nas_problem_look(&s->problem, genome, true, candidate)) return failed(s, err);
    if (candidate->asked) return NAS_OK;
    if (candidate->violation <= 0) {
        rc = score(s, candidate, counts, err);
        if (rc) return rc;
        s->scored += counts;
        if (!(candidate->score <= s->best)) s->best = candidate->score;
        if (counts) rc = log_score(s, candidate->score, err);
        if (rc) return rc;
    }
    candidate->asked = ++s->asked;
    *nas_memo_find(&s->problem.known, genome) = *candidate;
    show(s);
    return NAS_OK;
}

/* What is asked for or told at once. */
typedef struct asking {
    size_t room, n;
    uint16_t *genomes;  /* [room][n_genes] */
    double *objectives; /* [room][n_objectives] */
    double *violation;  /* [room] */
} asking;

/* Whether a genome is yet to be scored; it is looked at in the order in which it is then judged. */
static bool unscored(search *s, const nas_genome *genome) {
    nas_candidate candidate;
    return nas_problem_look(&s->problem, genome, true, &candidate) && !candidate.asked &&
           candidate.violation <= 0 && !nas_memo_find(&s->scorer->known, genome);
}

/* Has the ranks of a cluster score the genomes side by side. Those that cannot be judged are told
 * of in turn. */
static int score_ahead(search *s, const asking *r, nas_error *err) {
    const nas_space *space = &s->context->space;
    nas_genome *genomes = nas_alloc(r->n ? r->n : 1, sizeof *genomes);
    size_t n = 0;
    if (!genomes) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu candidates", r->n);
    for (size_t i = 0; i < r->n; i++) {
        const uint16_t *genes = r->genomes + i * space->n_genes;
        if (!nas_problem_in_range(&s->problem, genes)) break;
        nas_genome genome = nas_problem_genome(&s->problem, genes);
        bool twice = false;
        for (size_t j = 0; j < n; j++) twice |= nas_genome_equal(space, &genomes[j], &genome);
        if (!twice && unscored(s, &genome)) genomes[n++] = genome;
    }
    int rc = nas_team_score(s->scorer, genomes, n, err);
    free(genomes);
    return rc;
}

/* Judges the genomes. counts: as evaluations. */
static int judge(search *s, bool counts, asking *r, nas_error *err) {
    uint32_t n_genes = s->problem.seen_by_plugin.n_genes;
    uint32_t n_objectives = s->problem.seen_by_plugin.n_objectives;
    int ahead = nas_context_cluster(s->context) ? score_ahead(s, r, err) : NAS_OK;
    if (ahead) return ahead;
    for (size_t i = 0; i < r->n; i++) {
        const uint16_t *genes = r->genomes + i * n_genes;
        if (!nas_problem_in_range(&s->problem, genes))
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "plugin '%s' asks for a genome with a gene beyond its arity",
                            s->context->pipeline->search.id);
        nas_genome genome = nas_problem_genome(&s->problem, genes);
        nas_candidate candidate;
        int rc = consider(s, &genome, counts, &candidate, err);
        if (rc) return rc;
        double *objectives = r->objectives + i * n_objectives;
        nas_problem_objectives(&s->problem, &candidate, objectives);
        for (uint32_t m = 0; m < n_objectives && candidate.violation > 0; m++)
            objectives[m] = INFINITY;
        r->violation[i] = candidate.violation;
    }
    return NAS_OK;
}

static int tell(const nas_instance *plugin, const asking *r, nas_error *err) {
    const nas_search_api *api = plugin->plugin->vtable;
    nas_call call;
    nas_call_begin(&call, plugin, "tell");
    int rc = api->tell(plugin->self, r->n, r->genomes, r->objectives, r->violation, &call.err);
    return nas_call_end(&call, rc, err);
}

/* Judges the smallest and the largest subnet, and tells a plugin that expects it. */
static int begin(search *s, const nas_instance *plugin, asking *r, nas_error *err) {
    const nas_space *space = &s->context->space;
    const nas_search_api *api = plugin->plugin->vtable;
    const nas_genome ends[2] = {nas_genome_smallest(space), nas_genome_largest(space)};
    nas_candidate smallest;
    if (!nas_problem_look(&s->problem, &ends[0], true, &smallest)) return failed(s, err);
    nas_problem_describe(&s->problem, &smallest, s->budget);
    r->n = nas_genome_equal(space, &ends[0], &ends[1]) ? 1 : 2;
    for (size_t i = 0; i < r->n; i++)
        memcpy(r->genomes + i * space->n_genes, ends[i].gene, space->n_genes * sizeof *r->genomes);
    int rc = judge(s, false, r, err);
    if (rc) return rc;
    nas_call call;
    nas_call_begin(&call, plugin, "start");
    rc = api->start(plugin->self, &s->problem.seen_by_plugin, &call.err);
    rc = nas_call_end(&call, rc, err);
    return rc || plugin->plugin->abi_minor < FIRST_TOLD ? rc : tell(plugin, r, err);
}

/* Says why fewer subnets than wanted were scored. */
static void tell_end(const search *s, bool exhausted, uint64_t misses) {
    const nas_log *log = s->context->request->log;
    if (exhausted)
        nas_log_line(
            log, NAS_INFO,
            "platform '%s': every subnet that meets its constraints was scored: the search "
            "ends after %llu of %llu evaluations",
            s->platform->name, (ull)s->scored, (ull)s->budget);
    else
        nas_log_line(log, NAS_INFO,
                     "platform '%s': '%s' found no new subnet that meets its constraints in %llu "
                     "proposals: the search ends after %llu of %llu evaluations",
                     s->platform->name, s->context->pipeline->search.id, (ull)misses,
                     (ull)s->scored, (ull)s->budget);
}

static int ask_and_tell(search *s, const nas_instance *plugin, asking *r, nas_error *err) {
    const nas_search_api *api = plugin->plugin->vtable;
    nas_call call;
    uint64_t budget = s->budget, asks = 0, misses = 0;
    bool exhausted = false;
    double start = nas_seconds(), costed = s->problem.cost_seconds;
    int rc = NAS_OK;
    s->last = start;
    while (!rc && !exhausted && s->scored < budget && asks < MOST_ASKS * budget &&
           misses < MOST_MISSES * budget) {
        uint64_t before = s->scored;
        size_t wanted = budget - s->scored < r->room ? (size_t)(budget - s->scored) : r->room;
        r->n = 0;
        nas_call_begin(&call, plugin, "ask");
        rc = api->ask(plugin->self, wanted, r->genomes, &r->n, &call.err);
        rc = nas_call_end(&call, rc, err);
        if (rc || !r->n) break;
        if (r->n > wanted)
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "plugin '%s' gives %zu genomes; expected at most %zu",
                            s->context->pipeline->search.id, r->n, wanted);
        asks += r->n;
        rc = s->problem.failure.code ? failed(s, err) : judge(s, true, r, err);
        if (!rc) rc = tell(plugin, r, err);
        misses = s->scored > before ? 0 : misses + r->n;
        exhausted = misses && s->asked && nas_problem_exhausted(&s->problem);
    }
    if (s->times) s->times->seconds = nas_seconds() - start;
    if (s->times) s->times->cost_seconds = s->problem.cost_seconds - costed;
    if (!rc && s->scored < budget) tell_end(s, exhausted, misses);
    return rc;
}

static int run_plugin(search *s, const nas_instance *plugin, nas_error *err) {
    size_t batch = (size_t)s->context->pipeline->search_config.batch;
    asking r = {.room = batch < 2 ? 2 : batch};
    r.genomes = nas_alloc(r.room, s->context->space.n_genes * sizeof *r.genomes);
    r.objectives = nas_alloc(r.room, (1 + NAS_MAX_LIMITS) * sizeof *r.objectives);
    r.violation = nas_alloc(r.room, sizeof *r.violation);
    int rc = r.genomes && r.objectives && r.violation
                 ? begin(s, plugin, &r, err)
                 : nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu candidates", r.room);
    r.room = batch;
    if (!rc) rc = ask_and_tell(s, plugin, &r, err);
    free(r.genomes);
    free(r.objectives);
    free(r.violation);
    return rc;
}

/* ---- One platform ---- */

static int search_platform(search *s, const nas_instance *plugin, nas_error *err) {
    char run[64];
    snprintf(run, sizeof run, NAS_EVENTS_SEARCH, s->platform->name);
    int rc = nas_events_open(s->base, run, 0, &s->events, err);
    return rc ? rc : run_plugin(s, plugin, err);
}

static const nas_candidate *best_of(const nas_memo *memo) {
    const nas_candidate *best = NULL;
    for (size_t i = 0; i < memo->n; i++) {
        const nas_candidate *item = &memo->items[i];
        if (item->asked && item->violation <= 0 && (!best || nas_candidate_better(item, best)))
            best = item;
    }
    return best;
}

/* Says so if the hardware model does not know all layers of what was chosen. */
static void warn_unknown(const search *s, const nas_candidate *chosen) {
    if (chosen->cost.known_share < 1)
        nas_log_line(
            s->context->request->log, NAS_WARNING,
            "platform '%s': '%s' knows %.0f %% of the chosen subnet's layers and guesses the "
            "others: its costs may be far off; measure it, or add samples of such layers",
            s->platform->name, s->platform->hardware.id, floor(100 * chosen->cost.known_share));
}

static int reuse(search *s, const char *path, nas_error *err) {
    int rc = nas_search_file_read(path, &s->context->space, &s->problem.known, err);
    if (!rc) rc = nas_scorer_learn(s->scorer, &s->problem.known, err);
    if (!rc && !best_of(&s->problem.known))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: expected a candidate that meets the constraints, found none; remove "
                        "the file to search again",
                        path);
    if (!rc && s->context->request->from < NAS_FROM_REPORT)
        nas_log_line(s->context->request->log, NAS_INFO,
                     "%s is there already: '%s' is not searched again", path, s->platform->name);
    return rc;
}

static search search_of(const nas_context *context, nas_scorer *scorer, size_t index,
                        uint64_t budget) {
    return (search){.scorer = scorer,
                    .context = context,
                    .platform = &context->pipeline->platforms[index],
                    .problem = nas_problem_open(context, index),
                    .budget = budget,
                    .best = NAN};
}

static int find_for(nas_context *context, nas_scorer *scorer, size_t index, nas_candidate *chosen,
                    nas_error *err) {
    const nas_pipeline *pipeline = context->pipeline;
    char path[NAS_RUNDIR_PATH], stage[64];
    search s = search_of(context, scorer, index, (uint64_t)pipeline->search_config.evaluations);
    snprintf(stage, sizeof stage, "search %s", s.platform->name);
    s.progress =
        nas_progress_open(context->request->log, stage, 0, s.budget, context->request->quiet);
    s.base = nas_staging_search(&context->staging, context->request->out, index);
    int rc = nas_rundir_search(s.base, s.platform->name, path, err);
    bool there = !rc && nas_file_exists(path);
    if (there) rc = reuse(&s, path, err);
    if (!rc && !there) rc = search_platform(&s, &context->search[index], err);
    /* The problem must outlive the plugin's instance. */
    nas_instance_destroy(&context->search[index]);
    nas_progress_clear(&s.progress);
    nas_events_close(&s.events);
    const nas_candidate *best = best_of(&s.problem.known);
    if (!rc && !best) rc = nas_problem_infeasible(&s.problem, err);
    if (!rc && !there) rc = nas_search_file_write(path, &context->space, &s.problem.known, err);
    if (!rc && best) *chosen = *best;
    if (!rc && best && context->request->from < NAS_FROM_REPORT) warn_unknown(&s, best);
    if (!rc && best && !there)
        nas_log_line(context->request->log, NAS_INFO,
                     "searched '%s': %zu candidates, best score %.4f", s.platform->name, s.asked,
                     best->score);
    nas_problem_free(&s.problem);
    return rc;
}

/* ---- The stage ---- */

int nas_search(nas_context *context, nas_evaluator *evaluator, nas_candidate *chosen,
               nas_error *err) {
    nas_scorer scorer = nas_scorer_open(evaluator);
    nas_error found = {0}, last = {0};
    int failed_with = nas_team_begin_search(context, err);
    if (failed_with) return failed_with;
    for (size_t i = 0; i < context->pipeline->n_platforms; i++) {
        int rc = find_for(context, &scorer, i, &chosen[i], &last);
        if (rc && failed_with == NAS_ERR_INFEASIBLE) /* the caller is told one error alone */
            nas_log_line(context->request->log, NAS_WARNING, "%s", found.message);
        if (rc) found = last;
        if (rc) failed_with = rc;
        if (rc && rc != NAS_ERR_INFEASIBLE) break;
    }
    nas_scorer_close(&scorer);
    return failed_with ? nas_fail(err, failed_with, "%s", found.message) : NAS_OK;
}

int nas_search_time(nas_context *context, nas_evaluator *evaluator, size_t evaluations,
                    nas_search_times *times, nas_error *err) {
    nas_scorer scorer = nas_scorer_open(evaluator);
    search s = search_of(context, &scorer, 0, evaluations);
    s.progress = nas_progress_open(context->request->log, "search", 0, evaluations, true);
    *times = (nas_search_times){.ms = times->ms};
    s.times = times;
    int rc = run_plugin(&s, &context->search[0], err);
    times->costs = s.problem.looked_at;
    if (!rc && !times->scored) rc = nas_problem_infeasible(&s.problem, err);
    nas_instance_destroy(&context->search[0]); /* as in find_for() */
    nas_scorer_close(&scorer);
    nas_problem_free(&s.problem);
    return rc;
}

int nas_search_check(const nas_context *context, nas_error *err) {
    const nas_pipeline *pipeline = context->pipeline;
    nas_genome smallest = nas_genome_smallest(&context->space);
    for (size_t i = 0; i < pipeline->n_platforms; i++) {
        const nas_platform *platform = &pipeline->platforms[i];
        const nas_instance *hardware = &context->hardware[i];
        if (context->request->dry_run && nas_instance_barred(hardware)) continue;
        nas_candidate candidate;
        nas_limit limits[NAS_MAX_LIMITS];
        nas_error inner = {0};
        int rc =
            nas_candidate_cost(&context->space, &smallest, &nas_guarded_hardware,
                               nas_guarded(hardware), &platform->constraints, &candidate, &inner);
        if (rc && rc != NAS_ERR_INFEASIBLE)
            return nas_fail(err, rc, "platform '%s': %.900s", platform->name, inner.message);
        size_t n = nas_candidate_limits(&platform->constraints, &candidate, limits);
        for (size_t l = 0; l < n; l++) {
            if (isnan(limits[l].cost))
                return nas_fail(err, NAS_ERR_INPUT,
                                "%s: platforms[%zu].constraints.%s: the hardware plugin '%s' does "
                                "not tell it; remove the constraint, or use another plugin",
                                pipeline->file, i, limits[l].name, platform->hardware.id);
            if (limits[l].cost > limits[l].limit)
                nas_log_line(context->request->log, NAS_WARNING,
                             "platform '%s': the smallest subnet has a %s of %.9g, but at most "
                             "%.9g is allowed: perhaps no subnet fits",
                             platform->name, limits[l].name, limits[l].cost, limits[l].limit);
        }
        const char *name;
        if (!nas_problem_tells(pipeline, &candidate, &name))
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: search.objectives: the hardware plugin '%s' of platform '%s' does "
                            "not tell %s; leave it out, or use another plugin",
                            pipeline->file, platform->hardware.id, platform->name, name);
        if (rc)
            nas_log_line(context->request->log, NAS_WARNING,
                         "platform '%s' refuses the smallest subnet: %s", platform->name,
                         inner.message);
    }
    return NAS_OK;
}
