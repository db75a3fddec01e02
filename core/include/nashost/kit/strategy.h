/* nashost plugin kit: what search strategies share: random draws that a checkpoint can resume,
 * proposals that are new and meet the constraints, and the part of the state that all of them have.
 * A strategy may do without it. Every function here: [main]. */
#ifndef NASHOST_KIT_STRATEGY_H
#define NASHOST_KIT_STRATEGY_H

#include <nashost/kit/genomes.h>

/* The first member of a strategy's instance. create() fills it up to loaded. */
typedef struct nas_strategy {
    const char *id; /* the plugin's, for messages */
    const nas_host *host;
    uint64_t tries;          /* draws for one proposal, at least 1 */
    uint32_t version;        /* of the state */
    void *own;               /* what else a state keeps; NULL: nothing */
    size_t own_bytes;        /* its size, always the same */
    void (*loaded)(void *s); /* a state was loaded: forget what was derived from an older one; or
                                NULL */
    const nas_search_problem *problem; /* NULL until started */
    uint64_t drawn;                    /* random numbers used so far */
    nas_genomes known;                 /* what was proposed or told */
    uint16_t *draft, *origin, *probe;  /* [n_genes] each: scratch of the functions below */
} nas_strategy;

/* Writes a genome, which need not be canonical, new or feasible. */
typedef void (*nas_make)(void *self, uint16_t *genes);

/* Frees what it holds, not itself; one that was never started is fine. */
void nas_strategy_finish(nas_strategy *s);

/* Called by start(); the state may have been loaded before. n_objectives: how many of the problem's
 * the strategy looks at. */
int nas_strategy_start(nas_strategy *s, const nas_search_problem *problem, uint32_t n_objectives,
                       nas_error *err);

/* Refuses to be asked before the start. */
int nas_strategy_ready(const nas_strategy *s, size_t *count, nas_error *err);

/* How many genomes to spend on one round, such as a population: as many as wanted, but at most one
 * in `rounds` of the evaluations that will be paid for, so that a short search has as many rounds;
 * at least 4, if that many are wanted. */
size_t nas_strategy_round(const nas_strategy *s, int64_t wanted, uint64_t rounds);

/* ---- Random numbers ---- */

/* Uniform in 0 .. n - 1, n > 0. */
uint32_t nas_draw_below(nas_strategy *s, uint32_t n);

/* Uniform in [0, 1). */
double nas_draw_unit(nas_strategy *s);

/* Uniform over the genes, hence over the active ones that canonical() keeps. A nas_make whose self
 * is a nas_strategy. */
void nas_draw_genome(void *self, uint16_t *genes);

/* ---- Genes ---- */

/* Sets gene g of a canonical genome to value and the result, in canonical form, into out. False if
 * it is the same subnet. */
bool nas_neighbour(const nas_search_problem *problem, const uint16_t *genes, uint32_t g,
                   uint16_t value, uint16_t *out);

/* True if gene g of a canonical genome makes a difference: it is active, and has a choice. */
bool nas_gene_matters(nas_strategy *s, const uint16_t *genes, uint32_t g);

/* Changes a canonical genome: each active gene with the given probability, or, if that is 0, one
 * active gene; each to another value, uniformly. Inactive genes stay 0, so that a block that is
 * switched on is the smallest and the step a short one. The result is not canonical. */
void nas_mutate(nas_strategy *s, double probability, uint16_t *genes);

/* ---- Proposals ---- */

/* The violation of a genome; what is no number counts as infinite. */
double nas_violation(const nas_strategy *s, const uint16_t *genes);

/* Calls make until it gives a new genome that meets the constraints, at most tries times; failing
 * that, genes is the new one that came closest. False: none was new. */
bool nas_propose(nas_strategy *s, nas_make make, void *self, uint16_t *genes);

/* Proposes a genome of make or, if it gives nothing new, a random one, and notes it as known.
 * *found is false if neither gave a new one. */
int nas_strategy_add(nas_strategy *s, nas_make make, void *self, uint16_t *genes, bool *found,
                     nas_error *err);

/* Proposes up to n genomes of make, as ask() does. */
int nas_strategy_fill(nas_strategy *s, nas_make make, void *self, size_t n, uint16_t *genomes,
                      size_t *count, nas_error *err);

/* A tell(): records n results; the host may report subnets of its own. */
int nas_strategy_tell(void *self, size_t n, const uint16_t *genomes, const double *objectives,
                      const double *violation, nas_error *err);

/* The log of the improvement on best to be expected of a normal value that is minimised, deviation
 * > 0: log of deviation (phi(u) + u Phi(u)), u = (best - mean) / deviation (Jones, Schonlau and
 * Welch, 1998; the logarithm as in arXiv 2310.20708: the improvement itself is 0 in floating point
 * over most of a space). Far below the best by the series of Mills' ratio. */
double nas_log_improvement(double best, double mean, double deviation);

/* ---- State: the genomes, drawn, own ---- */

/* An extension() that offers the state. */
const void *nas_strategy_extension(void *self, const char *id);

#endif
