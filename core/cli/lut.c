#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "host/call.h"
#include "host/guarded.h"
#include "run/progress.h"
#include "space/cover.h"
#include "space/lower.h"

#include <math.h>
#include <nashost/hardware.h>
#include <nashost/kit/layers.h>
#include <nashost/lut.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: nashost lut build PIPELINE --hardware ID --out FILE [options]\n"
    "\n"
    "Times every layer that a subnet of the pipeline's space can have, if the device can time\n"
    "single layers, and some whole subnets, and writes a latency table. A build that was\n"
    "interrupted goes on where it stopped; a second one adds another space's layers to the same\n"
    "file.\n"
    "\n"
    "  --hardware ID        a hardware plugin that measures\n"
    "  --options JSON       its options, such as {\"threads\": 1}\n"
    "  --out FILE           the table\n"
    "  --limit N            N layers drawn at random rather than all, as samples\n"
    "  --networks N         subnets to time as a whole, which correct the sums of layers (20)\n"
    "  --rounds N           times each so often, and keeps the lowest time (5)\n"
    "  --set KEY=VALUE ...  change a key of the pipeline first\n"
    "  --plugins FILE       a further manifest of plugins; may be given again\n"
    "  --json               print the result as JSON\n"
    "  --quiet              no progress\n";

/* ---- The work ---- */

static const double save_every = 2; /* seconds */

/* The distinct layers of a space. */
typedef struct layer_list {
    size_t n, capacity;
    nas_layer *layers;
    json_t *keys; /* those that are in the list */
} layer_list;

typedef struct builder {
    const nas_lut_request *request;
    const nas_measure_api *api;
    layer_list list;
    json_t *table, *entries, *networks; /* the latter two are borrowed from table */
    nas_lut_result *result;
    nas_progress progress;
    uint64_t done;  /* of the progress */
    uint32_t round; /* from 1 on */
    bool changed;   /* since it was saved */
    double saved;
} builder;

static int no_memory(nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory while building a latency table");
}

/* ---- The layers ---- */

static int add_layer(layer_list *list, const nas_layer *layer, nas_error *err) {
    char key[NAS_LAYER_KEY];
    nas_layer_key(layer, key);
    if (json_object_get(list->keys, key)) return NAS_OK;
    if (list->n == list->capacity) {
        size_t capacity = 2 * list->capacity + 64;
        nas_layer *more = realloc(list->layers, capacity * sizeof *more);
        if (!more) return no_memory(err);
        list->layers = more;
        list->capacity = capacity;
    }
    if (json_object_set_new(list->keys, key, json_true())) return no_memory(err);
    list->layers[list->n++] = *layer;
    return NAS_OK;
}

static int collect_layers(const nas_space *space, layer_list *list, nas_error *err) {
    list->keys = json_object();
    int rc = list->keys ? NAS_OK : no_memory(err);
    for (size_t i = 0; i < nas_cover_count(space) && !rc; i++) {
        nas_genome genome = nas_cover_genome(space, i);
        nas_lowered *lowered;
        rc = nas_lower(space, &genome, &lowered, err);
        for (uint32_t l = 0; !rc && l < lowered->network.n_layers; l++)
            rc = add_layer(list, &lowered->layers[l], err);
        nas_lowered_free(lowered);
    }
    return rc;
}

/* ---- The file ---- */

/* What the table says before its entries. NULL: out of memory. */
static json_t *make_header(const nas_target *target, const nas_plugin *plugin) {
    char with[160];
    snprintf(with, sizeof with, "%s %.100s", plugin->id, plugin->version);
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:i, s:i, s:s}", "format", NAS_LUT_FORMAT,
                     "version", NAS_LUT_VERSION, "device", target->device, "runtime",
                     target->runtime, "dtype", target->dtype, "threads", (int)target->threads,
                     "batch", (int)target->batch, "measured_with", with);
}

/* Fails unless the file's table has the same header. */
static int check_header(const char *file, const json_t *header, const json_t *table,
                        nas_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)header, key, value) {
        const json_t *found = json_object_get(table, key);
        if (json_equal(found, value)) continue;
        char *want = nas_json_text(value, JSON_ENCODE_ANY, NULL);
        char *have = found ? nas_json_text(found, JSON_ENCODE_ANY, NULL) : NULL;
        int rc = nas_fail(err, NAS_ERR_INPUT,
                          "%s: %s: expected %.100s, as it is measured now, found %.100s; name "
                          "another file with --out, or remove this one",
                          file, key, want ? want : "?", have ? have : "nothing");
        free(want);
        free(have);
        return rc;
    }
    const json_t *entries = json_object_get(table, "entries");
    const json_t *networks = json_object_get(table, "networks");
    if (!json_is_object(entries))
        return nas_fail(err, NAS_ERR_INPUT, "%s: entries: expected an object, found %s", file,
                        nas_json_kind(entries));
    if (!json_is_array(networks))
        return nas_fail(err, NAS_ERR_INPUT, "%s: networks: expected an array, found %s", file,
                        nas_json_kind(networks));
    return NAS_OK;
}

/* The table in the file, or a new one. */
static int open_table(builder *b, nas_error *err) {
    const nas_instance *hardware = b->request->hardware;
    nas_target target = {.size = sizeof target};
    nas_call call;
    nas_call_begin(&call, hardware, "target");
    int rc = nas_call_end(&call, b->api->target(hardware->self, &target, &call.err), err);
    if (rc) return rc;
    json_t *header = make_header(&target, hardware->plugin);
    if (!header) return no_memory(err);
    if (nas_file_exists(b->request->out)) {
        rc = nas_json_load(b->request->out, &b->table, err);
        if (!rc) rc = check_header(b->request->out, header, b->table, err);
    } else {
        b->table = nas_json_copy(header);
        if (json_object_set_new(b->table, "entries", json_object()) ||
            json_object_set_new(b->table, "networks", json_array()))
            rc = no_memory(err);
    }
    json_decref(header);
    b->entries = json_object_get(b->table, "entries");
    b->networks = json_object_get(b->table, "networks");
    return rc;
}

/* ---- The measurements ---- */

/* In how many rounds an entry was measured; 0 if it says nothing. */
static json_int_t rounds_of(const json_t *entry) {
    const json_t *rounds = json_object_get(entry, "rounds");
    if (!(json_number_value(json_object_get(entry, "median_ms")) > 0)) return 0;
    return rounds ? json_integer_value(rounds) : 1;
}

/* True if an entry has a time that is not above ms: other work on the machine only ever adds to a
 * time, so the lowest is the best. */
static bool is_lower(const json_t *entry, double ms) {
    double before = json_number_value(json_object_get(entry, "median_ms"));
    return before > 0 && before <= ms;
}

static int measure(builder *b, const nas_layer *layer, const char *key, nas_error *err) {
    const nas_instance *hardware = b->request->hardware;
    nas_measurement m = {.size = sizeof m};
    nas_call call;
    nas_call_begin(&call, hardware, "layer");
    int rc = nas_call_end(&call, b->api->layer(hardware->self, layer, &m, &call.err), err);
    if (rc) return rc;
    if (!(m.median_ms > 0) || !isfinite(m.median_ms) || !(m.spread_ms >= 0) ||
        !isfinite(m.spread_ms) || !m.count)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "plugin '%s' measured %g ms, spread %g ms, %u samples for %s; expected a "
                        "time above 0",
                        hardware->plugin->id, m.median_ms, m.spread_ms, m.count, key);
    json_t *entry = json_object_get(b->entries, key);
    json_int_t rounds = rounds_of(entry) + 1;
    b->changed = true;
    if (is_lower(entry, m.median_ms))
        return json_object_set_new(entry, "rounds", json_integer(rounds)) ? no_memory(err) : NAS_OK;
    entry = json_pack("{s:i, s:f, s:f, s:I}", "count", (int)m.count, "median_ms", m.median_ms,
                      "spread_ms", m.spread_ms, "rounds", rounds);
    return json_object_set_new(b->entries, key, entry) ? no_memory(err) : NAS_OK;
}

static void show(builder *b, const char *what) {
    if (nas_progress_due(&b->progress, b->done)) nas_progress_show(&b->progress, b->done, what);
    b->done++;
}

/* Measures layer i of the round, unless the table has it. */
static int layer_turn(builder *b, const uint64_t *order, size_t i, nas_error *err) {
    const nas_layer *layer = &b->list.layers[order[i]];
    char key[NAS_LAYER_KEY];
    nas_layer_key(layer, key);
    bool last = b->round == b->request->rounds;
    show(b, layer->name);
    if (rounds_of(json_object_get(b->entries, key)) >= b->round) {
        b->result->kept += last;
        return NAS_OK;
    }
    int rc = measure(b, layer, key, err);
    if (!rc) b->result->measured += last;
    return rc;
}

/* How often each layer occurs. NULL: out of memory. */
static json_t *count_layers(const nas_network *network) {
    json_t *counts = json_object();
    for (uint32_t i = 0; i < network->n_layers; i++) {
        char key[NAS_LAYER_KEY];
        nas_layer_key(nas_network_layer(network, i), key);
        json_int_t n = json_integer_value(json_object_get(counts, key));
        if (json_object_set_new(counts, key, json_integer(n + 1))) {
            json_decref(counts);
            return NULL;
        }
    }
    return counts;
}

/* A whole subnet's time. */
static int time_network(builder *b, const nas_network *network, double *ms, nas_error *err) {
    const nas_instance *hardware = b->request->hardware;
    nas_cost cost = {.size = sizeof cost, .latency_ms = NAN};
    int rc = nas_guarded_hardware.cost(nas_guarded(hardware), network, &cost, err);
    *ms = cost.latency_ms;
    if (rc || (*ms > 0 && isfinite(*ms))) return rc;
    return nas_fail(err, NAS_ERR_PLUGIN,
                    "plugin '%s' measured %g ms for a network; expected a time above 0",
                    hardware->plugin->id, *ms);
}

/* Network i of the table; appends it if it is the first that is not there yet. */
static int measure_network(builder *b, size_t i, const nas_network *network, nas_error *err) {
    double ms;
    int rc = time_network(b, network, &ms, err);
    if (rc) return rc;
    json_t *entry = json_array_get(b->networks, i);
    json_int_t rounds = rounds_of(entry) + 1;
    b->changed = true;
    if (!entry) {
        json_t *counts = count_layers(network);
        json_t *genome = counts ? json_loads(network->genome, 0, NULL) : NULL;
        entry = counts ? json_pack("{s:f, s:o, s:o}", "median_ms", ms, "layers", counts, "genome",
                                   genome)
                       : NULL;
        if (json_array_append_new(b->networks, entry)) return no_memory(err);
    } else if (!is_lower(entry, ms) && json_object_set_new(entry, "median_ms", json_real(ms))) {
        return no_memory(err);
    }
    return json_object_set_new(entry, "rounds", json_integer(rounds)) ? no_memory(err) : NAS_OK;
}

static uint32_t below(void *rng, uint32_t n) {
    return nas_rng_below(rng, n);
}

/* Measures random subnet i, unless the table has it. */
static int network_turn(builder *b, size_t i, nas_error *err) {
    const nas_lut_request *request = b->request;
    nas_rng rng = nas_rng_open(request->seed, NAS_RNG_SUBNETS, 1, i);
    nas_genome genome = nas_genome_random(request->space, below, &rng);
    nas_lowered *lowered;
    show(b, "a network");
    if (rounds_of(json_array_get(b->networks, i)) >= b->round) return NAS_OK;
    int rc = nas_lower(request->space, &genome, &lowered, err);
    if (!rc) rc = measure_network(b, i, &lowered->network, err);
    if (!rc) b->result->networks += b->round == request->rounds;
    nas_lowered_free(lowered);
    return rc;
}

/* Takes one round: n layers in a new order, then the networks. order [n] */
static int measure_round(builder *b, uint64_t *order, size_t n, nas_error *err) {
    nas_rng rng = nas_rng_open(b->request->seed, NAS_RNG_SUBNETS, 0, b->round);
    nas_rng_shuffle(&rng, order, n);
    int rc = NAS_OK;
    for (size_t i = 0; i < n + b->request->networks && !rc; i++) {
        rc = i < n ? layer_turn(b, order, i, err) : network_turn(b, i - n, err);
        if (rc || !b->changed || nas_seconds() - b->saved < save_every) continue;
        rc = nas_json_save(b->request->out, b->table, err);
        b->changed = false;
        b->saved = nas_seconds();
    }
    return rc;
}

/* What was measured before an error is kept. */
static int measure_and_save(builder *b, nas_error *err) {
    const nas_lut_request *request = b->request;
    size_t n = b->list.n, limit = request->limit && request->limit < n ? request->limit : n;
    uint64_t *order = malloc((n + 1) * sizeof *order);
    if (!order) return no_memory(err);
    for (size_t i = 0; i < n; i++) order[i] = i;
    nas_rng rng = nas_rng_open(request->seed, NAS_RNG_SUBNETS, 0, 0);
    nas_rng_shuffle(&rng, order, n);
    b->saved = nas_seconds();
    b->progress = nas_progress_open(request->log, "measure", 0,
                                    (limit + request->networks) * request->rounds, request->quiet);
    int rc = NAS_OK;
    for (b->round = 1; b->round <= request->rounds && !rc; b->round++)
        rc = measure_round(b, order, limit, err);
    nas_progress_clear(&b->progress);
    free(order);
    nas_error ignored;
    if (!b->changed) return rc;
    int saved = nas_json_save(request->out, b->table, rc ? &ignored : err);
    return rc ? rc : saved;
}

int nas_lut_build(const nas_lut_request *request, nas_lut_result *result, nas_error *err) {
    builder b = {.request = request, .result = result};
    *result = (nas_lut_result){0};
    b.api = nas_instance_extension(request->hardware, NAS_EXT_MEASURE);
    if (!b.api)
        return nas_fail(err, NAS_ERR_INPUT, "plugin '%s' cannot measure: it has no extension %s",
                        request->hardware->plugin->id, NAS_EXT_MEASURE);
    int rc = b.api->layer ? collect_layers(request->space, &b.list, err) : NAS_OK;
    result->layers = b.list.n;
    if (!rc && !b.api->layer && !request->networks)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "plugin '%s' times whole subnets alone; expected some, found 0",
                      request->hardware->plugin->id);
    if (!rc) rc = open_table(&b, err);
    if (!rc) rc = measure_and_save(&b, err);
    json_decref(b.table);
    json_decref(b.list.keys);
    free(b.list.layers);
    return rc;
}

/* ---- The subcommand ---- */

static int report(const nas_args *args, const nas_lut_result *result) {
    if (args->json)
        return nas_cli_print_json(
            json_pack("{s:o, s:I, s:I, s:I, s:I}", "file", nas_text_json(args->out), "layers",
                      (json_int_t)result->layers, "kept", (json_int_t)result->kept, "measured",
                      (json_int_t)result->measured, "networks", (json_int_t)result->networks));
    if (result->layers)
        printf("%s: %zu layers in the space; %zu measured now, %zu before; %zu networks measured\n",
               args->out, result->layers, result->measured, result->kept, result->networks);
    else
        printf("%s: %zu networks measured; single layers cannot be timed there\n", args->out,
               result->networks);
    return NAS_EXIT_OK;
}

static int build_table(const nas_args *args, nas_session *session, const nas_pipeline *pipeline,
                       nas_error *err) {
    nas_space space;
    nas_instance hardware = {0};
    nas_lut_result result;
    int rc = nas_session_space(session, pipeline, &space, err);
    if (!rc) rc = nas_session_hardware(session, args, &hardware, err);
    if (rc) return rc;
    const nas_lut_request request = {.space = &space,
                                     .hardware = &hardware,
                                     .out = args->out,
                                     .seed = (uint64_t)pipeline->seed,
                                     .limit = (size_t)args->limit,
                                     .networks = args->networks < 0 ? 20 : (size_t)args->networks,
                                     .rounds = args->rounds ? (uint32_t)args->rounds : 5,
                                     .log = &session->log,
                                     .quiet = args->quiet};
    rc = nas_lut_build(&request, &result, err);
    nas_instance_destroy(&hardware);
    if (!rc && report(args, &result)) rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    return rc;
}

static int build(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    nas_pipeline pipeline = {0};
    int rc = NAS_OK;
    if (!args->hardware || !args->out)
        rc = nas_fail(err, NAS_ERR_INPUT, "lut build: --%s is missing; see `nashost lut --help`",
                      args->hardware ? "out" : "hardware");
    if (!rc) rc = nas_session_open(args, true, &session, err);
    if (!rc) rc = nas_session_pipeline(&session, args->positional, args, &pipeline, err);
    if (!rc) rc = build_table(args, &session, &pipeline, err);
    nas_pipeline_free(&pipeline);
    nas_session_close(&session);
    return rc;
}

static int build_command(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "lut build",
        .operands = "PIPELINE",
        .flags = NAS_FLAG_HARDWARE | NAS_FLAG_OPTIONS | NAS_FLAG_OUT | NAS_FLAG_LIMIT |
                 NAS_FLAG_NETWORKS | NAS_FLAG_ROUNDS | NAS_FLAG_SET | NAS_FLAG_PLUGINS |
                 NAS_FLAG_QUIET,
        .help = help,
        .run = build,
    };
    return nas_cli_subcommand(&command, argc, argv);
}

int nas_cli_lut(int argc, char **argv) {
    static const char *const names[] = {"build"};
    nas_error err;
    if (argc < 2 || argv[1][0] == '-') {
        bool asked = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
        fputs(help, asked ? stdout : stderr);
        return asked ? NAS_EXIT_OK : NAS_EXIT_USAGE;
    }
    if (nas_args_command(argv[1], names, 1, "nashost lut", &err) < 0)
        return nas_cli_fail(&err, nas_args_want_json(argc, argv));
    return build_command(argc - 1, argv + 1);
}
