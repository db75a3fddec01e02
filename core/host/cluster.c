#include "host/cluster.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* What a rank says of itself when all come together. */
typedef struct word {
    int32_t rc, stop;
} word;

struct nas_cluster {
    nas_instance instance;
    const nas_cluster_api *api;
    uint32_t rank, ranks;
    const volatile sig_atomic_t *stop;
    bool stopped, told;
    nas_error lost; /* code 0: every exchange has worked */
    nas_traffic traffic[NAS_EXCHANGES];
    word *words;    /* [ranks] */
    uint64_t *ends; /* [ranks] of the words */
};

/* ---- Opening ---- */

static bool above_one(const char *name) {
    const char *value = getenv(name);
    return value && strtol(value, NULL, 10) > 1;
}

/* Whether a launcher says that it started several processes. Slurm tells its number of tasks to the
 * script of a batch job, too, which is one process: it is no step. */
static bool several(void) {
    return above_one("OMPI_COMM_WORLD_SIZE") || above_one("PMI_SIZE") ||
           (above_one("SLURM_NTASKS") && getenv("SLURM_STEP_ID"));
}

/* PMIx tells no size, so the plugin does. */
static bool launched(void) {
    return several() || getenv("PMIX_RANK");
}

uint32_t nas_cluster_launched(bool *more) {
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK",
                                        "SLURM_PROCID"};
    if (more) *more = several();
    for (size_t i = 0; i < sizeof names / sizeof *names && launched(); i++) {
        const char *value = getenv(names[i]);
        if (value) return (uint32_t)strtoul(value, NULL, 10);
    }
    return 0;
}

static int only_id(const nas_registry *registry, const char **id, nas_error *err) {
    *id = NULL;
    for (size_t i = 0; i < nas_registry_count(registry); i++) {
        const nas_manifest_entry *entry = nas_registry_entry(registry, i);
        if (entry->kind != NAS_KIND_CLUSTER) continue;
        if (*id)
            return nas_fail(err, NAS_ERR_INPUT,
                            "started as one of several processes, and there are several cluster "
                            "plugins, \"%s\" and \"%s\"; choose one with --cluster",
                            *id, entry->id);
        *id = entry->id;
    }
    if (*id) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "started as one of several processes, but no manifest has a cluster plugin: "
                    "build with MPI (docs/cluster.md), or unset what the launcher set");
}

static int fill(nas_cluster *c, nas_error *err) {
    c->api = c->instance.plugin->vtable;
    c->rank = c->api->rank(c->instance.self);
    c->ranks = c->api->ranks(c->instance.self);
    if (!c->ranks || c->rank >= c->ranks)
        return nas_fail(err, NAS_ERR_PLUGIN, "plugin '%s' says that this is rank %u of %u",
                        c->instance.plugin->id, c->rank, c->ranks);
    c->words = nas_alloc(c->ranks, sizeof *c->words);
    c->ends = nas_alloc(c->ranks, sizeof *c->ends);
    if (!c->words || !c->ends)
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %u ranks", c->ranks);
    for (uint32_t r = 0; r < c->ranks; r++) c->ends[r] = (r + 1) * sizeof *c->words;
    return NAS_OK;
}

int nas_cluster_open(nas_registry *registry, const char *id, const volatile sig_atomic_t *stop,
                     nas_cluster **cluster, nas_error *err) {
    const nas_place place = {"--cluster", "", "."};
    *cluster = NULL;
    if (!id && !launched()) return NAS_OK;
    int rc = id ? NAS_OK : only_id(registry, &id, err);
    if (rc) return rc;
    nas_cluster *c = nas_alloc(1, sizeof *c);
    if (!c) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a cluster");
    c->stop = stop;
    rc = nas_instance_create(registry, NAS_KIND_CLUSTER, id, NULL, &place, &c->instance, err);
    if (!rc) rc = fill(c, err);
    if (rc || c->ranks == 1)
        nas_cluster_close(c);
    else
        *cluster = c;
    return rc;
}

void nas_cluster_close(nas_cluster *c) {
    if (!c) return;
    nas_instance_destroy(&c->instance);
    free(c->words);
    free(c->ends);
    free(c);
}

uint32_t nas_cluster_rank(const nas_cluster *c) {
    return c ? c->rank : 0;
}

uint32_t nas_cluster_ranks(const nas_cluster *c) {
    return c ? c->ranks : 1;
}

/* ---- Exchanges: many in each step, so the process is not looked at around each ---- */

static int finish(nas_cluster *c, int status, nas_error *why, nas_error *err) {
    if (!status) return NAS_OK;
    why->message[sizeof why->message - 1] = 0;
    nas_fail(&c->lost, NAS_ERR_IO, "%s%.900s", why->message[0] ? "" : "an exchange failed",
             why->message);
    *err = c->lost;
    return NAS_ERR_IO;
}

static int lost(const nas_cluster *c, nas_error *err) {
    if (c->lost.code) *err = c->lost;
    return c->lost.code;
}

/* Counts an exchange of that kind, which began at `start`. */
static void count(nas_cluster *c, nas_exchange kind, uint64_t exchanges, uint64_t bytes,
                  double start) {
    nas_traffic *t = &c->traffic[kind];
    t->exchanges += exchanges;
    t->bytes += bytes;
    t->seconds += nas_seconds() - start;
}

/* The others' bytes. */
static uint64_t foreign(const nas_cluster *c, const uint64_t *ends) {
    return ends[c->ranks - 1] - (ends[c->rank] - (c->rank ? ends[c->rank - 1] : 0));
}

static int broadcast(nas_cluster *c, uint32_t root, void *data, uint64_t bytes, nas_error *err) {
    nas_error why = {0};
    int rc = lost(c, err);
    if (rc || !bytes) return rc;
    double start = nas_seconds();
    rc = c->api->broadcast(c->instance.self, root, data, bytes, &why);
    count(c, NAS_EXCHANGE_BROADCAST, 1, bytes, start);
    return finish(c, rc, &why, err);
}

static int gather(nas_cluster *c, nas_exchange kind, void *data, const uint64_t *ends,
                  nas_error *err) {
    nas_error why = {0};
    int rc = lost(c, err);
    if (rc) return rc;
    double start = nas_seconds();
    rc = c->api->gather(c->instance.self, data, ends, &why);
    count(c, kind, 1, foreign(c, ends), start);
    return finish(c, rc, &why, err);
}

int nas_cluster_broadcast(nas_cluster *c, void *data, uint64_t bytes, nas_error *err) {
    return broadcast(c, 0, data, bytes, err);
}

int nas_cluster_gather(nas_cluster *c, void *data, const uint64_t *ends, nas_error *err) {
    return gather(c, NAS_EXCHANGE_GATHER, data, ends, err);
}

static bool goes_on_beside(const nas_cluster *c) {
    const nas_cluster_api *api = c->api;
    return NAS_HAS(api, end) && api->begin && api->end;
}

int nas_cluster_begin(nas_cluster *c, void *data, const uint64_t *ends, nas_error *err) {
    nas_error why = {0};
    if (!goes_on_beside(c)) return gather(c, NAS_EXCHANGE_BESIDE, data, ends, err);
    int rc = lost(c, err);
    if (rc) return rc;
    double start = nas_seconds();
    rc = c->api->begin(c->instance.self, data, ends, &why);
    count(c, NAS_EXCHANGE_BESIDE, 1, foreign(c, ends), start);
    return finish(c, rc, &why, err);
}

int nas_cluster_end(nas_cluster *c, nas_error *err) {
    nas_error why = {0};
    int rc = lost(c, err);
    if (rc || !goes_on_beside(c)) return rc;
    double start = nas_seconds();
    rc = c->api->end(c->instance.self, &why);
    count(c, NAS_EXCHANGE_BESIDE, 0, 0, start);
    return finish(c, rc, &why, err);
}

nas_traffic nas_cluster_traffic(const nas_cluster *c, nas_exchange kind) {
    return c ? c->traffic[kind] : (nas_traffic){0};
}

int nas_cluster_text(nas_cluster *c, char **text, nas_error *err) {
    uint64_t bytes = *text ? strlen(*text) + 1 : 0;
    int rc = nas_cluster_broadcast(c, &bytes, sizeof bytes, err);
    if (!rc && c->rank) *text = nas_alloc(bytes, 1);
    if (!rc && !*text)
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for %llu bytes",
                      (unsigned long long)bytes);
    rc = nas_cluster_agree(c, rc, err);
    return rc ? rc : nas_cluster_broadcast(c, *text, bytes, err);
}

/* ---- Coming together ---- */

/* The first rank where something failed, or how many there are. */
static uint32_t note(nas_cluster *c) {
    uint32_t failed = c->ranks;
    for (uint32_t r = c->ranks; r-- > 0;) {
        if (c->words[r].rc) failed = r;
        c->stopped = c->stopped || c->words[r].stop;
    }
    return failed;
}

/* What failed on a rank, for all. */
static int tell_failure(nas_cluster *c, uint32_t failed, nas_error *err) {
    nas_error told = failed == c->rank ? *err : (nas_error){0};
    nas_error why = {0};
    int code = c->words[failed].rc;
    int rc = broadcast(c, failed, &told, sizeof told, &why);
    if (rc) {
        *err = why;
        return rc;
    }
    c->told = true;
    if (!failed) return nas_fail(err, code, "%s", told.message);
    return nas_fail(err, code, "rank %u: %.1000s", failed, told.message);
}

int nas_cluster_agree(nas_cluster *c, int rc, nas_error *err) {
    if (!c) return rc;
    nas_error why = {0};
    c->words[c->rank] = (word){rc, c->stop && *c->stop};
    int broken = gather(c, NAS_EXCHANGE_AGREE, c->words, c->ends, &why);
    if (broken) {
        *err = why;
        return broken;
    }
    uint32_t failed = note(c);
    return failed == c->ranks ? NAS_OK : tell_failure(c, failed, err);
}

bool nas_cluster_stopped(const nas_cluster *c) {
    return c && c->stopped;
}

/* ---- The end ---- */

bool nas_cluster_told(const nas_cluster *c, int rc) {
    return !c || !rc || (c->told && !c->lost.code);
}

void nas_cluster_tell(nas_cluster *c) {
    c->told = true;
}

void nas_cluster_abandon(nas_cluster *c, int status) {
    c->api->abandon(c->instance.self, status);
}
