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
#include "stages/scorer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

enum {
    MOST_ASKS = 100,      /* for each evaluation */
    MOST_MISSES = 4,      /* the same, in a row without a new feasible subnet */
    MOST_CACHED = 1 << 17 /* genomes that were only looked at: 60 MB */
};

/* The search for one platform. */
typedef struct search {
    nas_scorer *scorer;
    const nas_context *context;
    const nas_platform *platform;
    const nas_instance *hardware;
    const char *base; /* the folder that the search's files are in */
    nas_search_problem problem;
    const char *gene_names[NAS_MAX_GENES];
    const char *objectives[2];
    nas_memo seen;                 /* genomes whose cost is known */
    size_t asked;                  /* of them, by the plugin or by the host */
    uint64_t looked_at;            /* costs that were asked for */
    double lowest[NAS_MAX_LIMITS]; /* cost of each constraint of the platform */
    uint64_t scored;
    double best;       /* score of a feasible one; NaN: none yet */
    nas_error refusal; /* the device's first reason for not running a subnet */
    nas_error failure; /* the first failure of the hardware plugin */
    uint64_t budget;   /* evaluations */
    nas_progress progress;
    nas_events events;       /* closed: none are written */
    nas_search_times *times; /* NULL: not asked for */
    double last;             /* end of the last evaluation, on nas_seconds' clock */
} search;

/* ---- The problem as search plugins see it ---- */

static void note(search *s, const nas_candidate *candidate) {
    nas_limit limits[NAS_MAX_LIMITS];
    size_t n = nas_candidate_limits(&s->platform->constraints, candidate, limits);
    for (size_t i = 0; i < n; i++)
        s->lowest[i] = s->looked_at ? fmin(s->lowest[i], limits[i].cost) : limits[i].cost;
    s->looked_at++;
}

/* Fills a candidate with its costs, from what is known if it is. keep: remember it at any rate.
 * A failure stays in s->failure. */
static bool look(search *s, const nas_genome *genome, bool keep, nas_candidate *candidate) {
    const nas_candidate *known = nas_memo_find(&s->seen, genome);
    if (known) {
        *candidate = *known;
        return true;
    }
    nas_error err = {0};
    double start = nas_seconds();
    int rc =
        nas_candidate_cost(&s->context->space, genome, &nas_guarded_hardware,
                           nas_guarded(s->hardware), &s->platform->constraints, candidate, &err);
    if (s->times) s->times->cost_seconds += nas_seconds() - start;
    if (rc == NAS_ERR_INFEASIBLE) {
        if (!s->refusal.code) s->refusal = err;
        rc = NAS_OK;
    }
    if (!rc) note(s, candidate);
    if (!rc && (keep || s->seen.n < MOST_CACHED)) rc = nas_memo_add(&s->seen, candidate, &err);
    if (rc && !s->failure.code) s->failure = err;
    return !rc;
}

static bool in_range(const nas_space *space, const uint16_t *genes) {
    for (uint32_t g = 0; g < space->n_genes; g++)
        if (genes[g] >= space->arity[g]) return false;
    return true;
}

static nas_genome genome_of(const nas_space *space, const uint16_t *genes) {
    nas_genome genome = {0};
    memcpy(genome.gene, genes, space->n_genes * sizeof *genes);
    nas_genome_canonical(space, &genome);
    return genome;
}

static void canonical(const nas_search_problem *problem, uint16_t *genes) {
    const search *s = problem->impl;
    const nas_space *space = &s->context->space;
    if (!in_range(space, genes)) return;
    nas_genome genome = genome_of(space, genes);
    memcpy(genes, genome.gene, space->n_genes * sizeof *genes);
}

static double violation(const nas_search_problem *problem, const uint16_t *genes) {
    search *s = problem->impl;
    if (!in_range(&s->context->space, genes)) return INFINITY;
    nas_genome genome = genome_of(&s->context->space, genes);
    nas_candidate candidate;
    return look(s, &genome, false, &candidate) ? candidate.violation : (double)INFINITY;
}

static void describe(search *s, bool latency) {
    const nas_space *space = &s->context->space;
    for (uint32_t g = 0; g < space->n_genes; g++) s->gene_names[g] = space->gene_names[g];
    s->objectives[0] = "1 - score";
    s->objectives[1] = "latency_ms";
    s->problem = (nas_search_problem){
        .size = sizeof s->problem,
        .n_genes = space->n_genes,
        .arity = space->arity,
        .gene_names = s->gene_names,
        .n_objectives = latency ? 2 : 1,
        .objective_names = s->objectives,
        .budget = s->budget,
        .impl = s,
        .canonical = canonical,
        .violation = violation,
    };
}

/* ---- Asking and telling ---- */

static int failed(const search *s, nas_error *err) {
    return nas_fail(err, s->failure.code, "platform '%s': %.900s", s->platform->name,
                    s->failure.message);
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

static int score(search *s, nas_candidate *candidate, nas_error *err) {
    double start = nas_seconds();
    int rc = nas_scorer_score(s->scorer, candidate, err);
    if (!s->times || rc) return rc;
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
    if (!look(s, genome, true, candidate)) return failed(s, err);
    if (candidate->asked) return NAS_OK;
    if (candidate->violation <= 0) {
        rc = score(s, candidate, err);
        if (rc) return rc;
        s->scored += counts;
        if (!(candidate->score <= s->best)) s->best = candidate->score;
        if (counts) rc = log_score(s, candidate->score, err);
        if (rc) return rc;
    }
    candidate->asked = ++s->asked;
    *nas_memo_find(&s->seen, genome) = *candidate;
    show(s);
    return NAS_OK;
}

/* What is asked for at once. */
typedef struct asking {
    size_t room, n;
    uint16_t *genomes;  /* [room][n_genes] */
    double *objectives; /* [room][n_objectives] */
    double *violation;  /* [room] */
} asking;

static int judge(search *s, asking *r, nas_error *err) {
    uint32_t n_genes = s->problem.n_genes, n_objectives = s->problem.n_objectives;
    for (size_t i = 0; i < r->n; i++) {
        const uint16_t *genes = r->genomes + i * n_genes;
        if (!in_range(&s->context->space, genes))
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "plugin '%s' asks for a genome with a gene beyond its arity",
                            s->context->pipeline->search.id);
        nas_genome genome = genome_of(&s->context->space, genes);
        nas_candidate candidate;
        int rc = consider(s, &genome, true, &candidate, err);
        if (rc) return rc;
        double *objectives = r->objectives + i * n_objectives;
        bool scored = candidate.violation <= 0;
        objectives[0] = scored ? 1 - candidate.score : (double)INFINITY;
        if (n_objectives > 1) objectives[1] = scored ? candidate.cost.latency_ms : (double)INFINITY;
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

static int ask_and_tell(search *s, const nas_instance *plugin, asking *r, nas_error *err) {
    const nas_search_api *api = plugin->plugin->vtable;
    uint64_t budget = s->problem.budget, asks = 0, misses = 0;
    nas_call call;
    nas_call_begin(&call, plugin, "start");
    int rc = nas_call_end(&call, api->start(plugin->self, &s->problem, &call.err), err);
    while (!rc && s->scored < budget && asks < MOST_ASKS * budget &&
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
        rc = s->failure.code ? failed(s, err) : judge(s, r, err);
        if (!rc) rc = tell(plugin, r, err);
        misses = s->scored > before ? 0 : misses + r->n;
    }
    return rc;
}

static int run_plugin(search *s, const nas_instance *plugin, nas_error *err) {
    asking r = {.room = (size_t)s->context->pipeline->search_config.batch};
    r.genomes = nas_alloc(r.room, s->problem.n_genes * sizeof *r.genomes);
    r.objectives = nas_alloc(r.room, s->problem.n_objectives * sizeof *r.objectives);
    r.violation = nas_alloc(r.room, sizeof *r.violation);
    int rc = r.genomes && r.objectives && r.violation
                 ? ask_and_tell(s, plugin, &r, err)
                 : nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu candidates", r.room);
    free(r.genomes);
    free(r.objectives);
    free(r.violation);
    return rc;
}

/* ---- One platform ---- */

/* Says what stands in the way: every constraint that no candidate met, with the lowest cost. */
static int infeasible(const search *s, nas_error *err) {
    char why[700] = "";
    nas_limit limits[NAS_MAX_LIMITS];
    size_t used = 0, n = nas_candidate_limits(&s->platform->constraints, s->seen.items, limits);
    for (size_t l = 0; l < n && used < sizeof why; l++)
        if (!(s->lowest[l] <= limits[l].limit))
            used +=
                (size_t)snprintf(why + used, sizeof why - used,
                                 "%s%s is to be at most %.9g, the lowest found is %.9g",
                                 used ? "; " : "", limits[l].name, limits[l].limit, s->lowest[l]);
    if (!used && s->refusal.code)
        snprintf(why, sizeof why, "the device refuses them (%.600s)", s->refusal.message);
    else if (!used)
        snprintf(why, sizeof why, "each constraint is met by some, but all by none");
    return nas_fail(
        err, NAS_ERR_INFEASIBLE,
        "platform '%s': none of %llu subnets that were looked at meets its constraints: "
        "%s; loosen them, or widen the space",
        s->platform->name, (ull)s->looked_at, why);
}

static int judge_extremes(search *s, nas_error *err) {
    const nas_space *space = &s->context->space;
    nas_genome extremes[2] = {nas_genome_smallest(space), nas_genome_largest(space)};
    nas_candidate candidate;
    int rc = NAS_OK;
    for (int i = 0; i < 2 && !rc; i++) {
        rc = consider(s, &extremes[i], false, &candidate, err);
        if (!rc && i == 0) describe(s, isfinite(candidate.cost.latency_ms));
    }
    return rc;
}

static int search_platform(search *s, const nas_instance *plugin, nas_error *err) {
    char run[64];
    snprintf(run, sizeof run, NAS_EVENTS_SEARCH, s->platform->name);
    int rc = nas_events_open(s->base, run, 0, &s->events, err);
    if (!rc) rc = judge_extremes(s, err);
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

static int reuse(search *s, const char *path, nas_error *err) {
    int rc = nas_search_file_read(path, &s->context->space, &s->seen, err);
    if (!rc) rc = nas_scorer_learn(s->scorer, &s->seen, err);
    if (!rc && !best_of(&s->seen))
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
                    .hardware = &context->hardware[index],
                    .seen = {.space = &context->space},
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
    const nas_candidate *best = best_of(&s.seen);
    if (!rc && !best) rc = infeasible(&s, err);
    if (!rc && !there) rc = nas_search_file_write(path, &context->space, &s.seen, err);
    if (!rc && best) *chosen = *best;
    if (!rc && best && !there)
        nas_log_line(context->request->log, NAS_INFO,
                     "searched '%s': %zu candidates, best score %.4f", s.platform->name, s.asked,
                     best->score);
    nas_memo_free(&s.seen);
    return rc;
}

/* ---- The stage ---- */

int nas_search(nas_context *context, nas_evaluator *evaluator, nas_candidate *chosen,
               nas_error *err) {
    nas_scorer scorer = nas_scorer_open(evaluator);
    nas_error found = {0}, last = {0};
    int failed_with = NAS_OK;
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
    int rc = judge_extremes(&s, err); /* the first score warms up, too */
    uint64_t before = s.looked_at;
    double start = nas_seconds();
    *times = (nas_search_times){.ms = times->ms};
    s.times = times;
    s.last = start;
    if (!rc) rc = run_plugin(&s, &context->search[0], err);
    times->seconds = nas_seconds() - start;
    times->costs = s.looked_at - before;
    if (!rc && !times->scored) rc = infeasible(&s, err);
    nas_instance_destroy(&context->search[0]); /* as in find_for() */
    nas_scorer_close(&scorer);
    nas_memo_free(&s.seen);
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
        if (rc)
            nas_log_line(context->request->log, NAS_WARNING,
                         "platform '%s' refuses the smallest subnet: %s", platform->name,
                         inner.message);
    }
    return NAS_OK;
}
