/* FlexMatch (Zhang et al., arXiv 2110.08263): FixMatch with a threshold for each class that grows
 * with how many images of the pool were last surely taken for that class. */
#include <nashost/logits.h>
#include <nashost/state.h>
#include <stdlib.h>

typedef struct flexmatch_config {
    double threshold, weight;
} flexmatch_config;

typedef struct flexmatch {
    flexmatch_config config;
    size_t classes, pool; /* 0 before the first step */
    double *learned;      /* [classes] beta of this step, in [0, 1] */
    int32_t *record;      /* [pool] the class that an image was last sure of, or -1 */
    uint64_t *count;      /* [classes] records of each class */
    uint64_t used;        /* records that are not -1 */
} flexmatch;

static const nas_option options[] = {
    {"threshold", NAS_TYPE_FLOAT, "0.95", offsetof(flexmatch_config, threshold), 0, 1, NULL,
     "threshold of a wholly learned class, and least probability that is recorded (tau)", NULL},
    {"weight", NAS_TYPE_FLOAT, "1", offsetof(flexmatch_config, weight), 0, 1e6, NULL,
     "weight of the unlabelled term (lambda_u)", NULL},
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

static void release(flexmatch *me) {
    free(me->learned), free(me->record), free(me->count);
    me->learned = NULL, me->record = NULL, me->count = NULL;
    me->classes = me->pool = 0;
    me->used = 0;
}

/* Gives me empty tables of these sizes; false, and as after create, when out of memory. */
static bool reserve(flexmatch *me, size_t classes, size_t pool) {
    release(me);
    me->learned = calloc(classes, sizeof *me->learned);
    me->count = calloc(classes, sizeof *me->count);
    me->record = malloc((pool ? pool : 1) * sizeof *me->record);
    if (!me->learned || !me->count || !me->record) {
        release(me);
        return false;
    }
    for (size_t i = 0; i < pool; i++) me->record[i] = -1;
    me->classes = classes, me->pool = pool;
    return true;
}

static int check_batch(flexmatch *me, const nas_ssl_batch *batch, nas_error *err) {
    if (!me->classes && !reserve(me, batch->classes, (size_t)batch->pool))
        return nas_fail(err, NAS_ERR_MEMORY, "flexmatch: out of memory");
    if (me->classes != batch->classes || me->pool != batch->pool)
        return nas_fail(err, NAS_ERR_INPUT,
                        "flexmatch: its state is of %zu classes and a pool of %zu images, the run "
                        "has %u and %llu: start the run again",
                        me->classes, me->pool, (unsigned)batch->classes,
                        (unsigned long long)batch->pool);
    for (size_t i = 0; i < batch->unlabelled; i++)
        if (batch->indices[i] >= me->pool)
            return nas_fail(err, NAS_ERR_INPUT,
                            "flexmatch: unlabelled row %zu is image %llu of a pool of %zu", i,
                            (unsigned long long)batch->indices[i], me->pool);
    return NAS_OK;
}

/* beta_c = n_c / max(max n, images without a record): while most of the pool is unrecorded, that
 * share holds every threshold down. */
static void update_learned(flexmatch *me) {
    uint64_t most = me->pool - me->used;
    for (size_t c = 0; c < me->classes; c++)
        if (me->count[c] > most) most = me->count[c];
    for (size_t c = 0; c < me->classes; c++)
        me->learned[c] = most ? (double)me->count[c] / (double)most : 0;
}

static void set_record(flexmatch *me, size_t image, int32_t label) {
    int32_t *record = &me->record[image];
    if (*record >= 0)
        me->count[*record]--;
    else
        me->used++;
    me->count[label]++;
    *record = label;
}

static void report(const flexmatch *me, nas_ssl_result *result) {
    double sum = 0;
    for (size_t c = 0; c < me->classes; c++) sum += me->learned[c] / (2 - me->learned[c]);
    result->n_metrics = 2;
    result->metrics[0].name = "threshold_mean";
    result->metrics[0].value = me->config.threshold * sum / (double)me->classes;
    result->metrics[1].name = "recorded_share";
    result->metrics[1].value = me->pool ? (double)me->used / (double)me->pool : 0;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    flexmatch *me = self;
    int rc = nas_labelled_term(batch, result, err);
    if (!rc) rc = check_batch(me, batch, err);
    if (rc) return rc;
    bool first = batch->subnet == 0;
    if (first) update_learned(me); /* from the steps before: a step's subnets share thresholds */
    double tau = me->config.threshold;
    for (size_t i = 0, n = batch->classes; i < batch->unlabelled; i++) {
        int32_t label;
        double sure = nas_confidence(batch->teacher[NAS_VIEW_WEAK] + i * n, n, &label);
        double beta = me->learned[label];
        result->pseudo_labels[i] = label;
        result->weights[i] = sure >= tau * beta / (2 - beta) ? 1 : 0;
        if (first && sure >= tau) set_record(me, (size_t)batch->indices[i], label);
    }
    report(me, result);
    double weight = me->config.weight;
    double term = nas_pseudo_label_term(batch, result, NAS_VIEW_STRONG, weight);
    return nas_total_loss(result, weight, term, err);
}

/* State: header with (classes, pool), learned [classes], record [pool]. */
enum { STATE_VERSION = 1 };

static size_t bytes_for(size_t classes, size_t pool) {
    return sizeof(nas_state_header) + classes * sizeof(double) + pool * sizeof(int32_t);
}

static size_t state_bytes(void *self) {
    const flexmatch *me = self;
    return bytes_for(me->classes, me->pool);
}

static int state_save(void *self, void *buffer, nas_error *err) {
    (void)err;
    const flexmatch *me = self;
    char *at = nas_state_put_header(buffer, "flexmatch", STATE_VERSION, me->classes, me->pool);
    if (!me->classes) return NAS_OK;
    memcpy(at, me->learned, me->classes * sizeof *me->learned);
    memcpy(at + me->classes * sizeof *me->learned, me->record, me->pool * sizeof *me->record);
    return NAS_OK;
}

static int state_load(void *self, const void *buffer, size_t bytes, nas_error *err) {
    flexmatch *me = self;
    nas_state_header header = {0};
    int rc = nas_state_get_header(buffer, bytes, "flexmatch", STATE_VERSION, &header, err);
    if (rc) return rc;
    size_t classes = (size_t)header.lengths[0], pool = (size_t)header.lengths[1];
    rc = nas_state_check_bytes(bytes_for(classes, pool), bytes, "flexmatch", err);
    if (rc) return rc;
    release(me);
    if (!classes) return NAS_OK;
    if (!reserve(me, classes, pool))
        return nas_fail(err, NAS_ERR_MEMORY, "flexmatch: out of memory");
    const char *at = (const char *)buffer + sizeof header;
    memcpy(me->learned, at, classes * sizeof *me->learned);
    at += classes * sizeof *me->learned;
    for (size_t i = 0; i < pool; i++) {
        int32_t label;
        memcpy(&label, at + i * sizeof label, sizeof label);
        if (label == -1) continue;
        if (label < 0 || (size_t)label >= classes) {
            release(me);
            return nas_fail(err, NAS_ERR_INPUT,
                            "flexmatch: the saved state is damaged: image %zu has class %d of %zu",
                            i, (int)label, classes);
        }
        set_record(me, i, label);
    }
    return NAS_OK;
}

static const nas_state_api state_api = {sizeof state_api, state_bytes, state_save, state_load};

static const void *extension(void *self, const char *id) {
    (void)self;
    return strcmp(id, NAS_EXT_STATE) == 0 ? &state_api : NULL;
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    flexmatch *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "flexmatch: out of memory");
    me->config = *(const flexmatch_config *)config;
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    flexmatch *me = self;
    if (!me) return;
    release(me);
    free(me);
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    .magic = NAS_MAGIC,
    .size = sizeof(nas_plugin),
    .abi_major = NAS_ABI_MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = NAS_KIND_SSL,
    .id = "flexmatch",
    .version = "0.1.0",
    .summary = "FixMatch with a threshold for each class that follows how well it is learned",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2110.08263",
    .options = options,
    .option_size = sizeof(nas_option),
    .config_size = sizeof(flexmatch_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
    .extension = extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
