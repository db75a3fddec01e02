/* How well a subnet, with the weights that it inherits, answers validation images, which have
 * labels and are not trained on. */
#include <nashost/kit/logits.h>
#include <nashost/score.h>

#include <math.h>
#include <stdlib.h>

typedef struct validation_config {
    int measure; /* index into measures */
} validation_config;

enum { LOG_LIKELIHOOD, TOP1 };
static const char *const measures[] = {"log_likelihood", "top1", NULL};

static const nas_option options[] = {
    NAS_ENUM("measure", validation_config, measure, "\"log_likelihood\"", measures,
             "log_likelihood: the mean log of the right class's probability, which tells subnets "
             "apart more finely; top1: the share of right answers"),
    {0},
};

static int start(void *self, const nas_subnet *largest, nas_error *err) {
    (void)self;
    if (NAS_HAS(largest, validation) && largest->validation && largest->classes) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT,
                    "validation: expected labelled images that are kept out of training, found "
                    "none: set split.validation");
}

/* The mean of the measure over the images. */
static int measure(const validation_config *me, const nas_subnet *subnet, const float *logits,
                   const int32_t *labels, double *value, nas_error *err) {
    size_t classes = subnet->classes;
    double sum = 0;
    for (uint64_t i = 0; i < subnet->validation; i++) {
        const float *row = logits + i * classes;
        size_t answer = nas_argmax(row, classes);
        double right = (double)row[labels[i]] - nas_log_sum_exp(row, classes);
        if (!isfinite(right))
            return nas_fail(err, NAS_ERR_NUMERIC,
                            "validation: expected finite logits, found others for validation image "
                            "%llu of subnet %s: train with a lower learning rate",
                            (unsigned long long)i,
                            subnet->network && subnet->network->genome ? subnet->network->genome
                                                                       : "?");
        sum += me->measure == TOP1 ? answer == (size_t)labels[i] : right;
    }
    *value = sum / (double)subnet->validation;
    return NAS_OK;
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    const nas_look look = {.size = sizeof look, .images = NAS_LOOK_VALIDATION};
    float *logits = calloc(subnet->validation, subnet->classes * sizeof *logits);
    int32_t *labels = calloc(subnet->validation, sizeof *labels);
    int rc = logits && labels
                 ? NAS_OK
                 : nas_fail(err, NAS_ERR_MEMORY, "validation: out of memory for %llu images",
                            (unsigned long long)subnet->validation);
    if (!rc) rc = nas_look_run(subnet, &look, logits, labels, err);
    if (!rc) rc = measure(self, subnet, logits, labels, value, err);
    free(logits);
    free(labels);
    return rc;
}

static const nas_score_api api = {
    .size = sizeof api, .start = start, .score = score, .check = start};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SCORE,
    .id = "validation",
    .version = "0.1.0",
    .summary = "likelihood of the labels of validation images, or share of right answers",
    .license = "Apache-2.0",
    .source = "this file; accuracy on a validation set as in https://arxiv.org/abs/1908.09791",
    .options = options,
    .config_size = sizeof(validation_config),
    .create = nas_plain_create,
    .destroy = nas_plain_destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
