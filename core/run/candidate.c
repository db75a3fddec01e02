#include "run/candidate.h"

#include "base/json.h"
#include "space/lower.h"

#include <math.h>

/* A count as the plugins give it: UINT64_MAX is "not known". */
static double count(uint64_t value) {
    return value == UINT64_MAX ? (double)NAN : (double)value;
}

size_t nas_candidate_limits(const nas_constraints *constraints, const nas_candidate *candidate,
                            nas_limit *limits) {
    const nas_cost *cost = &candidate->cost;
    const nas_limit all[NAS_MAX_LIMITS] = {
        {"latency_ms", constraints->latency_ms, cost->latency_ms, false},
        {"energy_mj", constraints->energy_mj, cost->energy_mj, false},
        {"peak_bytes", (double)constraints->peak_bytes, count(cost->peak_bytes), true},
        {"flash_bytes", (double)constraints->flash_bytes, count(cost->flash_bytes), true},
        {"macs", (double)constraints->macs, (double)candidate->macs, true},
        {"params", (double)constraints->params, (double)candidate->params, true},
    };
    size_t n = 0;
    for (size_t i = 0; i < NAS_MAX_LIMITS; i++)
        if (all[i].limit > 0) limits[n++] = all[i];
    return n;
}

static double violation(const nas_constraints *constraints, const nas_candidate *candidate) {
    nas_limit limits[NAS_MAX_LIMITS];
    size_t n = nas_candidate_limits(constraints, candidate, limits);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(limits[i].cost)) return INFINITY;
        sum += fmax(0, limits[i].cost / limits[i].limit - 1);
    }
    return sum;
}

/* A cost that no device can have would meet every constraint. */
static int check_cost(const nas_cost *cost, nas_error *err) {
    const struct {
        const char *name;
        double value, most;
    } fields[] = {{"latency_ms", cost->latency_ms, HUGE_VAL},
                  {"energy_mj", cost->energy_mj, HUGE_VAL},
                  {"known_share", cost->known_share, 1 + 1e-6}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].value < 0 || isinf(fields[i].value) || fields[i].value > fields[i].most)
            return nas_fail(
                err, NAS_ERR_PLUGIN,
                "the hardware plugin gives %s %g; expected a number of at least 0%s, or "
                "NaN where it is not known",
                fields[i].name, fields[i].value, i == 2 ? " and at most 1" : " that is finite");
    return NAS_OK;
}

/* All but its costs, and the network. */
static int begin(const nas_space *space, const nas_genome *genome, nas_candidate *candidate,
                 nas_lowered **lowered, nas_error *err) {
    *candidate = (nas_candidate){.genome = *genome, .violation = INFINITY, .score = NAN};
    nas_genome_canonical(space, &candidate->genome);
    candidate->hash = nas_genome_hash(space, &candidate->genome);
    candidate->cost = (nas_cost){.size = sizeof(nas_cost),
                                 .latency_ms = NAN,
                                 .energy_mj = NAN,
                                 .peak_bytes = UINT64_MAX,
                                 .flash_bytes = UINT64_MAX,
                                 .known_share = NAN};
    int rc = nas_lower(space, &candidate->genome, lowered, err);
    if (rc) return rc;
    candidate->macs = (*lowered)->network.macs;
    candidate->params = (*lowered)->network.params;
    return NAS_OK;
}

int nas_candidate_unknown(const nas_space *space, const nas_genome *genome,
                          nas_candidate *candidate, nas_error *err) {
    nas_lowered *lowered = NULL;
    int rc = begin(space, genome, candidate, &lowered, err);
    nas_lowered_free(lowered);
    return rc;
}

int nas_candidate_cost(const nas_space *space, const nas_genome *genome,
                       const nas_hardware_api *hardware, void *self,
                       const nas_constraints *constraints, nas_candidate *candidate,
                       nas_error *err) {
    nas_lowered *lowered = NULL;
    int rc = begin(space, genome, candidate, &lowered, err);
    if (rc) return rc;
    rc = hardware->cost(self, &lowered->network, &candidate->cost, err);
    if (!rc || rc == NAS_ERR_INFEASIBLE) {
        int broke = check_cost(&candidate->cost, err);
        if (broke) rc = broke;
    }
    if (!rc || rc == NAS_ERR_INFEASIBLE) candidate->violation = violation(constraints, candidate);
    if (rc && candidate->violation <= 0) candidate->violation = INFINITY;
    nas_lowered_free(lowered);
    return rc;
}

bool nas_candidate_better(const nas_candidate *a, const nas_candidate *b) {
    bool a_fits = a->violation <= 0, b_fits = b->violation <= 0;
    if (a_fits != b_fits) return a_fits;
    if (a->score > b->score || (!isnan(a->score) && isnan(b->score))) return true;
    if (a->score < b->score || (isnan(a->score) && !isnan(b->score))) return false;
    if (a->cost.latency_ms < b->cost.latency_ms) return true;
    if (a->cost.latency_ms > b->cost.latency_ms) return false;
    return a->hash < b->hash;
}

/* ---- JSON ---- */

json_t *nas_constraints_json(const nas_constraints *constraints) {
    nas_limit limits[NAS_MAX_LIMITS];
    size_t n = nas_candidate_limits(constraints, &(nas_candidate){0}, limits);
    json_t *json = json_object();
    for (size_t i = 0; i < n; i++)
        nas_json_put(&json, limits[i].name,
                     limits[i].whole ? json_integer((json_int_t)limits[i].limit)
                                     : nas_number_json(limits[i].limit));
    return json;
}

json_t *nas_cost_json(const nas_cost *cost) {
    json_t *json = json_object();
    nas_json_put(&json, "latency_ms", nas_number_json(cost->latency_ms));
    nas_json_put(&json, "energy_mj", nas_number_json(cost->energy_mj));
    nas_json_put(&json, "peak_bytes", nas_count_json(cost->peak_bytes));
    nas_json_put(&json, "flash_bytes", nas_count_json(cost->flash_bytes));
    nas_json_put(&json, "known_share", nas_number_json(cost->known_share));
    return json;
}

json_t *nas_candidate_json(const nas_space *space, const nas_candidate *candidate) {
    json_t *json = json_object();
    nas_json_put(&json, "genome", nas_genome_to_json(space, &candidate->genome));
    nas_json_put(&json, "score", nas_number_json(candidate->score));
    nas_json_put(&json, "violation", nas_number_json(candidate->violation));
    nas_json_merge(&json, nas_cost_json(&candidate->cost));
    nas_json_put(&json, "macs", nas_count_json(candidate->macs));
    nas_json_put(&json, "params", nas_count_json(candidate->params));
    return json;
}

json_t *nas_chosen_json(const nas_space *space, const nas_platform *platform,
                        const nas_candidate *candidate) {
    json_t *json = json_object();
    nas_json_put(&json, "name", nas_text_json(platform->name));
    nas_json_put(&json, "genome", nas_genome_to_json(space, &candidate->genome));
    nas_json_put(&json, "score", nas_number_json(candidate->score));
    nas_json_put(&json, "constraints", nas_constraints_json(&platform->constraints));
    nas_json_put(&json, "predicted", nas_cost_json(&candidate->cost));
    nas_json_put(&json, "macs", nas_count_json(candidate->macs));
    nas_json_put(&json, "params", nas_count_json(candidate->params));
    return json;
}

/* A number or null; null gives `unknown`. */
static int read_number(const json_t *json, const char *where, const char *key, double unknown,
                       double *value, nas_error *err) {
    const json_t *item = json_object_get(json, key);
    *value = json_is_number(item) ? json_number_value(item) : unknown;
    if (json_is_number(item) || json_is_null(item)) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: %s: expected a number or null, found %s", where, key,
                    nas_json_kind(item));
}

static int read_count(const json_t *json, const char *where, const char *key, uint64_t *value,
                      nas_error *err) {
    const json_t *item = json_object_get(json, key);
    json_int_t number = json_integer_value(item);
    *value = json_is_integer(item) ? (uint64_t)number : UINT64_MAX;
    if ((json_is_integer(item) && number >= 0) || json_is_null(item)) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: %s: expected a count or null, found %s", where, key,
                    nas_json_kind(item));
}

int nas_candidate_read(const nas_space *space, const json_t *json, const char *where,
                       nas_candidate *candidate, nas_error *err) {
    *candidate = (nas_candidate){.cost.size = sizeof(nas_cost)};
    nas_cost *cost = &candidate->cost;
    const json_t *genome = json_object_get(json, "genome");
    int rc = nas_genome_from_json(space, genome, where, &candidate->genome, err);
    if (!rc) rc = read_number(json, where, "score", NAN, &candidate->score, err);
    if (!rc) rc = read_number(json, where, "violation", INFINITY, &candidate->violation, err);
    if (!rc) rc = read_number(json, where, "latency_ms", NAN, &cost->latency_ms, err);
    if (!rc) rc = read_number(json, where, "energy_mj", NAN, &cost->energy_mj, err);
    if (!rc) rc = read_count(json, where, "peak_bytes", &cost->peak_bytes, err);
    if (!rc) rc = read_count(json, where, "flash_bytes", &cost->flash_bytes, err);
    if (!rc) rc = read_number(json, where, "known_share", NAN, &cost->known_share, err);
    if (!rc) rc = read_count(json, where, "macs", &candidate->macs, err);
    if (!rc) rc = read_count(json, where, "params", &candidate->params, err);
    if (!rc) nas_genome_canonical(space, &candidate->genome);
    if (!rc) candidate->hash = nas_genome_hash(space, &candidate->genome);
    return rc;
}
