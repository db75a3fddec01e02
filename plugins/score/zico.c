/* How large and how steady the gradients are from batch to batch: the sum over kernels of log sum
 * (mean abs g / std g), mean and standard deviation of each weight's gradient g over some batches
 * of labelled images. A weight whose gradient is the same for all is skipped; a kernel of such
 * weights alone adds nothing. */
#include <nashost/kit/proxy.h>

#include <math.h>
#include <stdlib.h>

typedef struct config {
    int64_t images, batches;
    int weights; /* nas_probe_weights */
} config;

/* Of every kernel's gradients, one after the other in the order of the calls. */
typedef struct moments {
    uint64_t n, room, next;
    double *size, *mean, *spread; /* sum of abs g; running mean; sum of squared distances from it */
    uint32_t batch;
    bool failed; /* out of memory */
} moments;

static bool grow(double **values, uint64_t n) {
    double *more = realloc(*values, n * sizeof *more);
    if (more) *values = more;
    return more;
}

static bool make_room(moments *m, uint64_t n) {
    if (n <= m->room) return true;
    uint64_t room = 2 * n;
    if (!grow(&m->size, room) || !grow(&m->mean, room) || !grow(&m->spread, room)) return false;
    m->room = room;
    return true;
}

/* Welford's update: equal gradients leave a spread of exactly 0. */
static void add(void *context, const nas_probe_layer *at) {
    moments *m = context;
    if (!at->weight_grad || m->failed) return;
    uint64_t n = at->layer->weights;
    m->failed = !make_room(m, m->next + n);
    for (uint64_t i = 0; i < n && !m->failed; i++) {
        uint64_t to = m->next + i;
        double g = at->weight_grad[i];
        if (!m->batch) m->size[to] = m->mean[to] = m->spread[to] = 0;
        double before = g - m->mean[to];
        m->size[to] += fabs(g);
        m->mean[to] += before / (m->batch + 1);
        m->spread[to] += before * (g - m->mean[to]);
    }
    m->next += n;
}

/* log sum (mean abs g / std g) of weights first ... end - 1. */
static double of_kernel(const moments *m, uint64_t first, uint64_t end, double batches) {
    double total = 0;
    for (uint64_t i = first; i < end; i++)
        if (m->spread[i] > 0) total += m->size[i] / batches / sqrt(m->spread[i] / batches);
    return total > 0 ? log(total) : 0;
}

static double add_up(const moments *m, const nas_network *network, double batches) {
    uint64_t first = 0;
    double value = 0;
    for (uint32_t i = network->n_layers; i-- > 0;) { /* as backward went */
        uint64_t n = nas_network_layer(network, i)->weights;
        value += of_kernel(m, first, first + n, batches);
        first += n;
    }
    return value;
}

static uint64_t largest_batch(const config *me, const nas_subnet *subnet) {
    return NAS_HAS(subnet, labelled) ? subnet->labelled / (uint64_t)me->batches : 0;
}

static int check(void *self, const nas_subnet *subnet, nas_error *err) {
    const config *me = self;
    if (largest_batch(me, subnet)) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "zico: expected at least %lld labelled images, one for each batch; label more "
                    "or lower the number of batches",
                    (long long)me->batches);
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    const config *me = self;
    uint64_t count = (uint64_t)me->images;
    uint64_t most = largest_batch(me, subnet);
    moments m = {0};
    int rc = check(self, subnet, err);
    for (; m.batch < (uint64_t)me->batches && !rc && !m.failed; m.batch++) {
        nas_probe probe = {.size = sizeof probe,
                           .images = NAS_PROBE_LABELLED,
                           .count = (uint32_t)(count < most ? count : most), /* no image twice */
                           .weights = (uint32_t)me->weights,
                           .objective = NAS_PROBE_CROSS_ENTROPY,
                           .batch = m.batch,
                           .context = &m,
                           .backward = add};
        m.next = 0;
        rc = nas_probe_run(subnet, &probe, err);
    }
    if (!rc && m.failed) rc = nas_fail(err, NAS_ERR_MEMORY, "zico: out of memory");
    if (!rc) *value = add_up(&m, subnet->network, (double)me->batches);
    free(m.size);
    free(m.mean);
    free(m.spread);
    return rc;
}

static const nas_option options[] = {
    NAS_PROXY_IMAGES(config, "64", 1, "most images in a batch"),
    NAS_INT("batches", config, batches, "2", 2, 256, "batches",
            "number of batches whose gradients are compared"),
    NAS_PROXY_WEIGHTS(config, "initial"),
    {0},
};

static const nas_plugin plugin = {
    NAS_PROXY_CHECKED(score, check),
    .id = "zico",
    .version = "0.1.0",
    .summary = "how large and how steady gradients are from batch to batch",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2301.11300",
    .options = options,
    .config_size = sizeof(config),
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
