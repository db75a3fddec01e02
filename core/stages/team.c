#include "stages/team.h"

#include "base/json.h"
#include "base/memory.h"
#include "stages/fingerprint.h"
#include "stages/learner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What rank 0 orders. */
typedef struct order {
    enum { BEGIN, TRAIN, SEARCH, SCORE, END } what;
    int32_t rc; /* END: of the run */
    uint64_t n; /* SCORE: genomes */
} order;

static int give(nas_cluster *cluster, order what, nas_error *err) {
    return cluster ? nas_cluster_broadcast(cluster, &what, sizeof what, err) : NAS_OK;
}

/* ---- What all do alike ---- */

int nas_team_meet(const nas_context *context, const nas_run_request *request, int rc,
                  nas_error *err) {
    nas_cluster *cluster = request->cluster;
    char *mine = NULL, *first = NULL;
    if (!cluster) return rc;
    if (!rc) rc = nas_fingerprint_text(context, &mine, err);
    rc = nas_cluster_agree(cluster, rc, err);
    if (!rc && mine && !nas_cluster_rank(cluster)) first = strdup(mine);
    if (!rc) rc = nas_cluster_text(cluster, &first, err);
    if (!rc) rc = nas_cluster_agree(cluster, nas_fingerprint_compare(mine, first, err), err);
    free(mine);
    free(first);
    return rc;
}

/* The batch of evaluations decides bits. */
static int compare_batches(const nas_evaluator *evaluator, nas_cluster *cluster, nas_error *err) {
    uint32_t batch = evaluator->batch;
    int rc = nas_cluster_broadcast(cluster, &batch, sizeof batch, err);
    if (!rc && batch != evaluator->batch)
        rc = nas_fail(err, NAS_ERR_MEMORY,
                      "for want of memory %u images are evaluated at once here, on rank 0 %u; use "
                      "machines with as much memory, or fewer ranks on each",
                      evaluator->batch, batch);
    return nas_cluster_agree(cluster, rc, err);
}

int nas_team_ready(const nas_evaluator *evaluator, nas_cluster *cluster, int rc, nas_error *err) {
    rc = nas_cluster_agree(cluster, rc, err);
    return rc || !cluster ? rc : compare_batches(evaluator, cluster, err);
}

/* Rank 0's weights for all. */
static int share_weights(const nas_context *context, nas_error *err) {
    const nas_supernet *supernet = context->supernet;
    return nas_cluster_broadcast(nas_context_cluster(context), supernet->weights,
                                 supernet->size * sizeof *supernet->weights, err);
}

/* Each rank scores a part, of which no other knows until the end. */
static int score_part(nas_scorer *scorer, const nas_genome *genomes, size_t from, size_t to,
                      double *scores, nas_error *err) {
    const nas_space *space = &scorer->evaluator->context->space;
    int rc = NAS_OK;
    for (size_t i = from; i < to && !rc; i++) {
        nas_candidate candidate = {.genome = genomes[i],
                                   .hash = nas_genome_hash(space, &genomes[i])};
        rc = nas_scorer_score(scorer, &candidate, err);
        scores[i] = candidate.score;
    }
    return rc;
}

static int score_together(nas_scorer *scorer, nas_genome *genomes, size_t n, double *scores,
                          uint64_t *ends, nas_error *err) {
    nas_cluster *cluster = nas_context_cluster(scorer->evaluator->context);
    uint32_t rank = nas_cluster_rank(cluster), ranks = nas_cluster_ranks(cluster);
    for (uint32_t r = 0; r < ranks; r++) ends[r] = n * (r + 1) / ranks * sizeof *scores;
    int rc = nas_cluster_broadcast(cluster, genomes, n * sizeof *genomes, err);
    if (!rc)
        rc = score_part(scorer, genomes, n * rank / ranks, n * (rank + 1) / ranks, scores, err);
    rc = nas_cluster_agree(cluster, rc, err);
    return rc ? rc : nas_cluster_gather(cluster, scores, ends, err);
}

/* Room for the scores of n genomes, by all ranks, and the scoring. given: rank 0's genomes, else
 * NULL. keep: what is to become of the scores; NULL: nothing. */
static int score_all(nas_scorer *scorer, const nas_genome *given, size_t n,
                     int (*keep)(nas_scorer *, const nas_genome *, double, nas_error *),
                     nas_error *err) {
    nas_cluster *cluster = nas_context_cluster(scorer->evaluator->context);
    nas_genome *genomes = nas_alloc(n, sizeof *genomes);
    double *scores = nas_alloc(n, sizeof *scores);
    uint64_t *ends = nas_alloc(nas_cluster_ranks(cluster), sizeof *ends);
    bool good = genomes && scores && ends;
    int rc = good ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu candidates", n);
    if (good && given) memcpy(genomes, given, n * sizeof *genomes);
    rc = nas_cluster_agree(cluster, rc, err);
    if (!rc && good) rc = score_together(scorer, genomes, n, scores, ends, err);
    for (size_t i = 0; i < n && good && keep && !rc; i++)
        rc = keep(scorer, &genomes[i], scores[i], err);
    free(genomes);
    free(scores);
    free(ends);
    return rc;
}

/* ---- Rank 0 ---- */

static int share_split(const nas_context *context, nas_error *err) {
    nas_cluster *cluster = nas_context_cluster(context);
    char *text = NULL, *ended = NULL;
    size_t bytes = 0;
    int rc = nas_split_text(&context->split, &text, &bytes, err);
    if (!rc) ended = strndup(text, bytes);
    if (!rc && !ended) rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for a split");
    rc = nas_cluster_agree(cluster, rc, err);
    if (!rc) rc = nas_cluster_text(cluster, &ended, err);
    free(text);
    free(ended);
    return rc ? rc : nas_cluster_agree(cluster, NAS_OK, err);
}

int nas_team_begin(nas_context *context, nas_error *err) {
    nas_cluster *cluster = nas_context_cluster(context);
    if (!cluster) return NAS_OK;
    int rc = give(cluster, (order){.what = BEGIN}, err);
    return rc ? rc : share_split(context, err);
}

int nas_team_begin_training(const nas_context *context, nas_error *err) {
    return give(nas_context_cluster(context), (order){.what = TRAIN}, err);
}

int nas_team_begin_search(const nas_context *context, nas_error *err) {
    nas_cluster *cluster = nas_context_cluster(context);
    int rc = give(cluster, (order){.what = SEARCH}, err);
    return rc || !cluster ? rc : share_weights(context, err);
}

static int keep_score(nas_scorer *scorer, const nas_genome *genome, double score, nas_error *err) {
    nas_candidate candidate = {
        .genome = *genome, .hash = nas_genome_hash(scorer->known.space, genome), .score = score};
    return nas_memo_find(&scorer->known, genome) ? NAS_OK
                                                 : nas_memo_add(&scorer->known, &candidate, err);
}

int nas_team_score(nas_scorer *scorer, const nas_genome *genomes, size_t n, nas_error *err) {
    nas_cluster *cluster = nas_context_cluster(scorer->evaluator->context);
    if (!cluster || !n) return NAS_OK;
    int rc = give(cluster, (order){.what = SCORE, .n = n}, err);
    return rc ? rc : score_all(scorer, genomes, n, keep_score, err);
}

int nas_team_dismiss(nas_cluster *cluster, int rc, nas_error *err) {
    nas_error why = {0};
    if (!cluster || (rc && nas_cluster_told(cluster, rc))) return rc;
    int broken = give(cluster, (order){.what = END, .rc = rc}, &why);
    if (!broken) nas_cluster_tell(cluster);
    if (broken && !rc) *err = why;
    return rc ? rc : broken;
}

/* ---- The others ---- */

static int receive_split(nas_context *context, nas_error *err) {
    nas_cluster *cluster = nas_context_cluster(context);
    char *text = NULL;
    json_t *root = NULL;
    int rc = nas_cluster_agree(cluster, NAS_OK, err);
    if (!rc) rc = nas_cluster_text(cluster, &text, err);
    if (rc) return rc;
    rc = nas_json_parse(text, strlen(text), 0, "rank 0's split", &root, err);
    if (!rc)
        rc = nas_split_read("rank 0's split", root, context->source.train.n,
                            context->source.extra.n, &context->split, err);
    json_decref(root);
    free(text);
    return nas_cluster_agree(cluster, rc, err);
}

static int begin(nas_context *context, nas_evaluator *evaluator, nas_scorer *scorer,
                 nas_error *err) {
    int rc = receive_split(context, err);
    if (rc) return rc;
    rc = nas_evaluator_open(context, evaluator, err);
    if (!rc) rc = nas_scorer_check(evaluator, err);
    if (!rc) *scorer = nas_scorer_open(evaluator);
    return nas_team_ready(evaluator, nas_context_cluster(context), rc, err);
}

/* Rank 0 leaves before the last step by what it says where all come together before a step. */
static int train(const nas_context *context, nas_error *err) {
    uint64_t steps = (uint64_t)context->pipeline->train.steps;
    nas_cluster *cluster = nas_context_cluster(context);
    nas_learner *learner = nas_alloc(1, sizeof *learner);
    int rc = learner ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for training");
    rc = nas_cluster_agree(cluster, rc, err);
    if (rc || !learner) {
        free(learner);
        return rc;
    }
    rc = nas_learner_open(context, NULL, learner, err);
    while (!rc && learner->state.step < steps) {
        rc = nas_learner_step(learner, err);
        /* What all ranks compute alike fails on all of them alike. */
        if (rc && !nas_cluster_told(cluster, rc)) rc = nas_cluster_agree(cluster, rc, err);
        learner->state.metrics = (nas_metrics){0};
    }
    nas_learner_close(learner);
    free(learner);
    return rc;
}

static int obey(nas_context *context, order what, nas_evaluator *evaluator, nas_scorer *scorer,
                nas_error *err) {
    switch (what.what) {
    case BEGIN:
        return begin(context, evaluator, scorer, err);
    case TRAIN:
        return train(context, err);
    case SEARCH:
        evaluator->ready = false; /* its statistics are of other weights */
        return share_weights(context, err);
    case SCORE:
        if (!scorer->evaluator) break; /* rank 0 begins before */
        return score_all(scorer, NULL, what.n, NULL, err);
    case END:
        break;
    }
    return NAS_OK;
}

int nas_team_follow(nas_context *context, nas_error *err) {
    nas_cluster *cluster = nas_context_cluster(context);
    nas_evaluator evaluator = {0};
    nas_scorer scorer = {0};
    order what = {.what = BEGIN};
    int rc = NAS_OK;
    while (!rc && what.what != END) {
        rc = nas_cluster_broadcast(cluster, &what, sizeof what, err);
        if (!rc) rc = obey(context, what, &evaluator, &scorer, err);
    }
    if (!rc && what.rc) rc = nas_fail(err, what.rc, "the run failed on rank 0");
    if (what.what == END) nas_cluster_tell(cluster);
    nas_scorer_close(&scorer);
    nas_evaluator_close(&evaluator);
    return rc;
}
