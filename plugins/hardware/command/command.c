/* Costs from the user's own program: a script around adb or ssh, a board's runner. It is started
 * with an argument vector and never through a shell, gets the network as files, and answers with
 * one line of JSON on its standard output. */
#include <nashost/export.h>
#include <nashost/hardware.h>
#include <nashost/kit/child.h>
#include <nashost/kit/json_file.h>
#include <nashost/kit/layers.h>
#include <nashost/kit/text.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct command_config {
    const char *const *command;
    const char *export;
    double timeout_s;
    int64_t retries;
    const char *device;
    int dtype;
    const char *export_dtype;
} command_config;

static const char *const dtypes[] = {"float32", "int8", NULL};

static const nas_option options[] = {
    NAS_STRINGS("command", command_config, command, NULL,
                "the program and its arguments; in them {network} stands for the path of a JSON "
                "description "
                "of the network, {file} for that of the exported network"),
    NAS_STRING("export", command_config, export, "null",
               "id of the export plugin that writes the file that {file} stands for"),
    NAS_FLOAT("timeout_s", command_config, timeout_s, "60", 0.001, 1e6, "s",
              "time after which the program and its children are killed and the try has failed"),
    NAS_INT("retries", command_config, retries, "2", 0, 100, NULL,
            "how many times the program is run again after a failure"),
    NAS_STRING(
        "device", command_config, device, "null",
        "name of the device in the tables that `nashost lut build` writes; if it is left out, the "
        "program's name"),
    NAS_ENUM(
        "dtype", command_config, dtype, "\"float32\"", dtypes,
        "type of weights and activations on the device, which the tables that `nashost lut build` "
        "writes say"),
    NAS_STRING("export_dtype", command_config, export_dtype, "null",
               "option dtype of the export plugin; if it is left out, that plugin's default"),
    {0},
};

typedef struct runner {
    const nas_host *host;
    command_config config;
    const nas_export_service *service;
    void *exporter; /* NULL: none */
} runner;

static bool mentions(const runner *r, const char *placeholder) {
    for (size_t i = 0; r->config.command[i]; i++)
        if (strstr(r->config.command[i], placeholder)) return true;
    return false;
}

/* ---- The network as files ---- */

static json_t *shape_json(nas_shape shape) {
    return json_pack("[I, I, I]", (json_int_t)shape.h, (json_int_t)shape.w, (json_int_t)shape.c);
}

static json_t *layer_json(const nas_layer *l) {
    json_t *inputs = l->input[1] == NAS_INPUT_NONE ? json_pack("[i]", l->input[0])
                                                   : json_pack("[i, i]", l->input[0], l->input[1]);
    json_t *padding =
        l->pad_before == l->kernel / 2
            ? NULL
            : json_pack("[I, I]", (json_int_t)l->pad_before, (json_int_t)nas_layer_pad_after(l));
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:b, s:I, s:I, s:I, s:o*}", "name", l->name,
        "op", nas_op_name(l->op), "activation", nas_activation_name(l->activation), "inputs",
        inputs, "in", shape_json(l->in), "out", shape_json(l->out), "kernel", (json_int_t)l->kernel,
        "stride", (json_int_t)l->stride, "expand", nas_json_plain(nas_layer_expand(l)),
        "squeeze_excite", (int)l->squeeze_excite, "macs", (json_int_t)l->macs, "weights",
        (json_int_t)l->weights, "biases", (json_int_t)l->biases, "padding", padding);
}

/* NULL: out of memory. */
static json_t *network_json(const nas_network *network) {
    json_t *layers = json_array();
    for (uint32_t i = 0; i < network->n_layers; i++)
        nas_json_add(&layers, layer_json(nas_network_layer(network, i)));
    json_t *json = json_object();
    if (network->genome) nas_json_put(&json, "genome", json_loads(network->genome, 0, NULL));
    nas_json_put(&json, "image", shape_json(network->image));
    nas_json_put(&json, "classes", json_integer((json_int_t)network->classes));
    nas_json_put(&json, "macs", json_integer((json_int_t)network->macs));
    nas_json_put(&json, "params", json_integer((json_int_t)network->params));
    nas_json_put(&json, "peak_elements", json_integer((json_int_t)network->peak_elements));
    nas_json_put(&json, "layers", layers);
    return json;
}

typedef struct scratch {
    char folder[256], network[300], file[400];
} scratch;

static void remove_scratch(const scratch *s) {
    unlink(s->network);
    unlink(s->file);
    rmdir(s->folder);
}

static int write_files(const runner *r, const nas_network *network, const scratch *s,
                       nas_error *err) {
    json_t *json = network_json(network);
    if (!json) return nas_fail(err, NAS_ERR_MEMORY, "command: out of memory");
    int rc = nas_json_write(s->network, json, JSON_INDENT(1), err);
    json_decref(json);
    if (rc) return rc;
    return r->exporter ? r->service->write(r->exporter, network, s->file, err) : NAS_OK;
}

/* A fresh folder with the files. On failure nothing is left. */
static int make_scratch(const runner *r, const nas_network *network, scratch *s, nas_error *err) {
    const char *base = getenv("TMPDIR");
    int n =
        snprintf(s->folder, sizeof s->folder, "%s/nashost-XXXXXX", base && *base ? base : "/tmp");
    if (n < 0 || (size_t)n >= sizeof s->folder || !mkdtemp(s->folder))
        return nas_fail(err, NAS_ERR_IO, "command: cannot make a folder in %.200s: %s",
                        base && *base ? base : "/tmp", strerror(errno));
    const char *extension = r->exporter ? r->service->extension(r->exporter) : "none";
    snprintf(s->network, sizeof s->network, "%s/network.json", s->folder);
    snprintf(s->file, sizeof s->file, "%s/network.%.64s", s->folder, extension);
    int rc = write_files(r, network, s, err);
    if (rc) remove_scratch(s);
    return rc;
}

/* ---- The argument vector ---- */

/* word with every {network} and {file} replaced; the caller frees. NULL: out of memory. */
static char *fill_word(const char *word, const scratch *s) {
    nas_text text = {0};
    while (*word) {
        const char *value = NULL;
        size_t n = 1;
        if (strncmp(word, "{network}", 9) == 0) value = s->network, n = 9;
        if (strncmp(word, "{file}", 6) == 0) value = s->file, n = 6;
        nas_text_add(&text, value ? value : word, value ? strlen(value) : 1);
        word += n;
    }
    return nas_text_take(&text);
}

static void free_words(char **words) {
    for (size_t i = 0; words && words[i]; i++) free(words[i]);
    free(words);
}

static char **fill_words(const char *const *command, const scratch *s) {
    size_t n = 0;
    while (command[n]) n++;
    char **words = calloc(n + 1, sizeof *words);
    for (size_t i = 0; words && i < n; i++) {
        words[i] = fill_word(command[i], s);
        if (words[i]) continue;
        free_words(words);
        return NULL;
    }
    return words;
}

/* ---- Its answer ---- */

/* A number of at least 0, or nothing (absent or null): `unknown`. */
static int read_number(const json_t *json, const char *key, bool whole, double *value,
                       nas_error *err) {
    const json_t *item = json_object_get(json, key);
    *value = NAN;
    if (!item || json_is_null(item)) return NAS_OK;
    double number = json_number_value(item);
    if ((whole ? json_is_integer(item) : json_is_number(item)) && number >= 0) {
        *value = number;
        return NAS_OK;
    }
    return nas_json_fail("its answer", key, item,
                         whole ? "an integer of at least 0" : "a number of at least 0", err);
}

static uint64_t count_of(double value) {
    return isnan(value) ? UINT64_MAX : (uint64_t)value;
}

static int read_costs(const json_t *json, nas_cost *cost, nas_error *err) {
    const char *reason = json_string_value(json_object_get(json, "infeasible"));
    double peak, flash;
    if (reason)
        return nas_fail(err, NAS_ERR_INFEASIBLE, "the device cannot run it: %.400s", reason);
    int rc = read_number(json, "latency_ms", false, &cost->latency_ms, err);
    if (!rc && !(cost->latency_ms > 0))
        rc = nas_fail(err, NAS_ERR_INPUT, "latency_ms: expected a number above 0");
    if (!rc) rc = read_number(json, "energy_mj", false, &cost->energy_mj, err);
    if (!rc) rc = read_number(json, "peak_bytes", true, &peak, err);
    if (!rc) rc = read_number(json, "flash_bytes", true, &flash, err);
    if (rc) return rc;
    cost->peak_bytes = count_of(peak);
    cost->flash_bytes = count_of(flash);
    cost->known_share = 1;
    return NAS_OK;
}

static int read_answer(char *output, nas_cost *cost, nas_error *err) {
    json_t *json;
    int rc = nas_child_answer(output, &json, err);
    if (!rc) rc = read_costs(json, cost, err);
    json_decref(json);
    return rc;
}

/* ---- Costs ---- */

/* One try. *fatal: another one is of no use. */
static int try_once(const runner *r, char **words, nas_cost *cost, bool *fatal, nas_error *err) {
    nas_child c = {.out = -1, .err = -1, .output = malloc(NAS_CHILD_OUTPUT + 1)};
    nas_error why = {0};
    *fatal = true;
    if (!c.output) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    int rc = nas_child_start(words, &c, err);
    if (!rc) {
        rc = nas_child_collect(&c, r->config.timeout_s, &why);
        if (!rc) rc = read_answer(c.output, cost, &why);
        *fatal = rc == NAS_ERR_INFEASIBLE;
        if (rc)
            nas_fail(err, rc, "\"%.100s\": %.450s%s%s", words[0], nas_child_line(why.message),
                     c.n_tail ? "; its standard error ends with: " : "", nas_child_line(c.tail));
    }
    free(c.output);
    return rc;
}

static int run_program(const runner *r, char **words, nas_cost *cost, nas_error *err) {
    bool fatal = false;
    int rc = try_once(r, words, cost, &fatal, err);
    for (int64_t i = 0; rc && !fatal && i < r->config.retries; i++) {
        if (r->host) r->host->log(r->host, NAS_WARNING, err->message);
        rc = try_once(r, words, cost, &fatal, err);
    }
    return rc;
}

static int cost(void *self, const nas_network *network, nas_cost *result, nas_error *err) {
    const runner *r = self;
    scratch s = {0};
    int rc = make_scratch(r, network, &s, err);
    if (rc) return rc;
    char **words = fill_words(r->config.command, &s);
    nas_error why = {0};
    rc = words ? run_program(r, words, result, &why)
               : nas_fail(&why, NAS_ERR_MEMORY, "out of memory");
    if (rc) nas_fail(err, rc, "command: %.1000s", why.message);
    free_words(words);
    remove_scratch(&s);
    return rc;
}

static int target(void *self, nas_target *result, nas_error *err) {
    (void)err;
    const runner *r = self;
    result->threads = result->batch = 1;
    result->device = r->config.device ? r->config.device : r->config.command[0];
    result->runtime = r->config.command[0];
    result->dtype = dtypes[r->config.dtype];
    return NAS_OK;
}

static const void *extension(void *self, const char *id) {
    static const nas_measure_api measure = {sizeof measure, target, NULL};
    (void)self;
    static const nas_commands_api commands = {sizeof commands};
    if (strcmp(id, NAS_EXT_COMMANDS) == 0) return &commands;
    return strcmp(id, NAS_EXT_MEASURE) == 0 ? &measure : NULL;
}

/* ---- Life ---- */

static void destroy(void *self) {
    runner *r = self;
    if (r && r->exporter) r->service->close(r->exporter);
    free(r);
}

static int open_exporter(runner *r, nas_error *err) {
    if (!r->config.export) return NAS_OK;
    r->service = r->host ? r->host->extension(r->host, NAS_EXT_EXPORT) : NULL;
    if (!r->service)
        return nas_fail(err, NAS_ERR_INPUT, "command: export: this host cannot export from here");
    if (!r->config.export_dtype)
        return r->service->open(r->host, r->config.export, &r->exporter, err);
    if (!NAS_HAS(r->service, open_as))
        return nas_fail(err, NAS_ERR_INPUT,
                        "command: export_dtype: this host cannot set it; use a newer nashost");
    return r->service->open_as(r->host, r->config.export, r->config.export_dtype, &r->exporter,
                               err);
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    runner *r = calloc(1, sizeof *r);
    if (!r) return nas_fail(err, NAS_ERR_MEMORY, "command: out of memory");
    r->host = host;
    r->config = *(const command_config *)config;
    int rc = NAS_OK;
    if (!r->config.command[0] || !r->config.command[0][0])
        rc = nas_fail(err, NAS_ERR_INPUT, "command: command: expected a program, found none");
    else if (mentions(r, "{file}") != (r->config.export != NULL))
        rc = nas_fail(
            err, NAS_ERR_INPUT,
            "command: expected {file} in the command and the option export together, found "
            "%s alone",
            r->config.export ? "export" : "{file}");
    if (!rc) rc = open_exporter(r, err);
    if (rc)
        destroy(r);
    else
        *self = r;
    return rc;
}

static const nas_hardware_api api = {sizeof api, cost};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_HARDWARE,
    .id = "command",
    .version = "0.1.0",
    .summary = "costs from your own program, such as a script that measures on a board",
    .license = "Apache-2.0",
    .source = "docs/hardware.md",
    .options = options,
    .config_size = sizeof(command_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
