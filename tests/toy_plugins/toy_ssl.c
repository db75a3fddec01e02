/* Pseudo-labels above a threshold that follows the teacher's confidence, so that what it keeps
 * between steps decides the gradient. TOY_STOP_AT=N in the environment sends the process SIGUSR1
 * in step N; the option "diverge_at" makes a step's loss infinite. */
#include <math.h>
#include <nashost/kit/logits.h>
#include <nashost/kit/state.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct toy_config {
    int64_t diverge_at;
} toy_config;

typedef struct toy {
    toy_config config;
    double threshold;
} toy;

static const nas_option options[] = {
    NAS_INT("diverge_at", toy_config, diverge_at, "-1", -1, 1e6, "step",
            "whose loss is infinite; -1: none"),
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

static void update(toy *me, const nas_ssl_batch *batch) {
    const float *weak = batch->teacher[NAS_VIEW_WEAK];
    double sum = 0;
    for (size_t i = 0; i < batch->unlabelled; i++)
        sum += nas_confidence(weak + i * batch->classes, batch->classes, NULL);
    if (batch->unlabelled)
        me->threshold = 0.9 * me->threshold + 0.1 * sum / (double)batch->unlabelled;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    toy *me = self;
    const char *stop = getenv("TOY_STOP_AT");
    if (stop && batch->step == strtoull(stop, NULL, 10)) raise(SIGUSR1);
    if (batch->subnet == 0) update(me, batch);
    int rc = nas_labelled_term(batch, result, err);
    if (rc) return rc;
    size_t n = batch->classes, rows = batch->unlabelled;
    double sum = 0;
    for (size_t i = 0; i < rows; i++) {
        double sure =
            nas_confidence(batch->teacher[NAS_VIEW_WEAK] + i * n, n, &result->pseudo_labels[i]);
        if (sure < me->threshold) continue;
        result->weights[i] = 1;
        sum +=
            nas_cross_entropy(batch->student[NAS_VIEW_STRONG] + i * n, n, result->pseudo_labels[i],
                              0, 1 / (double)rows, result->student_grad[NAS_VIEW_STRONG] + i * n);
    }
    result->n_metrics = 1;
    result->metrics[0].name = "threshold";
    result->metrics[0].value = me->threshold;
    if ((int64_t)batch->step == me->config.diverge_at) sum = INFINITY;
    return nas_total_loss(result, 1, rows ? sum / (double)rows : 0, err);
}

static size_t state_bytes(void *self) {
    (void)self;
    return sizeof(double);
}

static int state_save(void *self, void *buffer, nas_error *err) {
    (void)err;
    memcpy(buffer, &((toy *)self)->threshold, sizeof(double));
    return NAS_OK;
}

static int state_load(void *self, const void *buffer, size_t bytes, nas_error *err) {
    if (bytes != sizeof(double))
        return nas_fail(err, NAS_ERR_INPUT, "expected %zu bytes, found %zu", sizeof(double), bytes);
    memcpy(&((toy *)self)->threshold, buffer, bytes);
    return NAS_OK;
}

static const void *extension(void *self, const char *id) {
    static const nas_state_api state = {sizeof state, state_bytes, state_save, state_load};
    (void)self;
    return strcmp(id, NAS_EXT_STATE) == 0 ? &state : NULL;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    toy *me = malloc(sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    *me = (toy){*(const toy_config *)config, 0.5};
    *self = me;
    return NAS_OK;
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SSL,
    .id = "toy-ssl",
    .version = "1.0.0",
    .summary = "a loss with a memory, for tests",
    .license = "Apache-2.0",
    .source = "tests/toy_plugins/toy_ssl.c",
    .options = options,
    .config_size = sizeof(toy_config),
    .create = create,
    .destroy = free,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
