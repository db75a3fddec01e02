/* The share of held-out images on which a subnet, with the weights that it inherits, predicts what
 * the largest subnet predicts. Uses no label. */
#include <nashost/score.h>

#include <math.h>
#include <stdlib.h>

typedef struct agreement {
    uint32_t classes;
    uint64_t images;
    uint32_t *reference; /* [images], what the largest subnet predicts */
    float *logits;       /* [images][classes], scratch */
} agreement;

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host, (void)config;
    *self = calloc(1, sizeof(agreement));
    return *self ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "agreement: out of memory");
}

static void destroy(void *self) {
    agreement *me = self;
    if (!me) return;
    free(me->reference);
    free(me->logits);
    free(me);
}

/* Runs the subnet; checks that every logit is a number. */
static int run(const agreement *me, const nas_subnet *subnet, nas_error *err) {
    int rc = subnet->heldout_logits(subnet, me->logits, err);
    if (rc) return rc;
    for (uint64_t i = 0; i < me->images * me->classes; i++) {
        if (isfinite(me->logits[i])) continue;
        return nas_fail(err, NAS_ERR_NUMERIC,
                        "agreement: expected finite logits, found %g for held-out image %llu of "
                        "subnet %s: train with a lower learning rate",
                        (double)me->logits[i], (unsigned long long)(i / me->classes),
                        subnet->network && subnet->network->genome ? subnet->network->genome : "?");
    }
    return NAS_OK;
}

/* The class of the largest logit of an image; the lowest class among equals. */
static uint32_t predict(const agreement *me, uint64_t image) {
    const float *row = me->logits + image * me->classes;
    uint32_t best = 0;
    for (uint32_t c = 1; c < me->classes; c++) best = row[c] > row[best] ? c : best;
    return best;
}

static int check(void *self, const nas_subnet *largest, nas_error *err) {
    (void)self;
    if (largest->heldout && largest->classes) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "agreement: expected held-out images to compare on, found none: raise the "
                    "number of held-out images");
}

static int start(void *self, const nas_subnet *largest, nas_error *err) {
    agreement *me = self;
    int rc = check(self, largest, err);
    if (rc) return rc;
    me->classes = largest->classes;
    me->images = largest->heldout;
    free(me->reference);
    free(me->logits);
    me->reference = calloc(me->images, sizeof *me->reference);
    me->logits = me->images <= SIZE_MAX / me->classes / sizeof *me->logits
                     ? malloc(me->images * me->classes * sizeof *me->logits)
                     : NULL;
    if (!me->reference || !me->logits) {
        return nas_fail(err, NAS_ERR_MEMORY, "agreement: out of memory for %llu held-out images",
                        (unsigned long long)me->images);
    }
    rc = run(me, largest, err);
    for (uint64_t i = 0; i < me->images && !rc; i++) me->reference[i] = predict(me, i);
    return rc;
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    const agreement *me = self;
    if (subnet->heldout != me->images || subnet->classes != me->classes) {
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "agreement: expected %llu held-out images of %u classes as at the start, "
                        "found %llu of %u",
                        (unsigned long long)me->images, me->classes,
                        (unsigned long long)subnet->heldout, subnet->classes);
    }
    int rc = run(me, subnet, err);
    if (rc) return rc;
    uint64_t same = 0;
    for (uint64_t i = 0; i < me->images; i++) same += predict(me, i) == me->reference[i];
    *value = (double)same / (double)me->images;
    return NAS_OK;
}

static const nas_score_api api = {sizeof api, start, score, check};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SCORE,
    .id = "agreement",
    .version = "0.1.0",
    .summary = "share of held-out unlabelled images classified as by the largest subnet",
    .license = "Apache-2.0",
    .source = "this file; the largest subnet as the teacher: https://arxiv.org/abs/2402.13525",
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
