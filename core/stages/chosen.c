#include "stages/chosen.h"

#include <string.h>

nas_cell nas_limits_text(const nas_constraints *c) {
    const nas_cell parts[NAS_MAX_LIMITS] = {
        nas_text_value(c->latency_ms, "ms"),     nas_text_value(c->energy_mj, "mJ"),
        nas_text_bytes((uint64_t)c->peak_bytes), nas_text_bytes((uint64_t)c->flash_bytes),
        nas_text_count((uint64_t)c->macs),       nas_text_count((uint64_t)c->params)};
    static const char *const words[NAS_MAX_LIMITS] = {"",       "",      " peak",
                                                      " flash", " MACs", " parameters"};
    const bool there[NAS_MAX_LIMITS] = {c->latency_ms > 0,  c->energy_mj > 0, c->peak_bytes > 0,
                                        c->flash_bytes > 0, c->macs > 0,      c->params > 0};
    nas_cell cell = {""};
    size_t used = 0;
    for (size_t i = 0; i < NAS_MAX_LIMITS && used < sizeof cell.text; i++)
        if (there[i])
            used += (size_t)snprintf(cell.text + used, sizeof cell.text - used, "%s%.20s%s",
                                     used ? ", " : "", parts[i].text, words[i]);
    return used ? cell : (nas_cell){"-"};
}

static json_t *limits_json(const nas_platform *platform, const nas_candidate *candidate) {
    nas_limit limits[NAS_MAX_LIMITS];
    size_t n = nas_candidate_limits(&platform->constraints, candidate, limits);
    json_t *json = json_object();
    for (size_t i = 0; json && i < n; i++) {
        bool whole = strstr(limits[i].name, "_m") == NULL; /* all but ms and mJ are counts */
        json_t *value =
            whole ? json_integer((json_int_t)limits[i].limit) : nas_number_json(limits[i].limit);
        json_object_set_new(json, limits[i].name, value);
    }
    return json;
}

json_t *nas_chosen_json(const nas_space *space, const nas_platform *platform,
                        const nas_candidate *candidate) {
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name", platform->name, "genome",
                     nas_genome_to_json(space, &candidate->genome), "score",
                     nas_number_json(candidate->score), "constraints",
                     limits_json(platform, candidate), "predicted", nas_cost_json(&candidate->cost),
                     "macs", nas_count_json(candidate->macs), "params",
                     nas_count_json(candidate->params));
}

static int print_json(const nas_context *context, const nas_candidate *chosen, nas_error *err) {
    const nas_pipeline *pipeline = context->pipeline;
    json_t *list = json_array();
    bool good = true;
    for (size_t i = 0; i < pipeline->n_platforms && good; i++)
        good = !json_array_append_new(
            list, nas_chosen_json(&context->space, &pipeline->platforms[i], &chosen[i]));
    json_t *json = json_pack("{s:o}", "platforms", list);
    if (good && json) {
        json_dumpf(json, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
    }
    json_decref(json);
    return good && json ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
}

static int print_table(const nas_context *context, const nas_candidate *chosen, nas_error *err) {
    static const char *const titles[] = {"platform", "at most",     "latency", "MACs",
                                         "params",   "peak memory", "score",   "genome"};
    const nas_pipeline *pipeline = context->pipeline;
    nas_table table;
    int rc = nas_table_create(pipeline->n_platforms + 1, 8, &table, err);
    if (rc) return rc;
    nas_table_head(&table, titles);
    for (size_t i = 0; i < pipeline->n_platforms; i++) {
        const nas_candidate *c = &chosen[i];
        nas_cell *cells = nas_table_at(&table, i + 1, 0);
        snprintf(cells[0].text, sizeof cells[0].text, "%s", pipeline->platforms[i].name);
        cells[1] = nas_limits_text(&pipeline->platforms[i].constraints);
        cells[2] = nas_text_value(c->cost.latency_ms, "ms");
        cells[3] = nas_text_count(c->macs);
        cells[4] = nas_text_count(c->params);
        cells[5] = nas_text_bytes(c->cost.peak_bytes);
        snprintf(cells[6].text, sizeof cells[6].text, "%.4g", c->score);
        nas_genome_short(&context->space, &c->genome, cells[7].text, sizeof cells[7].text);
    }
    nas_table_print(&table, stdout);
    nas_table_free(&table);
    return NAS_OK;
}

int nas_chosen_print(const nas_context *context, const nas_candidate *chosen, nas_error *err) {
    return context->request->json ? print_json(context, chosen, err)
                                  : print_table(context, chosen, err);
}
