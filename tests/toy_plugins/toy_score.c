/* The mean largest logit of the held-out images. It refuses to start twice, to score before it was
 * started, and, with TOY_NO_SCORES in the environment, to score at all. */
#include <nashost/kit/logits.h>
#include <nashost/score.h>
#include <stdlib.h>

typedef struct toy {
    bool started;
} toy;

static int start(void *self, const nas_subnet *largest, nas_error *err) {
    toy *me = self;
    if (me->started || !largest->network)
        return nas_fail(err, NAS_ERR_PLUGIN, "started twice, or with nothing");
    me->started = true;
    return NAS_OK;
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    const toy *me = self;
    if (!me->started || getenv("TOY_NO_SCORES"))
        return nas_fail(err, NAS_ERR_PLUGIN, "a score was not expected");
    size_t n = subnet->classes;
    float *logits = calloc(subnet->heldout * n + 1, sizeof *logits);
    if (!logits) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    int rc = subnet->heldout_logits(subnet, logits, err);
    *value = 0;
    for (size_t i = 0; i < subnet->heldout && !rc; i++)
        *value += (double)logits[i * n + nas_argmax(logits + i * n, n)] / (double)subnet->heldout;
    free(logits);
    return rc;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host, (void)config;
    *self = calloc(1, sizeof(toy));
    return *self ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
}

static const nas_score_api api = {.size = sizeof api, .start = start, .score = score};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SCORE,
    .id = "toy-score",
    .version = "1.0.0",
    .summary = "mean largest logit, for tests",
    .license = "Apache-2.0",
    .source = "tests/toy_plugins/toy_score.c",
    .create = create,
    .destroy = free,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
