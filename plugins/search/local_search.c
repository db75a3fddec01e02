/* Local search (White, Nolen and Savani, arXiv 2005.02960): look at every neighbour of a subnet,
 * which differ from it in one gene, move to the best of them, and start again from a random subnet
 * where none is better. */
#include <nashost/kit/strategy.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOVE_BEST = 0, MOVE_FIRST = 1 };
#define NOWHERE UINT64_MAX

typedef struct local_config {
    int64_t initial, tries;
    int move;
} local_config;

typedef struct local_search {
    nas_strategy base;
    local_config config;
    struct {
        uint64_t current; /* number of the genome whose neighbours are looked at; NOWHERE: none */
        uint64_t order;   /* where the random numbers that shuffle its neighbours begin */
        uint64_t first;   /* nowhere: the start will be one of the genomes from this number on */
    } own;
    /* The feasible neighbours of `around`, shuffled: a function of current and order. */
    uint64_t around;
    size_t n_around, next;
    uint16_t *neighbours; /* [sum of arity - 1][n_genes] */
    uint16_t *closest;    /* [n_genes]: scratch */
} local_search;

static const char *const moves[] = {"best", "first", NULL};

static const nas_option options[] = {
    NAS_ENUM(
        "move", local_config, move, "\"best\"", moves,
        "which neighbour the search moves to: best, the best one, once all are known; first, the "
        "first that is better"),
    NAS_INT("initial", local_config, initial, "10", 1, 1e6, "subnets",
            "number of random subnets before each start, which is made from the best of them; at "
            "most a "
            "tenth of the evaluations, or 4"),
    NAS_INT("tries", local_config, tries, "1000", 1, 1e9, "draws",
            "most draws for a random subnet until one meets the constraints; if none does, the one "
            "that "
            "comes closest is proposed, or a neighbour that comes closer"),
    {0},
};

static void forget(void *self) {
    local_search *me = self;
    me->around = NOWHERE;
    if (me->own.current >= me->base.known.n) me->own.current = NOWHERE;
    if (me->own.first > me->base.known.n) me->own.first = me->base.known.n;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    local_search *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "local_search: out of memory");
    me->config = *(const local_config *)config;
    me->own.current = me->around = NOWHERE;
    me->base = (nas_strategy){.id = "local_search",
                              .host = host,
                              .tries = (uint64_t)me->config.tries,
                              .version = 1,
                              .own = &me->own,
                              .own_bytes = sizeof me->own,
                              .loaded = forget};
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    local_search *me = self;
    if (!me) return;
    nas_strategy_finish(&me->base);
    free(me->neighbours);
    free(me->closest);
    free(me);
}

static int start(void *self, const nas_search_problem *problem, nas_error *err) {
    local_search *me = self;
    int rc = nas_strategy_start(&me->base, problem, problem->n_objectives, err);
    if (rc) return rc;
    size_t most = 1;
    for (uint32_t g = 0; g < problem->n_genes; g++) most += problem->arity[g];
    free(me->neighbours);
    free(me->closest);
    me->around = NOWHERE;
    me->neighbours = calloc(most, (problem->n_genes + 1) * sizeof *me->neighbours);
    me->closest = calloc(problem->n_genes + 1, sizeof *me->closest);
    return me->neighbours && me->closest
               ? NAS_OK
               : nas_fail(err, NAS_ERR_MEMORY, "local_search: out of memory");
}

/* ---- Neighbours ---- */

static uint16_t *neighbour_at(const local_search *me, size_t i) {
    return me->neighbours + i * me->base.known.n_genes;
}

static void swap(uint16_t *a, uint16_t *b, size_t n) {
    for (size_t g = 0; g < n; g++) {
        uint16_t one = a[g];
        a[g] = b[g];
        b[g] = one;
    }
}

/* Lists the feasible neighbours of current in their order, unless they are listed already. */
static void surround(local_search *me) {
    const nas_search_problem *problem = me->base.problem;
    if (me->around == me->own.current) return;
    const uint16_t *genes = nas_genomes_at(&me->base.known, (size_t)me->own.current);
    size_t n = 0;
    for (uint32_t g = 0; g < problem->n_genes; g++)
        for (uint16_t v = 0; v < problem->arity[g]; v++)
            if (nas_neighbour(problem, genes, g, v, neighbour_at(me, n)) &&
                nas_violation(&me->base, neighbour_at(me, n)) <= 0)
                n++;
    for (size_t i = n; i > 1; i--) { /* Fisher and Yates */
        uint64_t high = me->base.host->random(me->base.host, 1, me->own.order + i) >> 32;
        swap(neighbour_at(me, i - 1), neighbour_at(me, (size_t)(high * i >> 32)), problem->n_genes);
    }
    me->around = me->own.current;
    me->n_around = n;
    me->next = 0;
}

/* The next neighbour that is not known yet; NULL: none is left. */
static const uint16_t *unknown_neighbour(local_search *me) {
    for (surround(me); me->next < me->n_around; me->next++) {
        const uint16_t *genes = neighbour_at(me, me->next);
        if (nas_genomes_find(&me->base.known, genes) == NAS_NO_GENOME) return genes;
    }
    return NULL;
}

/* The best told neighbour that is better than current, or NAS_NO_GENOME; *waiting: current or a
 * neighbour was proposed, but not told. */
static size_t better_neighbour(local_search *me, bool *waiting) {
    const nas_genomes *known = &me->base.known;
    size_t current = (size_t)me->own.current, best = current;
    *waiting = !nas_genomes_is_told(known, current);
    if (*waiting) return NAS_NO_GENOME;
    surround(me);
    for (size_t i = 0; i < me->n_around; i++) {
        size_t number = nas_genomes_find(known, neighbour_at(me, i));
        if (number == NAS_NO_GENOME) continue;
        if (!nas_genomes_is_told(known, number))
            *waiting = true;
        else if (nas_genomes_better(known, number, best))
            best = number;
    }
    return best == current ? NAS_NO_GENOME : best;
}

static void move_to(local_search *me, size_t number) {
    me->own.current = number;
    me->own.order = me->base.drawn;
}

/* ---- Starts ---- */

/* Walks from a genome that breaks a constraint to the unknown neighbour that comes closest to
 * meeting them, as long as that is closer: that costs no evaluation. */
static void approach(local_search *me, uint16_t *genes) {
    const nas_search_problem *problem = me->base.problem;
    size_t bytes = problem->n_genes * sizeof *genes;
    double least = nas_violation(&me->base, genes), before = INFINITY;
    for (uint64_t step = 0; least > 0 && (!step || least < before) && step < me->base.tries;
         step++) {
        before = least;
        memcpy(me->closest, genes, bytes);
        for (uint32_t g = 0; g < problem->n_genes; g++)
            for (uint16_t v = 0; v < problem->arity[g]; v++) {
                if (!nas_neighbour(problem, me->closest, g, v, me->base.draft) ||
                    nas_genomes_find(&me->base.known, me->base.draft) != NAS_NO_GENOME)
                    continue;
                double violation = nas_violation(&me->base, me->base.draft);
                if (!(violation < least)) continue;
                least = violation;
                memcpy(genes, me->base.draft, bytes);
            }
    }
}

static int propose_random(local_search *me, uint16_t *genes, bool *found, nas_error *err) {
    *found = nas_propose(&me->base, nas_draw_genome, &me->base, genes);
    if (!*found) return NAS_OK;
    approach(me, genes);
    return nas_genomes_add(&me->base.known, genes, NULL, err);
}

/* ---- Ask and tell ---- */

/* Goes to the best of the random subnets, if all that are wanted were proposed and told. */
static void set_out(local_search *me, bool *waiting) {
    const nas_genomes *known = &me->base.known;
    size_t best = (size_t)me->own.first, from = best;
    *waiting = known->n - from >= nas_strategy_round(&me->base, me->config.initial, 10);
    if (!*waiting) return;
    for (size_t i = from; i < known->n; i++) {
        if (!nas_genomes_is_told(known, i)) return;
        if (nas_genomes_better(known, i, best)) best = i;
    }
    move_to(me, best);
}

/* Moves as far as what was told allows. *waiting: nothing more can be done without the results of
 * what was proposed, but where there is an unknown neighbour. */
static void move(local_search *me, bool *waiting) {
    *waiting = false;
    if (me->own.current == NOWHERE) set_out(me, waiting);
    while (me->own.current != NOWHERE) {
        size_t better = better_neighbour(me, waiting);
        bool all = !*waiting && !unknown_neighbour(me);
        if (better != NAS_NO_GENOME && (all || me->config.move == MOVE_FIRST)) {
            move_to(me, better);
        } else if (all) {
            me->own.current = NOWHERE;
            me->own.first = me->base.known.n;
        } else {
            return;
        }
    }
}

/* One more genome: a random one for a start, a neighbour of current, or, where there is nothing to
 * do but wait and none was proposed yet, a random one. */
static int propose_one(local_search *me, bool first, uint16_t *genes, bool *found, nas_error *err) {
    bool waiting;
    move(me, &waiting);
    bool nowhere = me->own.current == NOWHERE;
    const uint16_t *neighbour = nowhere ? NULL : unknown_neighbour(me);
    if (neighbour) {
        *found = true;
        memcpy(genes, neighbour, me->base.known.n_genes * sizeof *genes);
        return nas_genomes_add(&me->base.known, genes, NULL, err);
    }
    *found = false;
    return first || (nowhere && !waiting) ? propose_random(me, genes, found, err) : NAS_OK;
}

static int ask(void *self, size_t n, uint16_t *genomes, size_t *count, nas_error *err) {
    local_search *me = self;
    int rc = nas_strategy_ready(&me->base, count, err);
    while (*count < n && !rc) {
        bool found;
        rc = propose_one(me, !*count, genomes + *count * me->base.known.n_genes, &found, err);
        if (rc || !found) break;
        ++*count;
    }
    return rc;
}

static const nas_search_api api = {sizeof api, start, ask, nas_strategy_tell};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SEARCH,
    .id = "local_search",
    .version = "0.1.0",
    .summary = "moves to the best subnet that differs in one gene, and starts again where stuck",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2005.02960",
    .options = options,
    .config_size = sizeof(local_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = nas_strategy_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
