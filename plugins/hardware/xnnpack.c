/* Measures a network on this machine with XNNPACK, the engine under TensorFlow Lite's and PyTorch's
 * float inference on phones: one image, NHWC float32. ReLU and h-sigmoid are fused into the
 * operator before them (h-sigmoid as clamp(x / 6 + 1/2, 0, 1), the division folded into the
 * weights); h-swish is an operator of its own, as in TensorFlow Lite, and so are sigmoid and the
 * product that makes swish of it. */
#include <nashost/kit/layers.h>
#include <nashost/kit/statistics.h>

#include <math.h>
#include <pthreadpool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <xnnpack.h>

typedef struct xnnpack_config {
    int64_t threads, warmup, samples;
    double sample_us, outliers;
    int clock;
    const char *device;
} xnnpack_config;

static const char *const clocks[] = {"wall", "cpu", NULL};

static const nas_option options[] = {
    NAS_INT("threads", xnnpack_config, threads, "1", 1, 64, "threads",
            "number of threads that share the work of one run"),
    NAS_INT("warmup", xnnpack_config, warmup, "10", 1, 1e6, "runs",
            "number of runs before the first one that is timed"),
    NAS_INT("samples", xnnpack_config, samples, "50", 3, 1e5, NULL,
            "number of timings of a network; their median is its latency"),
    NAS_FLOAT("sample_us", xnnpack_config, sample_us, "500", 0, 1e6, "us",
              "least time of a sample, which is the mean of as many runs as last this long"),
    NAS_FLOAT("outliers", xnnpack_config, outliers, "3", 0, INFINITY, "spreads",
              "distance from the median beyond which a sample is left out"),
    NAS_ENUM("clock", xnnpack_config, clock, "\"wall\"", clocks,
             "clock that runs are timed by: wall, the time that passes; cpu, the time that the one "
             "thread "
             "ran, for a machine that has other work to do"),
    NAS_STRING("device", xnnpack_config, device, "null",
               "name of this machine in the tables that `nashost lut build` writes; if it is left "
               "out, the "
               "processor's name"),
    {0},
};

typedef struct runner {
    const nas_host *host;
    xnnpack_config config;
    pthreadpool_t pool; /* NULL: one thread, the caller */
    double *samples;    /* [config.samples] */
    char device[96];
    bool unsteady; /* has been said */
} runner;

/* External tensors. A network has the first two; a single layer that reads two tensors has all. */
enum { ID_INPUT = 0, ID_OUTPUT = 1, ID_SECOND = 2 };
#define INPUT_SECOND (-3) /* a layer's input[]: the tensor ID_SECOND */

typedef struct graph {
    xnn_subgraph_t subgraph;
    xnn_runtime_t runtime;
    size_t n_owned, n_external;
    float **owned; /* weights and external tensors */
    struct xnn_external_value external[3];
    uint32_t noise; /* state of the numbers that stand for weights that were not given */
} graph;

static int failed(enum xnn_status status, const char *what, nas_error *err) {
    static const char *const words[] = {
        "success",       "not initialised",       "invalid parameter",
        "invalid state", "unsupported parameter", "unsupported hardware",
        "out of memory"};
    const char *word =
        (size_t)status < sizeof words / sizeof *words ? words[status] : "unknown status";
    int code = status == xnn_status_out_of_memory ? NAS_ERR_MEMORY : NAS_ERR_INPUT;
    return nas_fail(err, code, "xnnpack: %.60s: XNNPACK says: %s", what, word);
}

/* ---- Building ---- */

/* Memory that lives as long as the graph; NULL: none left. XNNPACK may read beyond a tensor. */
static float *own(graph *g, size_t n) {
    size_t bytes = (n * sizeof(float) + XNN_EXTRA_BYTES + 63) / 64 * 64;
    float *memory = aligned_alloc(64, bytes);
    if (memory) g->owned[g->n_owned++] = memset(memory, 0, bytes);
    return memory;
}

/* Uniform in [-1, 1): Marsaglia's xorshift with shifts 13, 17, 5 (doi 10.18637/jss.v008.i14). */
static float noise(graph *g) {
    g->noise ^= g->noise << 13;
    g->noise ^= g->noise >> 17;
    g->noise ^= g->noise << 5;
    return (float)(g->noise >> 8) / (float)(1 << 23) - 1;
}

static float scale_of(const nas_layer *layer) {
    return layer->activation == NAS_ACT_HSIGMOID ? 1.0f / 6 : 1;
}

/* A layer's weights, in XNNPACK's order [out][k][k][in] if it is a dense convolution. Without them,
 * numbers of the variance that keeps activations from growing or vanishing. */
static float *copy_weights(graph *g, const nas_layer *layer) {
    size_t n = layer->weights, out = layer->out.c, rest = n / out;
    float *to = own(g, n), scale = scale_of(layer);
    if (!to) return NULL;
    size_t fan_in = layer->op == NAS_OP_DEPTHWISE ? (size_t)layer->kernel * layer->kernel : rest;
    float bound = sqrtf(6 / (float)fan_in);
    for (size_t i = 0; i < n; i++) {
        size_t from = layer->op == NAS_OP_CONV ? i % rest * out + i / rest : i;
        to[i] = scale * (layer->weight ? layer->weight[from] : bound * noise(g));
    }
    return to;
}

static float *copy_bias(graph *g, const nas_layer *layer) {
    float *to = own(g, layer->out.c);
    for (uint32_t i = 0; to && i < layer->out.c; i++) {
        float bias = layer->bias ? layer->bias[i] : 0;
        to[i] = scale_of(layer) * bias + (layer->activation == NAS_ACT_HSIGMOID ? 0.5f : 0);
    }
    return to;
}

static enum xnn_status add_tensor(graph *g, size_t n_dims, const size_t *dims, const float *data,
                                  uint32_t *id) {
    uint32_t flags = *id == ID_OUTPUT              ? XNN_VALUE_FLAG_EXTERNAL_OUTPUT
                     : *id == XNN_INVALID_VALUE_ID ? 0
                                                   : XNN_VALUE_FLAG_EXTERNAL_INPUT;
    return xnn_define_tensor_value(g->subgraph, xnn_datatype_fp32, n_dims, dims, data, *id, flags,
                                   id);
}

static enum xnn_status add_activations(graph *g, nas_shape shape, uint32_t *id) {
    return add_tensor(g, 4, (const size_t[]){1, shape.h, shape.w, shape.c}, NULL, id);
}

/* An external tensor filled with noise. */
static enum xnn_status add_external(graph *g, nas_shape shape, uint32_t id) {
    float *memory = own(g, nas_shape_elements(shape));
    if (!memory) return xnn_status_out_of_memory;
    for (size_t i = 0; i < nas_shape_elements(shape); i++) memory[i] = noise(g);
    g->external[g->n_external++] = (struct xnn_external_value){id, memory};
    return add_activations(g, shape, &id);
}

/* A layer with weights: op(in) + bias, clamped. */
static enum xnn_status add_weighted(graph *g, const nas_layer *l, float low, float high,
                                    uint32_t in, uint32_t out) {
    size_t k = l->kernel, from = l->in.c, to = l->out.c;
    const size_t conv[] = {to, k, k, from}, depthwise[] = {1, k, k, to}, linear[] = {from, to};
    const size_t *dims = l->op == NAS_OP_CONV        ? conv
                         : l->op == NAS_OP_DEPTHWISE ? depthwise
                                                     : linear;
    const float *weights = copy_weights(g, l), *biases = copy_bias(g, l);
    if (!weights || !biases) return xnn_status_out_of_memory;
    uint32_t filter = XNN_INVALID_VALUE_ID, bias = XNN_INVALID_VALUE_ID;
    enum xnn_status status = add_tensor(g, l->op == NAS_OP_LINEAR ? 2 : 4, dims, weights, &filter);
    if (!status) status = add_tensor(g, 1, &to, biases, &bias);
    if (status) return status;
    uint32_t kernel = l->kernel, stride = l->stride, before = l->pad_before,
             after = nas_layer_pad_after(l);
    if (l->op == NAS_OP_CONV)
        return xnn_define_convolution_2d(g->subgraph, before, after, after, before, kernel, kernel,
                                         stride, stride, 1, 1, 1, from, to, low, high, in, filter,
                                         bias, out, 0);
    if (l->op == NAS_OP_DEPTHWISE)
        return xnn_define_depthwise_convolution_2d(g->subgraph, before, after, after, before,
                                                   kernel, kernel, stride, stride, 1, 1, 1, from,
                                                   low, high, in, filter, bias, out, 0);
    return xnn_define_fully_connected(g->subgraph, low, high, in, filter, bias, out,
                                      XNN_FLAG_TRANSPOSE_WEIGHTS);
}

static enum xnn_status add_operator(graph *g, const nas_layer *l, const uint32_t in[2],
                                    uint32_t out) {
    bool six = l->activation == NAS_ACT_RELU6, gate = l->activation == NAS_ACT_HSIGMOID;
    float low = six || gate || l->activation == NAS_ACT_RELU ? 0 : -INFINITY;
    float high = six ? 6 : gate ? 1 : INFINITY;
    switch (l->op) {
    case NAS_OP_POOL:
        return xnn_define_global_average_pooling_2d(g->subgraph, low, high, in[0], out, 0);
    case NAS_OP_SCALE:
        return xnn_define_multiply2(g->subgraph, low, high, in[0], in[1], out, 0);
    case NAS_OP_ADD:
        return xnn_define_add2(g->subgraph, low, high, in[0], in[1], out, 0);
    default:
        return add_weighted(g, l, low, high, in[0], out);
    }
}

static bool stands_apart(uint32_t activation) {
    return activation == NAS_ACT_HSWISH || activation == NAS_ACT_SWISH ||
           activation == NAS_ACT_SIGMOID;
}

/* The operators of an activation that stands apart. */
static enum xnn_status add_activation(graph *g, const nas_layer *l, uint32_t in, uint32_t out) {
    if (l->activation == NAS_ACT_HSWISH) return xnn_define_hardswish(g->subgraph, in, out, 0);
    if (l->activation == NAS_ACT_SIGMOID) return xnn_define_sigmoid(g->subgraph, in, out, 0);
    uint32_t gate = XNN_INVALID_VALUE_ID;
    enum xnn_status status = add_activations(g, l->out, &gate);
    if (!status) status = xnn_define_sigmoid(g->subgraph, in, gate, 0);
    return status ? status
                  : xnn_define_multiply2(g->subgraph, -INFINITY, INFINITY, in, gate, out, 0);
}

/* Adds a layer whose result is tensor *out: given, or made here. */
static enum xnn_status add_layer(graph *g, const nas_layer *l, const uint32_t in[2],
                                 uint32_t *out) {
    enum xnn_status status = xnn_status_success;
    if (*out != ID_OUTPUT) status = add_activations(g, l->out, out);
    if (status || !stands_apart(l->activation))
        return status ? status : add_operator(g, l, in, *out);
    uint32_t before = XNN_INVALID_VALUE_ID;
    status = add_activations(g, l->out, &before);
    if (!status) status = add_operator(g, l, in, before);
    return status ? status : add_activation(g, l, before, *out);
}

/* Refuses what XNNPACK would take for something else. */
static int check_layer(const nas_layer *l, nas_error *err) {
    bool weighted = nas_layer_weighs(l);
    uint64_t filter = (uint64_t)nas_layer_depth(l) * l->kernel * l->kernel;
    uint64_t weights = weighted ? filter * l->out.c : 0;
    if (l->op < NAS_OP_CONV || l->op > NAS_OP_ADD || l->activation > NAS_ACT_SIGMOID ||
        (!weighted && l->activation == NAS_ACT_HSIGMOID))
        return nas_fail(err, NAS_ERR_INPUT,
                        "xnnpack: layer %.39s: expected a known operation and activation, found "
                        "numbers %u and %u",
                        l->name, l->op, l->activation);
    if (l->weights != weights || !nas_shape_elements(l->out) ||
        (l->op == NAS_OP_LINEAR && l->in.h * l->in.w != 1))
        return nas_fail(err, NAS_ERR_INPUT,
                        "xnnpack: layer %.39s: its shapes do not fit: expected %llu weights, found "
                        "%llu",
                        l->name, (unsigned long long)weights, (unsigned long long)l->weights);
    return NAS_OK;
}

/* The tensor that input j of layer i stands for. */
static bool find_input(const nas_layer *l, int j, uint32_t i, const uint32_t *ids, uint32_t *id) {
    int32_t from = l->input[j];
    *id = from == INPUT_SECOND ? ID_SECOND : ID_INPUT;
    if (from >= 0 && from < (int32_t)i) *id = ids[from];
    bool wanted = j == 0 || l->op == NAS_OP_ADD || l->op == NAS_OP_SCALE;
    return !wanted || (from < (int32_t)i && from != NAS_INPUT_NONE);
}

/* Adds layer i of net. ids [i]: the tensors of the layers before it. */
static int add_next(graph *g, const nas_network *net, uint32_t i, uint32_t *ids, nas_error *err) {
    const nas_layer *l = nas_network_layer(net, i);
    uint32_t in[2];
    int rc = check_layer(l, err);
    if (rc) return rc;
    if (!find_input(l, 0, i, ids, &in[0]) || !find_input(l, 1, i, ids, &in[1]))
        return nas_fail(
            err, NAS_ERR_INPUT,
            "xnnpack: layer %.39s: expected inputs from earlier layers, found %d and %d", l->name,
            l->input[0], l->input[1]);
    ids[i] = i + 1 == net->n_layers ? ID_OUTPUT : XNN_INVALID_VALUE_ID;
    enum xnn_status status = add_layer(g, l, in, &ids[i]);
    return status ? failed(status, l->name, err) : NAS_OK;
}

static void free_graph(graph *g) {
    if (g->runtime) xnn_delete_runtime(g->runtime);
    if (g->subgraph) xnn_delete_subgraph(g->subgraph);
    for (size_t i = 0; i < g->n_owned; i++) free(g->owned[i]);
    free(g->owned);
}

/* The subgraph with its external tensors and layers; ids is scratch [n_layers]. */
static int fill_graph(graph *g, const nas_network *net, const nas_shape *second, uint32_t *ids,
                      nas_error *err) {
    nas_shape last = nas_network_layer(net, net->n_layers - 1)->out;
    enum xnn_status status = xnn_create_subgraph(second ? 3 : 2, 0, &g->subgraph);
    if (!status) status = add_external(g, net->image, ID_INPUT);
    if (!status) status = add_external(g, last, ID_OUTPUT);
    if (!status && second) status = add_external(g, *second, ID_SECOND);
    int rc = status ? failed(status, "the tensors", err) : NAS_OK;
    for (uint32_t i = 0; i < net->n_layers && !rc; i++) rc = add_next(g, net, i, ids, err);
    return rc;
}

/* second: the shape of a second external input, or NULL. On failure nothing is left. */
static int build(const runner *r, const nas_network *net, const nas_shape *second, graph *g,
                 nas_error *err) {
    *g = (graph){.noise = 0x9e3779b9u};
    if (!net->n_layers) return nas_fail(err, NAS_ERR_INPUT, "xnnpack: expected layers, found none");
    g->owned = malloc((2 * (size_t)net->n_layers + 3) * sizeof *g->owned);
    uint32_t *ids = malloc(net->n_layers * sizeof *ids);
    int rc = g->owned && ids ? fill_graph(g, net, second, ids, err)
                             : nas_fail(err, NAS_ERR_MEMORY, "xnnpack: out of memory");
    free(ids);
    if (!rc) {
        /* Without the flag idle threads spin; TensorFlow Lite sets it too. */
        uint32_t flags = r->pool ? XNN_FLAG_YIELD_WORKERS : 0;
        enum xnn_status status = xnn_create_runtime_v2(g->subgraph, r->pool, flags, &g->runtime);
        if (!status) status = xnn_setup_runtime(g->runtime, g->n_external, g->external);
        if (status) rc = failed(status, "the network", err);
    }
    if (rc) free_graph(g);
    return rc;
}

/* ---- Timing ---- */

static double now_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
}

/* Microseconds of one run, the mean of n. */
static int run(graph *g, size_t n, clockid_t clock, double *us, nas_error *err) {
    double start = now_us(clock);
    for (size_t i = 0; i < n; i++) {
        enum xnn_status status = xnn_invoke_runtime(g->runtime);
        if (status) return failed(status, "a run", err);
    }
    *us = (now_us(clock) - start) / (double)n;
    return NAS_OK;
}

static int time_graph(runner *r, graph *g, nas_measurement *result, nas_error *err) {
    const xnnpack_config *config = &r->config;
    size_t n = (size_t)config->samples, repeat = 1;
    clockid_t clock = config->clock ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    double us = 0;
    int rc = run(g, (size_t)config->warmup, clock, &us, err);
    if (!rc) rc = run(g, 1, clock, &us, err); /* alone: the warm-up's mean holds its first run */
    if (us < config->sample_us) repeat = (size_t)(config->sample_us / fmax(us, 0.01)) + 1;
    for (size_t i = 0; i < n && !rc; i++) rc = run(g, repeat, clock, &r->samples[i], err);
    if (!rc) nas_summarise(r->samples, r->samples + n, n, config->outliers, result);
    return rc;
}

/* Logs what was measured; once a warning, if it is of little use. */
static void tell(runner *r, const char *what, const nas_measurement *m) {
    char line[200];
    double share = 100 * m->spread_ms / m->median_ms;
    if (!r->host) return;
    snprintf(line, sizeof line, "%s: %.6g ms, spread %.1f %%, %u of %lld samples", what,
             m->median_ms, share, m->count, (long long)r->config.samples);
    r->host->log(r->host, NAS_DEBUG, line);
    if (!(share > 20) || r->unsteady) return;
    snprintf(line, sizeof line,
             "the measured times spread by %.0f %%: other programs keep this machine busy", share);
    r->host->log(r->host, NAS_WARNING, line);
    r->unsteady = true;
}

/* Builds, times and frees. second: as for build. */
static int measure(runner *r, const nas_network *network, const nas_shape *second, const char *what,
                   nas_measurement *result, nas_error *err) {
    graph g;
    int rc = build(r, network, second, &g, err);
    if (rc) return rc;
    rc = time_graph(r, &g, result, err);
    free_graph(&g);
    if (!rc) tell(r, what, result);
    return rc;
}

static int cost(void *self, const nas_network *network, nas_cost *result, nas_error *err) {
    nas_measurement measured;
    int rc = measure(self, network, NULL, "network", &measured, err);
    if (rc) return rc;
    result->latency_ms = measured.median_ms;
    result->energy_mj = NAN;
    result->peak_bytes = sizeof(float) * network->peak_elements;
    result->flash_bytes = nas_network_stored_bytes(network, sizeof(float));
    result->known_share = 1;
    return NAS_OK;
}

/* ---- Extensions ---- */

static int target(void *self, nas_target *result, nas_error *err) {
    (void)err;
    const runner *r = self;
    result->threads = (uint32_t)r->config.threads;
    result->batch = 1;
    result->device = r->device;
    result->runtime = r->config.clock ? "XNNPACK, CPU time" : "XNNPACK";
    result->dtype = "float32";
    return NAS_OK;
}

static int measure_layer(void *self, const nas_layer *layer, nas_measurement *result,
                         nas_error *err) {
    nas_layer alone = *layer;
    bool two = layer->op == NAS_OP_ADD || layer->op == NAS_OP_SCALE;
    nas_shape second = layer->op == NAS_OP_ADD ? layer->in : (nas_shape){1, 1, layer->in.c};
    alone.input[0] = NAS_INPUT_IMAGE;
    alone.input[1] = two ? INPUT_SECOND : NAS_INPUT_NONE;
    nas_network network = {.size = sizeof network,
                           .layer_size = sizeof alone,
                           .n_layers = 1,
                           .layers = &alone,
                           .image = layer->in};
    return measure(self, &network, two ? &second : NULL, layer->name, result, err);
}

static int check_executable(const nas_network *network, nas_error *err) {
    for (uint32_t i = 0; i < network->n_layers; i++) {
        const nas_layer *layer = nas_network_layer(network, i);
        if (layer->weights && (!layer->weight || !layer->bias))
            return nas_fail(err, NAS_ERR_INPUT,
                            "xnnpack: layer %.39s: expected weights, found none", layer->name);
    }
    if (network->n_layers &&
        nas_shape_elements(nas_network_layer(network, network->n_layers - 1)->out) ==
            network->classes)
        return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "xnnpack: expected a last layer of %u values",
                    network->classes);
}

static int execute(void *self, const nas_network *network, const float *images, uint32_t n,
                   float *logits, nas_error *err) {
    graph g;
    int rc = check_executable(network, err);
    if (!rc) rc = build(self, network, NULL, &g, err);
    if (rc) return rc;
    size_t image = nas_shape_elements(network->image), classes = network->classes;
    double us;
    for (uint32_t i = 0; i < n && !rc; i++) {
        memcpy(g.external[ID_INPUT].data, images + i * image, image * sizeof *images);
        rc = run(&g, 1, CLOCK_MONOTONIC, &us, err);
        memcpy(logits + i * classes, g.external[ID_OUTPUT].data, classes * sizeof *logits);
    }
    free_graph(&g);
    return rc;
}

static const void *extension(void *self, const char *id) {
    static const nas_measure_api measure_api = {sizeof measure_api, target, measure_layer};
    static const nas_execute_api execute_api = {sizeof execute_api, execute};
    (void)self;
    if (strcmp(id, NAS_EXT_MEASURE) == 0) return &measure_api;
    return strcmp(id, NAS_EXT_EXECUTE) == 0 ? &execute_api : NULL;
}

/* ---- Life ---- */

/* The processor's name as Linux gives it, else the architecture. */
static void name_device(char *name, size_t size) {
    struct utsname system;
    char line[256];
    snprintf(name, size, "%s", uname(&system) == 0 ? system.machine : "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "model name", 10) != 0 || !strstr(line, ": ")) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(name, size, "%s", strstr(line, ": ") + 2);
        break;
    }
    if (file) fclose(file);
}

static void destroy(void *self) {
    runner *r = self;
    if (!r) return;
    if (r->pool) pthreadpool_destroy(r->pool);
    free(r->samples);
    free(r);
    xnn_deinitialize();
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    const xnnpack_config *given = config;
    if (given->clock && given->threads > 1)
        return nas_fail(err, NAS_ERR_INPUT,
                        "xnnpack: clock: \"cpu\" sees one thread alone; expected threads 1, found "
                        "%lld",
                        (long long)given->threads);
    enum xnn_status status = xnn_initialize(NULL);
    if (status) return failed(status, "initialisation", err);
    runner *r = calloc(1, sizeof *r);
    if (r) {
        r->host = host;
        r->config = *given;
        r->samples = calloc(2 * (size_t)r->config.samples, sizeof *r->samples);
        if (r->config.threads > 1) r->pool = pthreadpool_create((size_t)r->config.threads);
        name_device(r->device, sizeof r->device);
        if (r->config.device) snprintf(r->device, sizeof r->device, "%s", r->config.device);
    }
    if (!r || !r->samples || (r->config.threads > 1 && !r->pool)) {
        if (!r) xnn_deinitialize();
        destroy(r);
        return nas_fail(err, NAS_ERR_MEMORY, "xnnpack: out of memory");
    }
    *self = r;
    return NAS_OK;
}

static const nas_hardware_api api = {sizeof api, cost};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_HARDWARE,
    .id = "xnnpack",
    .version = "0.1.0",
    .summary = "latency measured on this machine with XNNPACK, the float engine of phones",
    .license = "Apache-2.0",
    .source = "https://github.com/google/XNNPACK",
    .options = options,
    .config_size = sizeof(xnnpack_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
