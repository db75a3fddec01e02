#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "cli/weights.h"
#include "host/guarded.h"
#include "run/candidate.h"

#include <math.h>
#include <stdlib.h>

static const char help[] =
    "usage: nashost cost PIPELINE [--hardware ID] [--genome FILE]... [options]\n"
    "       nashost cost --weights FILE --hardware ID [--genome FILE]... [options]\n"
    "\n"
    "Prints what subnets of the pipeline's space cost on each of its platforms, or on another\n"
    "device. Nothing needs to be trained: where weights matter, random ones are used.\n"
    "\n"
    "  --genome FILE        a JSON file with a genome, a {\"name\": ..., \"genome\": ...}, or an\n"
    "                       array of these; may be given again\n"
    "  --random N           N random subnets, drawn by the pipeline's seed; with neither of the\n"
    "                       two, the largest and the smallest subnet\n"
    "  --weights FILE       the space of a file that `nashost import` wrote, without a pipeline\n"
    "  --hardware ID        a hardware plugin instead of the pipeline's platforms\n"
    "  --options JSON       its options, such as {\"threads\": 1}\n"
    "  --set KEY=VALUE ...  change a key of the pipeline first\n"
    "  --plugins FILE       a further manifest of plugins; may be given again\n"
    "  --allow-commands     a cost model may start the program that the pipeline names\n"
    "  --json               print the result as JSON\n";

/* ---- The work ---- */

/* A device's costs of a subnet; none of them known where it cannot run it. */
static int ask(const nas_space *space, const nas_named *subnet, const nas_device *device,
               const nas_log *log, nas_candidate *candidate, nas_error *err) {
    const nas_constraints none = {.latency_ms = NAN, .energy_mj = NAN};
    const nas_instance *hardware = device->hardware;
    int rc = nas_candidate_cost(space, &subnet->genome, &nas_guarded_hardware,
                                nas_guarded(hardware), &none, candidate, err);
    if (rc != NAS_ERR_INFEASIBLE) return rc;
    nas_log_line(log, NAS_WARNING, "%s on %s: %s", subnet->name, device->name, err->message);
    candidate->cost.latency_ms = candidate->cost.energy_mj = candidate->cost.known_share = NAN;
    candidate->cost.peak_bytes = candidate->cost.flash_bytes = UINT64_MAX;
    return NAS_OK;
}

int nas_costs(const nas_space *space, const nas_subnets *subnets, const nas_device *devices,
              size_t n_devices, const nas_log *log, json_t **result, nas_error *err) {
    json_t *list = json_array();
    int rc = NAS_OK;
    for (size_t i = 0; i < subnets->n && !rc; i++) {
        json_t *json = json_object(), *costs = json_object();
        nas_candidate candidate = {.macs = UINT64_MAX, .params = UINT64_MAX};
        for (size_t d = 0; d < n_devices && !rc; d++) {
            rc = ask(space, &subnets->items[i], &devices[d], log, &candidate, err);
            nas_json_put(&costs, devices[d].name, nas_cost_json(&candidate.cost));
        }
        nas_json_put(&json, "name", nas_text_json(subnets->items[i].name));
        nas_json_put(&json, "genome", nas_genome_to_json(space, &subnets->items[i].genome));
        nas_json_put(&json, "macs", nas_count_json(candidate.macs));
        nas_json_put(&json, "params", nas_count_json(candidate.params));
        nas_json_put(&json, "costs", costs);
        nas_json_add(&list, json);
    }
    *result = json_object();
    nas_json_put(result, "space", nas_text_json(space->name));
    nas_json_put(result, "subnets", list);
    if (!rc && !*result)
        rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu subnets", subnets->n);
    if (!rc) return NAS_OK;
    json_decref(*result);
    *result = NULL;
    return rc;
}

/* ---- The subcommand ---- */

/* A row for each subnet on each device. NULL: out of memory. */
static json_t *rows_json(const json_t *result) {
    size_t i;
    json_t *subnet, *cost, *rows = json_array();
    const char *device;
    json_array_foreach(json_object_get(result, "subnets"), i, subnet) {
        json_object_foreach(json_object_get(subnet, "costs"), device, cost) {
            json_t *row = nas_json_copy(subnet);
            nas_json_put(&row, "device", json_string(device));
            nas_json_put(&row, "cost", json_incref(cost));
            nas_json_add(&rows, row);
        }
    }
    return rows;
}

int nas_costs_print(const json_t *result, nas_error *err) {
    static const nas_column columns[] = {
        {"subnet", "name", NAS_SHOW_TEXT},
        {"device", "device", NAS_SHOW_TEXT},
        {"latency", "cost.latency_ms", NAS_SHOW_MS},
        {"energy", "cost.energy_mj", NAS_SHOW_MJ},
        {"peak memory", "cost.peak_bytes", NAS_SHOW_BYTES},
        {"flash", "cost.flash_bytes", NAS_SHOW_BYTES},
        {"MACs", "macs", NAS_SHOW_COUNT},
        {"params", "params", NAS_SHOW_COUNT},
    };
    json_t *rows = rows_json(result);
    if (!rows) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a table");
    int rc = nas_render_table(rows, columns, sizeof columns / sizeof *columns, err);
    json_decref(rows);
    return rc;
}

typedef struct devices {
    size_t n;
    nas_device list[NAS_MAX_PLATFORMS];
    nas_instance hardware[NAS_MAX_PLATFORMS];
} devices;

static int open_devices(const nas_args *args, nas_session *session, const nas_pipeline *pipeline,
                        devices *d, nas_error *err) {
    int rc = NAS_OK;
    if (args->hardware) {
        rc = nas_session_hardware(session, args, &d->hardware[0], err);
        if (!rc) d->list[d->n++] = (nas_device){args->hardware, &d->hardware[0]};
        return rc;
    }
    for (size_t i = 0; pipeline && i < pipeline->n_platforms && !rc; i++) {
        const nas_platform *platform = &pipeline->platforms[i];
        char path[96];
        snprintf(path, sizeof path, "%s.options", platform->hardware.path);
        const nas_place place = {pipeline->file, path, pipeline->folder};
        rc = nas_instance_create(session->registry, NAS_KIND_HARDWARE, platform->hardware.id,
                                 platform->hardware.options, &place, &d->hardware[i], err);
        if (!rc) d->list[d->n++] = (nas_device){platform->name, &d->hardware[i]};
    }
    return rc;
}

static int choose(const nas_args *args, uint64_t seed, const nas_space *space, nas_subnets *subnets,
                  nas_error *err) {
    if (!args->n_genomes && !args->random) return nas_subnets_ends(space, subnets, err);
    int rc = NAS_OK;
    for (size_t i = 0; i < args->n_genomes && !rc; i++)
        rc = nas_subnets_read(space, args->genomes[i], subnets, err);
    if (rc || !args->random) return rc;
    return nas_subnets_random(space, seed, (size_t)args->random, subnets, err);
}

static int cost_subnets(const nas_args *args, const nas_session *session, uint64_t seed,
                        const nas_space *space, const devices *d, nas_error *err) {
    nas_subnets subnets = {0};
    json_t *result;
    int rc = choose(args, seed, space, &subnets, err);
    if (!rc) rc = nas_costs(space, &subnets, d->list, d->n, &session->log, &result, err);
    if (!rc) rc = nas_cli_result(args, result, nas_costs_print, err);
    nas_subnets_free(&subnets);
    return rc;
}

static void close_devices(devices *d) {
    for (size_t i = 0; i < d->n; i++) nas_instance_destroy(&d->hardware[i]);
}

static int cost_pipeline(const nas_args *args, nas_session *session, nas_error *err) {
    nas_pipeline pipeline = {0};
    nas_space space;
    devices d = {0};
    int rc = nas_session_pipeline(session, args->positional, args, &pipeline, err);
    if (!rc) rc = nas_session_space(session, &pipeline, &space, err);
    if (!rc) rc = open_devices(args, session, &pipeline, &d, err);
    if (!rc) rc = cost_subnets(args, session, (uint64_t)pipeline.seed, &space, &d, err);
    close_devices(&d);
    nas_pipeline_free(&pipeline);
    return rc;
}

static int cost_weights(const nas_args *args, nas_session *session, nas_error *err) {
    nas_weights weights;
    devices d = {0};
    int rc = nas_weights_open(args->weights, &weights, err);
    if (rc) return rc;
    rc = open_devices(args, session, NULL, &d, err);
    if (!rc) rc = cost_subnets(args, session, 1, &weights.space, &d, err);
    close_devices(&d);
    nas_weights_close(&weights);
    return rc;
}

static int check(const nas_args *args, nas_error *err) {
    if (args->options && !args->hardware)
        return nas_fail(err, NAS_ERR_INPUT, "cost: --options needs --hardware, whose they are");
    if (!args->weights == !args->positional)
        return nas_fail(err, NAS_ERR_INPUT,
                        "cost: expected a PIPELINE or --weights; see `nashost cost --help`");
    if (args->weights && (!args->hardware || args->n_overrides))
        return nas_fail(
            err, NAS_ERR_INPUT,
            "cost: --weights needs --hardware, and takes no --set: there is no pipeline");
    return NAS_OK;
}

static int cost(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    int rc = check(args, err);
    if (!rc) rc = nas_session_open(args, true, &session, err);
    if (!rc)
        rc = args->weights ? cost_weights(args, &session, err) : cost_pipeline(args, &session, err);
    nas_session_close(&session);
    return rc;
}

int nas_cli_cost(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "cost",
        .operands = "[PIPELINE]",
        .flags = NAS_FLAG_GENOME | NAS_FLAG_RANDOM | NAS_FLAG_HARDWARE | NAS_FLAG_OPTIONS |
                 NAS_FLAG_SET | NAS_FLAG_PLUGINS | NAS_FLAG_WEIGHTS | NAS_FLAG_ALLOW_COMMANDS,
        .help = help,
        .run = cost,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
