/* Uniform random search: distinct subnets, drawn until one meets the constraints. */
#include <nashost/search.h>
#include <nashost/state.h>

#include <math.h>
#include <stdlib.h>

typedef struct random_config {
    int64_t tries;
} random_config;

/* A set of canonical genomes, in the order in which they came. */
typedef struct genome_set {
    uint32_t n_genes;
    size_t n, room;
    uint16_t *genes; /* [room][n_genes] */
    size_t slots;    /* a power of two, more than twice n */
    size_t *table;   /* [slots], index + 1 of a genome; 0: free */
} genome_set;

typedef struct random_search {
    const nas_host *host;
    random_config config;
    const nas_search_problem *problem;
    uint64_t drawn;  /* random numbers used so far */
    genome_set seen; /* proposed or reported; n_genes is 0 until it is known */
} random_search;

static const nas_option options[] = {
    {"tries", NAS_TYPE_INT, "1000", offsetof(random_config, tries), 1, 1e9, "draws",
     "draws for each proposal; if none meets the constraints, the one that comes closest is "
     "proposed",
     NULL},
    {0},
};

/* FNV-1a. */
static uint64_t hash_genes(const uint16_t *genes, uint32_t n) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint32_t g = 0; g < n; g++) hash = (hash ^ genes[g]) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

/* The slot that holds the genome, or the free one where it belongs. */
static size_t *find_slot(const genome_set *set, const uint16_t *genes) {
    size_t bytes = set->n_genes * sizeof *genes;
    size_t slot = hash_genes(genes, set->n_genes) & (set->slots - 1);
    while (set->table[slot] &&
           memcmp(set->genes + (set->table[slot] - 1) * set->n_genes, genes, bytes) != 0) {
        slot = (slot + 1) & (set->slots - 1);
    }
    return &set->table[slot];
}

static void free_set(genome_set *set) {
    free(set->genes);
    free(set->table);
    *set = (genome_set){0};
}

static int grow_set(genome_set *set, nas_error *err) {
    size_t room = set->room ? 2 * set->room : 64;
    uint16_t *genes = realloc(set->genes, room * set->n_genes * sizeof *genes);
    if (genes) set->genes = genes;
    size_t *table = calloc(4 * room, sizeof *table);
    if (!genes || !table) {
        free(table);
        return nas_fail(err, NAS_ERR_MEMORY, "random: out of memory after %zu subnets", set->n);
    }
    free(set->table);
    set->table = table;
    set->room = room;
    set->slots = 4 * room;
    for (size_t i = 0; i < set->n; i++) *find_slot(set, set->genes + i * set->n_genes) = i + 1;
    return NAS_OK;
}

static int insert(genome_set *set, const uint16_t *genes, nas_error *err) {
    if (set->n == set->room) {
        int rc = grow_set(set, err);
        if (rc) return rc;
    }
    size_t *slot = find_slot(set, genes);
    if (*slot) return NAS_OK;
    memcpy(set->genes + set->n * set->n_genes, genes, set->n_genes * sizeof *genes);
    *slot = ++set->n;
    return NAS_OK;
}

static bool contains(const genome_set *set, const uint16_t *genes) {
    return set->slots && *find_slot(set, genes);
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    random_search *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "random: out of memory");
    me->host = host;
    me->config = *(const random_config *)config;
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    random_search *me = self;
    if (!me) return;
    free_set(&me->seen);
    free(me);
}

static int check_space(uint32_t saved, uint32_t expected, nas_error *err) {
    if (!saved || saved == expected) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "random: the saved state is of another space: expected genomes of %u genes, "
                    "found %u",
                    expected, saved);
}

/* The state may have been loaded before. */
static int start(void *self, const nas_search_problem *problem, nas_error *err) {
    random_search *me = self;
    if (!problem->n_genes) {
        return nas_fail(err, NAS_ERR_INPUT, "random: expected at least one gene, found none");
    }
    int rc = check_space(me->seen.n_genes, problem->n_genes, err);
    if (rc) return rc;
    me->seen.n_genes = problem->n_genes;
    me->problem = problem;
    return NAS_OK;
}

/* Uniform over the genes, hence over the active ones that canonical() keeps. */
static void draw(random_search *me, uint16_t *genes) {
    const nas_search_problem *problem = me->problem;
    for (uint32_t g = 0; g < problem->n_genes; g++) {
        uint64_t high = me->host->random(me->host, 0, me->drawn++) >> 32;
        genes[g] = (uint16_t)(high * problem->arity[g] >> 32);
    }
    problem->canonical(problem, genes);
}

/* Draws until a new genome meets the constraints; failing that, *found is the new one that came
 * closest. scratch [n_genes]. */
static void propose(random_search *me, uint16_t *genes, uint16_t *scratch, bool *found) {
    const nas_search_problem *problem = me->problem;
    double best = 0;
    *found = false;
    for (int64_t i = 0; i < me->config.tries; i++) {
        draw(me, scratch);
        if (contains(&me->seen, scratch)) continue;
        double violation = problem->violation(problem, scratch);
        if (isnan(violation)) violation = INFINITY;
        if (*found && !(violation < best)) continue;
        memcpy(genes, scratch, problem->n_genes * sizeof *genes);
        best = violation;
        *found = true;
        if (violation <= 0) return;
    }
}

static int ask(void *self, size_t n, uint16_t *genomes, size_t *count, nas_error *err) {
    random_search *me = self;
    *count = 0;
    if (!me->problem) return nas_fail(err, NAS_ERR_PLUGIN, "random: asked before it was started");
    uint32_t n_genes = me->problem->n_genes;
    uint16_t *scratch = malloc(n_genes * sizeof *scratch);
    if (!scratch) return nas_fail(err, NAS_ERR_MEMORY, "random: out of memory");
    int rc = NAS_OK;
    while (*count < n && !rc) {
        uint16_t *genes = genomes + *count * n_genes;
        bool found;
        propose(me, genes, scratch, &found);
        if (!found) break;
        rc = insert(&me->seen, genes, err);
        if (!rc) ++*count;
    }
    free(scratch);
    return rc;
}

/* Learns nothing but what not to propose again: the host may report subnets of its own. */
static int tell(void *self, size_t n, const uint16_t *genomes, const double *objectives,
                const double *violation, nas_error *err) {
    random_search *me = self;
    (void)objectives, (void)violation;
    int rc = NAS_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        rc = insert(&me->seen, genomes + i * me->seen.n_genes, err);
    }
    return rc;
}

/* State: header (lengths: genes in a genome, genomes), drawn, genomes. */
enum { STATE_VERSION = 1 };

static size_t genes_bytes(const genome_set *set) {
    return set->n * set->n_genes * sizeof *set->genes;
}

static size_t state_bytes(void *self) {
    const random_search *me = self;
    return sizeof(nas_state_header) + sizeof me->drawn + genes_bytes(&me->seen);
}

static int state_save(void *self, void *buffer, nas_error *err) {
    const random_search *me = self;
    (void)err;
    char *at = nas_state_put_header(buffer, "random", STATE_VERSION, me->seen.n_genes, me->seen.n);
    memcpy(at, &me->drawn, sizeof me->drawn);
    if (me->seen.n) memcpy(at + sizeof me->drawn, me->seen.genes, genes_bytes(&me->seen));
    return NAS_OK;
}

/* Reads count genomes of n_genes, which need not be aligned. */
static int read_set(genome_set *set, const char *at, size_t count, uint32_t n_genes,
                    nas_error *err) {
    uint16_t *genes = malloc(n_genes * sizeof *genes + 1);
    if (!genes) return nas_fail(err, NAS_ERR_MEMORY, "random: out of memory");
    *set = (genome_set){.n_genes = n_genes};
    int rc = NAS_OK;
    for (size_t i = 0; i < count && !rc; i++, at += n_genes * sizeof *genes) {
        memcpy(genes, at, n_genes * sizeof *genes);
        rc = insert(set, genes, err);
    }
    free(genes);
    if (rc) free_set(set);
    return rc;
}

static int state_load(void *self, const void *buffer, size_t bytes, nas_error *err) {
    random_search *me = self;
    nas_state_header header;
    int rc = nas_state_get_header(buffer, bytes, "random", STATE_VERSION, &header, err);
    if (rc) return rc;
    uint64_t n_genes = header.lengths[0], count = header.lengths[1];
    size_t fixed = sizeof header + sizeof me->drawn;
    if (n_genes > UINT32_MAX || (n_genes ? count > bytes / n_genes : count > 0)) {
        return nas_fail(err, NAS_ERR_INPUT,
                        "random: the saved state is damaged: its %zu bytes "
                        "cannot hold %llu genomes of %llu genes",
                        bytes, (unsigned long long)count, (unsigned long long)n_genes);
    }
    rc = nas_state_check_bytes(fixed + n_genes * count * sizeof(uint16_t), bytes, "random", err);
    if (!rc && me->problem) rc = check_space((uint32_t)n_genes, me->problem->n_genes, err);
    if (rc) return rc;
    genome_set set;
    rc = read_set(&set, (const char *)buffer + fixed, count, (uint32_t)n_genes, err);
    if (rc) return rc;
    memcpy(&me->drawn, (const char *)buffer + sizeof header, sizeof me->drawn);
    free_set(&me->seen);
    me->seen = set;
    if (me->problem) me->seen.n_genes = me->problem->n_genes;
    return NAS_OK;
}

static const void *extension(void *self, const char *id) {
    static const nas_state_api state = {sizeof state, state_bytes, state_save, state_load};
    (void)self;
    return strcmp(id, NAS_EXT_STATE) == 0 ? &state : NULL;
}

static const nas_search_api api = {sizeof api, start, ask, tell};

static const nas_plugin plugin = {
    .magic = NAS_MAGIC,
    .size = sizeof(nas_plugin),
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_SEARCH,
    .id = "random",
    .version = "0.1.0",
    .summary = "uniform random subnets that meet the constraints, none of them twice",
    .license = "Apache-2.0",
    .source = "Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012",
    .options = options,
    .option_size = sizeof(nas_option),
    .config_size = sizeof(random_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
