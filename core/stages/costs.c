#include "stages/costs.h"

#include "base/memory.h"
#include "stages/candidate.h"
#include "stages/table.h"

#include <math.h>
#include <stdlib.h>

typedef struct costs {
    const nas_space *space;
    const nas_subnets *subnets;
    const nas_device *devices;
    size_t n_devices;
    const nas_log *log;
    nas_candidate *found; /* [subnets][devices] */
} costs;

static const nas_candidate *at(const costs *c, size_t subnet, size_t device) {
    return &c->found[subnet * c->n_devices + device];
}

static int ask(const costs *c, size_t subnet, size_t device, nas_error *err) {
    const nas_constraints none = {.latency_ms = NAN, .energy_mj = NAN};
    const nas_instance *hardware = c->devices[device].hardware;
    nas_candidate *candidate = &c->found[subnet * c->n_devices + device];
    int rc = nas_candidate_cost(c->space, &c->subnets->items[subnet].genome,
                                hardware->plugin->vtable, hardware->self, &none, candidate, err);
    if (rc != NAS_ERR_INFEASIBLE) return rc;
    nas_log_line(c->log, NAS_WARNING, "%s on %s: %s", c->subnets->items[subnet].name,
                 c->devices[device].name, err->message);
    candidate->cost.latency_ms = candidate->cost.energy_mj = candidate->cost.known_share = NAN;
    candidate->cost.peak_bytes = candidate->cost.flash_bytes = UINT64_MAX;
    return NAS_OK;
}

/* NULL: out of memory. */
static json_t *subnet_json(const costs *c, size_t i) {
    const nas_named *subnet = &c->subnets->items[i];
    json_t *devices = json_object();
    int failed = 0;
    for (size_t d = 0; d < c->n_devices; d++)
        failed |=
            json_object_set_new(devices, c->devices[d].name, nas_cost_json(&at(c, i, d)->cost));
    if (failed) {
        json_decref(devices);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:I, s:I, s:o}", "name", subnet->name, "genome",
                     nas_genome_to_json(c->space, &subnet->genome), "macs",
                     (json_int_t)at(c, i, 0)->macs, "params", (json_int_t)at(c, i, 0)->params,
                     "costs", devices);
}

static int print_json(const costs *c, nas_error *err) {
    json_t *list = json_array();
    int failed = 0;
    for (size_t i = 0; i < c->subnets->n && !failed; i++)
        failed = json_array_append_new(list, subnet_json(c, i));
    json_t *all = json_pack("{s:s, s:o}", "space", c->space->name, "subnets", list);
    failed = failed || !all || json_dumpf(all, stdout, JSON_INDENT(2));
    json_decref(all);
    if (failed)
        return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu subnets", c->subnets->n);
    putchar('\n');
    return NAS_OK;
}

static int print_table(const costs *c, nas_error *err) {
    static const char *const titles[] = {"subnet",      "device", "latency", "energy",
                                         "peak memory", "flash",  "MACs",    "params"};
    nas_table table;
    size_t row = 1;
    int rc = nas_table_create(c->subnets->n * c->n_devices + 1, sizeof titles / sizeof *titles,
                              &table, err);
    if (rc) return rc;
    nas_table_head(&table, titles);
    for (size_t i = 0; i < c->subnets->n; i++)
        for (size_t d = 0; d < c->n_devices; d++, row++) {
            const nas_candidate *found = at(c, i, d);
            nas_cell *cells = nas_table_at(&table, row, 0);
            snprintf(cells[0].text, sizeof cells[0].text, "%s", c->subnets->items[i].name);
            snprintf(cells[1].text, sizeof cells[1].text, "%s", c->devices[d].name);
            cells[2] = nas_text_value(found->cost.latency_ms, "ms");
            cells[3] = nas_text_value(found->cost.energy_mj, "mJ");
            cells[4] = nas_text_bytes(found->cost.peak_bytes);
            cells[5] = nas_text_bytes(found->cost.flash_bytes);
            cells[6] = nas_text_count(found->macs);
            cells[7] = nas_text_count(found->params);
        }
    nas_table_print(&table, stdout);
    nas_table_free(&table);
    return NAS_OK;
}

int nas_costs(const nas_space *space, const nas_subnets *subnets, const nas_device *devices,
              size_t n_devices, bool json, const nas_log *log, nas_error *err) {
    costs c = {space, subnets, devices, n_devices, log, NULL};
    c.found = nas_alloc(subnets->n * n_devices, sizeof *c.found);
    if (!c.found) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for %zu subnets", subnets->n);
    int rc = NAS_OK;
    for (size_t i = 0; i < subnets->n && !rc; i++)
        for (size_t d = 0; d < n_devices && !rc; d++) rc = ask(&c, i, d, err);
    if (!rc) rc = json ? print_json(&c, err) : print_table(&c, err);
    free(c.found);
    return rc;
}
