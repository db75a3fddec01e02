/* Runs a search plugin on a table of subnets that were judged before:
 *     search TABLE SPACE REQUEST
 * TABLE is what table.c wrote (gzipped or not), SPACE the space of its subnets. REQUEST is
 *     {"plugin": ID, "options": {...}, "costs": [COLUMN, ...], "limit": NUMBER or null,
 *      "objectives": N, "evaluations": N, "batch": N, "seeds": N}
 * The plugin is told what the host would tell it: the objectives 1 - agreement and the costs, of
 * which it is to trade the first N, and how far the first cost is beyond the limit. For each seed,
 * from 1, a JSON array is printed: the rows of the table in the order in which they were judged,
 * the smallest and the largest subnet first, without those beyond the limit, which cost the host no
 * evaluation. */
#include "base/json.h"
#include "cli/cli.h"
#include "space/genome.h"

#include <math.h>
#include <nashost/kit/genomes.h>
#include <string.h>
#include <zlib.h>

enum { MOST_COSTS = 6 };

typedef struct bench {
    nas_space space;
    nas_genomes table; /* objectives: 1 - agreement, costs */
    const char *objectives[1 + MOST_COSTS];
    size_t column[1 + MOST_COSTS];
    const char *gene_names[NAS_MAX_GENES];
    nas_search_problem problem;
    nas_genomes asked; /* by the seed that runs */
} bench;

/* ---- The table ---- */

static size_t column_of(const json_t *names, const char *name) {
    size_t i = 0;
    while (i < json_array_size(names) &&
           strcmp(json_string_value(json_array_get(names, i)), name) != 0)
        i++;
    return i;
}

static int add_row(bench *b, const json_t *row, nas_error *err) {
    uint16_t genes[NAS_MAX_GENES];
    double objectives[1 + MOST_COSTS];
    size_t number;
    for (uint32_t g = 0; g < b->space.n_genes; g++)
        genes[g] = (uint16_t)json_integer_value(json_array_get(row, g));
    int rc = nas_genomes_add(&b->table, genes, &number, err);
    for (uint32_t m = 0; m < b->table.n_objectives; m++)
        objectives[m] = json_number_value(json_array_get(row, b->column[m]));
    objectives[0] = 1 - objectives[0];
    if (!rc) nas_genomes_tell(&b->table, number, objectives, 0);
    return rc;
}

static int find_columns(bench *b, const json_t *names, const char *path, nas_error *err) {
    for (uint32_t m = 0; m < b->table.n_objectives; m++) {
        const char *name = m ? b->objectives[m] : "agreement";
        b->column[m] = column_of(names, name);
        if (b->column[m] >= json_array_size(names))
            return nas_fail(err, NAS_ERR_INPUT, "%s: expected a column %s", path, name);
    }
    return NAS_OK;
}

static int read_lines(bench *b, gzFile file, const char *path, nas_error *err) {
    char line[4096];
    int rc = NAS_OK;
    for (size_t n = 0; !rc && gzgets(file, line, sizeof line); n++) {
        json_t *row = json_loads(line, 0, NULL);
        if (!json_is_array(row))
            rc = nas_fail(err, NAS_ERR_INPUT, "%s: line %zu: expected an array", path, n + 1);
        else
            rc = n ? add_row(b, row, err) : find_columns(b, row, path, err);
        json_decref(row);
    }
    if (!rc && (double)b->table.n != nas_space_size(&b->space))
        rc = nas_fail(err, NAS_ERR_INPUT, "%s: expected %.0f subnets, found %zu", path,
                      nas_space_size(&b->space), b->table.n);
    return rc;
}

static int read_table(bench *b, const char *path, const json_t *costs, nas_error *err) {
    size_t i;
    json_t *name;
    b->table.n_genes = b->space.n_genes;
    b->objectives[b->table.n_objectives++] = "1 - score";
    json_array_foreach(costs, i, name) {
        if (i < MOST_COSTS) b->objectives[b->table.n_objectives++] = json_string_value(name);
    }
    gzFile file = gzopen(path, "rb");
    if (!file) return nas_fail(err, NAS_ERR_IO, "%s: cannot be read", path);
    int rc = read_lines(b, file, path, err);
    gzclose(file);
    return rc;
}

/* ---- The problem ---- */

static void canonical(const nas_search_problem *problem, uint16_t *genes) {
    const bench *b = problem->impl;
    nas_genome genome = {0};
    memcpy(genome.gene, genes, b->space.n_genes * sizeof *genes);
    nas_genome_canonical(&b->space, &genome);
    memcpy(genes, genome.gene, b->space.n_genes * sizeof *genes);
}

/* The table's row of a genome, in canonical form or not. */
static size_t row_of(const bench *b, const uint16_t *genes) {
    uint16_t copy[NAS_MAX_GENES];
    memcpy(copy, genes, b->space.n_genes * sizeof *genes);
    canonical(&b->problem, copy);
    return nas_genomes_find(&b->table, copy);
}

static double limit_of(const json_t *request) {
    const json_t *limit = json_object_get(request, "limit");
    return json_is_number(limit) ? json_number_value(limit) : (double)INFINITY;
}

static double violation(const nas_search_problem *problem, const uint16_t *genes) {
    const bench *b = problem->impl;
    return b->table.violation[row_of(b, genes)];
}

static bool costs(const nas_search_problem *problem, const uint16_t *genes, double *objectives) {
    const bench *b = problem->impl;
    memcpy(objectives, nas_genomes_objectives(&b->table, row_of(b, genes)),
           b->table.n_objectives * sizeof *objectives);
    objectives[0] = NAN;
    return true;
}

static void describe(bench *b, const json_t *request) {
    uint32_t n = b->table.n_objectives;
    for (uint32_t g = 0; g < b->space.n_genes; g++) b->gene_names[g] = b->space.gene_names[g];
    for (size_t i = 0; i < b->table.n; i++)
        b->table.violation[i] = fmax(0, b->table.objectives[n * i + 1] / limit_of(request) - 1);
    b->problem = (nas_search_problem){
        .size = sizeof b->problem,
        .n_genes = b->space.n_genes,
        .arity = b->space.arity,
        .gene_names = b->gene_names,
        .n_objectives = n,
        .objective_names = b->objectives,
        .budget = (uint64_t)json_integer_value(json_object_get(request, "evaluations")),
        .impl = b,
        .canonical = canonical,
        .violation = violation,
        .n_traded = (uint32_t)json_integer_value(json_object_get(request, "objectives")),
        .costs = costs,
    };
    /* A pipeline that names no objectives gives the latency alone, to break ties; one that does,
     * these. */
    if (b->problem.n_traded > 1 && b->problem.n_traded < n)
        b->problem.n_objectives = b->problem.n_traded;
    if (b->problem.n_traded == 1 && n > 2) b->problem.n_objectives = 2;
}

/* ---- One search ---- */

enum { MOST_BATCH = 1024 };

typedef struct batch {
    size_t n;
    uint16_t genomes[MOST_BATCH * NAS_MAX_GENES];
    double objectives[MOST_BATCH * (1 + MOST_COSTS)], violation[MOST_BATCH];
} batch;

/* Looks the batch up; prints and counts what the host would have to pay for. */
static int judge(bench *b, batch *r, uint64_t *scored, nas_error *err) {
    uint32_t n = b->problem.n_objectives;
    for (size_t i = 0; i < r->n; i++) {
        const uint16_t *genes = r->genomes + i * b->space.n_genes;
        size_t row = row_of(b, genes);
        if (nas_genomes_find(&b->asked, nas_genomes_at(&b->table, row)) != NAS_NO_GENOME)
            return nas_fail(err, NAS_ERR_PLUGIN, "row %zu is asked for twice", row);
        int rc = nas_genomes_add(&b->asked, nas_genomes_at(&b->table, row), NULL, err);
        if (rc) return rc;
        r->violation[i] = b->table.violation[row];
        bool feasible = r->violation[i] <= 0;
        for (uint32_t m = 0; m < n; m++)
            r->objectives[n * i + m] =
                feasible ? b->table.objectives[b->table.n_objectives * row + m] : (double)INFINITY;
        if (!feasible) continue;
        printf("%s%zu", *scored ? "," : "[", row);
        ++*scored;
    }
    return NAS_OK;
}

/* What the host judges by itself: it counts here, so that peers can be given the same. */
static int begin(bench *b, const nas_instance *plugin, batch *r, uint64_t *scored, nas_error *err) {
    const nas_search_api *api = plugin->plugin->vtable;
    const nas_genome ends[2] = {nas_genome_smallest(&b->space), nas_genome_largest(&b->space)};
    r->n = 2;
    for (size_t i = 0; i < 2; i++)
        memcpy(r->genomes + i * b->space.n_genes, ends[i].gene,
               b->space.n_genes * sizeof *r->genomes);
    int rc = judge(b, r, scored, err);
    b->problem.budget -= *scored;
    if (!rc) rc = api->start(plugin->self, &b->problem, err);
    return rc ? rc : api->tell(plugin->self, r->n, r->genomes, r->objectives, r->violation, err);
}

static int replay(bench *b, const nas_instance *plugin, size_t most, batch *r, nas_error *err) {
    const nas_search_api *api = plugin->plugin->vtable;
    uint64_t scored = 0, misses = 0, budget = b->problem.budget, fit = 0;
    for (size_t i = 0; i < b->table.n; i++) fit += b->table.violation[i] <= 0;
    int rc = begin(b, plugin, r, &scored, err);
    while (!rc && scored < budget && scored < fit && misses < 4 * budget) {
        uint64_t before = scored, left = budget - scored;
        r->n = 0;
        rc = api->ask(plugin->self, left < most ? (size_t)left : most, r->genomes, &r->n, err);
        if (rc || !r->n) break;
        rc = judge(b, r, &scored, err);
        if (!rc) rc = api->tell(plugin->self, r->n, r->genomes, r->objectives, r->violation, err);
        misses = scored > before ? 0 : misses + r->n;
    }
    b->problem.budget = budget;
    puts(scored ? "]" : "[]");
    return rc;
}

static int run_seeds(bench *b, nas_session *session, const json_t *request, nas_error *err) {
    static batch room;
    const nas_place place = {"REQUEST", "options", "."};
    const char *id = json_string_value(json_object_get(request, "plugin"));
    json_int_t seeds = json_integer_value(json_object_get(request, "seeds"));
    json_int_t most = json_integer_value(json_object_get(request, "batch"));
    if (!id || most < 1 || most > MOST_BATCH)
        return nas_fail(err, NAS_ERR_INPUT, "expected a plugin, and a batch of 1 to %d",
                        MOST_BATCH);
    int rc = NAS_OK;
    for (json_int_t seed = 1; seed <= seeds && !rc; seed++) {
        nas_instance plugin = {0};
        session->services.seed = (uint64_t)seed;
        rc = nas_instance_create(session->registry, NAS_KIND_SEARCH, id,
                                 json_object_get(request, "options"), &place, &plugin, err);
        if (!rc) rc = replay(b, &plugin, (size_t)most, &room, err);
        nas_instance_destroy(&plugin);
        nas_genomes_free(&b->asked);
        b->asked.n_genes = b->space.n_genes;
    }
    return rc;
}

/* ---- */

static int run(bench *b, char **argv, const json_t *request, nas_error *err) {
    const nas_args args = {.quiet = true};
    nas_session session = {0};
    json_t *space;
    int rc = nas_json_load(argv[2], &space, err);
    if (rc) return rc;
    rc = nas_space_parse(space, argv[2], 1, 10, &b->space, err);
    json_decref(space);
    b->asked.n_genes = b->space.n_genes;
    if (!rc) rc = read_table(b, argv[1], json_object_get(request, "costs"), err);
    if (!rc) describe(b, request);
    if (!rc) rc = nas_session_open(&args, true, &session, err);
    if (!rc) rc = run_seeds(b, &session, request, err);
    nas_session_close(&session);
    nas_genomes_free(&b->table);
    return rc;
}

int main(int argc, char **argv) {
    static bench b;
    nas_error err;
    json_t *request = argc == 4 ? json_loads(argv[3], 0, NULL) : NULL;
    if (!request) return fputs("usage: search TABLE SPACE REQUEST\n", stderr), 2;
    int rc = run(&b, argv, request, &err);
    if (rc) fprintf(stderr, "search: %s\n", err.message);
    json_decref(request);
    return rc != NAS_OK;
}
