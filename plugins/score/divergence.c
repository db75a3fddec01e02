/* How far a subnet, with the weights that it inherits, answers held-out images from the largest
 * subnet, in probabilities: minus the mean Kullback-Leibler divergence of its softmax from the
 * largest subnet's. Uses no label. */
#include <nashost/kit/logits.h>
#include <nashost/score.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct divergence_config {
    double temperature;
    int64_t views, teacher_views;
    int augment; /* index into augments */
} divergence_config;

static const char *const augments[] = {"weak", "strong", NULL};

static const nas_option options[] = {
    NAS_FLOAT("temperature", divergence_config, temperature, "1", 0.01, 100, NULL,
              "what both subnets' logits are divided by before their softmax is taken"),
    NAS_INT("views", divergence_config, views, "1", 1, 64, "views",
            "how often the subnet answers each image: as it is, then randomly augmented"),
    NAS_ENUM("augment", divergence_config, augment, "\"weak\"", augments,
             "how these further views are augmented: weak (flip and crop) or strong "
             "(RandAugment and cutout as well)"),
    NAS_INT("teacher_views", divergence_config, teacher_views, "1", 1, 64, "views",
            "how many views, the image as it is and weakly augmented ones, the largest subnet "
            "answers; the mean of its probabilities is what subnets are compared with"),
    {0},
};

typedef struct divergence {
    const divergence_config *config;
    size_t classes;
    uint64_t images;
    float *target;    /* [images][classes], the largest subnet's probabilities */
    double *negative; /* [images], minus their entropy */
    float *logits;    /* [images][classes], scratch */
} divergence;

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    divergence *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "divergence: out of memory");
    me->config = config;
    *self = me;
    return NAS_OK;
}

static void release(divergence *me) {
    free(me->target);
    free(me->negative);
    free(me->logits);
    me->target = me->logits = NULL;
    me->negative = NULL;
}

static void destroy(void *self) {
    if (self) release(self);
    free(self);
}

/* Fills me->logits, over the temperature, of a view: 0 is the image as it is. */
static int run(const divergence *me, const nas_subnet *subnet, int64_t view, uint32_t augment,
               nas_error *err) {
    nas_look look = {.size = sizeof look, .images = NAS_LOOK_HELDOUT};
    if (view > 0) {
        look.augment = augment;
        look.draw = (uint32_t)view - 1;
    }
    int rc = nas_look_run(subnet, &look, me->logits, NULL, err);
    if (rc) return rc;
    for (uint64_t i = 0; i < me->images * me->classes; i++) {
        if (!isfinite(me->logits[i]))
            return nas_fail(err, NAS_ERR_NUMERIC,
                            "divergence: expected finite logits, found %g for held-out image %llu "
                            "of subnet %s: train with a lower learning rate",
                            (double)me->logits[i], (unsigned long long)(i / me->classes),
                            subnet->network && subnet->network->genome ? subnet->network->genome
                                                                       : "?");
        me->logits[i] = (float)((double)me->logits[i] / me->config->temperature);
    }
    return NAS_OK;
}

/* ---- The largest subnet ---- */

static int check(void *self, const nas_subnet *largest, nas_error *err) {
    (void)self;
    if (largest->heldout && largest->classes) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "divergence: expected held-out images to compare on, found none: raise the "
                    "number of held-out images");
}

static int allocate(divergence *me, const nas_subnet *largest, nas_error *err) {
    int rc = check(me, largest, err);
    if (rc) return rc;
    release(me);
    me->classes = largest->classes;
    me->images = largest->heldout;
    me->target = calloc(me->images, me->classes * sizeof *me->target);
    me->logits = calloc(me->images, me->classes * sizeof *me->logits);
    me->negative = calloc(me->images, sizeof *me->negative);
    if (me->target && me->logits && me->negative) return NAS_OK;
    return nas_fail(err, NAS_ERR_MEMORY, "divergence: out of memory for %llu held-out images",
                    (unsigned long long)me->images);
}

/* Adds a view's share to the mean of probabilities. */
static void add_view(divergence *me) {
    float share = 1 / (float)me->config->teacher_views;
    for (uint64_t i = 0; i < me->images; i++) {
        float *row = me->logits + i * me->classes, *target = me->target + i * me->classes;
        nas_softmax(row, me->classes, 1, row);
        for (size_t c = 0; c < me->classes; c++) target[c] += share * row[c];
    }
}

static void measure_entropy(divergence *me) {
    for (uint64_t i = 0; i < me->images * me->classes; i++) {
        double p = (double)me->target[i];
        if (p > 0) me->negative[i / me->classes] += p * log(p);
    }
}

static int start(void *self, const nas_subnet *largest, nas_error *err) {
    divergence *me = self;
    int rc = allocate(me, largest, err);
    for (int64_t v = 0; v < me->config->teacher_views && !rc; v++) {
        rc = run(me, largest, v, NAS_LOOK_WEAK, err);
        if (!rc) add_view(me);
    }
    if (!rc) measure_entropy(me);
    return rc;
}

/* ---- A subnet ---- */

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    const divergence *me = self;
    if (subnet->heldout != me->images || subnet->classes != me->classes)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "divergence: expected %llu held-out images of %zu classes as at the start, "
                        "found %llu of %u",
                        (unsigned long long)me->images, me->classes,
                        (unsigned long long)subnet->heldout, subnet->classes);
    const divergence_config *config = me->config;
    double sum = 0;
    int rc = NAS_OK;
    for (int64_t v = 0; v < config->views && !rc; v++) {
        rc = run(me, subnet, v, config->augment ? NAS_LOOK_STRONG : NAS_LOOK_WEAK, err);
        for (uint64_t i = 0; i < me->images && !rc; i++)
            sum +=
                me->negative[i] + nas_soft_cross_entropy(me->logits + i * me->classes, me->classes,
                                                         me->target + i * me->classes, 1, NULL);
    }
    *value = -sum / (double)me->images / (double)config->views;
    return rc;
}

static const nas_score_api api = {
    .size = sizeof api, .start = start, .score = score, .check = check};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SCORE,
    .id = "divergence",
    .version = "0.1.0",
    .summary = "minus the mean divergence from the largest subnet's probabilities on held-out "
               "unlabelled images",
    .license = "Apache-2.0",
    .source = "this file; the largest subnet as the teacher: https://arxiv.org/abs/2402.13525; the "
              "divergence as of distillation: https://arxiv.org/abs/1503.02531",
    .options = options,
    .config_size = sizeof(divergence_config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
