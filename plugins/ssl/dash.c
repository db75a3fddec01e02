/* Dash (Xu et al., arXiv 2109.00650): an unlabelled image counts while its loss on the weak view is
 * below a threshold that falls over the training, rho_t = C gamma^-(t - 1) rho_hat, from rho_hat,
 * the loss of labelled images after a warm-up on these alone. Until it is at its lowest the
 * pseudo-label is the teacher's sharpened softmax, then its class. */
#include <nashost/kit/logits.h>
#include <nashost/kit/state.h>

#include <math.h>
#include <stdlib.h>

typedef struct dash_config {
    double gamma, c, rho_min, temperature, warmup, interval, weight;
} dash_config;

/* State: rho_hat, the running mean of the labelled loss up to the warm-up's end. */
static const nas_state_layout layout = {
    .id = "dash", .version = 1, .each = {sizeof(double)}, .counted = {"thresholds"}};

/* Share of that running mean that is kept in each step. */
#define KEEP 0.9

static const nas_option options[] = {
    NAS_FLOAT("gamma", dash_config, gamma, "1.27", 1, 1000, NULL,
              "divisor of the threshold at the end of each interval (gamma)"),
    NAS_FLOAT("c", dash_config, c, "1.0001", 1, 1000, NULL,
              "factor of the threshold, above the labelled images' loss that it starts from (C)"),
    NAS_FLOAT("rho_min", dash_config, rho_min, "0.05", 0, 100, NULL,
              "lowest threshold, on the cross-entropy of a weak view with its own pseudo-label; "
              "0.05 is a probability of 0.95"),
    NAS_FLOAT("temperature", dash_config, temperature, "0.5", 0.01, 100, NULL,
              "temperature that sharpens the target until the threshold is at its lowest (T)"),
    NAS_FLOAT("warmup", dash_config, warmup, "0.02", 0, 1, NULL,
              "share of the training at its start that learns from labelled images alone"),
    NAS_FLOAT("interval", dash_config, interval, "0.01", 1e-6, 1, NULL,
              "share of the training from one lowering of the threshold to the next"),
    NAS_FLOAT("weight", dash_config, weight, "1", 0, 1e6, NULL,
              "weight of the unlabelled images' term in the loss (lambda_u)"),
    {0},
};

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    nas_plan_weak_strong(out);
    return NAS_OK;
}

/* Follows the labelled loss in the warm-up; without a warm-up, or before it has seen labelled
 * images, it takes the first loss that there is. */
static int update_rho(nas_state *state, const nas_ssl_batch *batch, double labelled_loss, bool warm,
                      nas_error *err) {
    bool fresh = !state->block;
    if (!batch->labelled || !(fresh || (warm && batch->subnet == 0))) return NAS_OK;
    int rc = nas_state_reserve(state, 1, 0, err);
    double *rho_hat = state->block;
    if (!rc) *rho_hat = fresh ? labelled_loss : KEEP * *rho_hat + (1 - KEEP) * labelled_loss;
    return rc;
}

/* rho_t, in the t-th interval since the warm-up's end, t from 1 on. */
static double threshold(const dash_config *config, const nas_ssl_batch *batch, double rho_hat) {
    double since = (double)batch->step - config->warmup * (double)batch->steps;
    double length = config->interval * (double)batch->steps;
    double rho = config->c * pow(config->gamma, -floor(since / fmax(length, 1))) * rho_hat;
    return fmax(rho, config->rho_min);
}

/* The mean of the unlabelled rows' cross-entropies, masked ones being 0. q: room for [classes]. */
static double unlabelled_term(const dash_config *config, double rho, const nas_ssl_batch *batch,
                              nas_ssl_result *result, float *q) {
    size_t n = batch->classes, rows = batch->unlabelled;
    double each = rows ? 1 / (double)rows : 0, scale = config->weight * each, sum = 0;
    bool soft = rho > config->rho_min;
    for (size_t i = 0; i < rows; i++) {
        const float *teacher = batch->teacher[NAS_VIEW_WEAK] + i * n;
        const float *student = batch->student[NAS_VIEW_STRONG] + i * n;
        float *grad = result->student_grad[NAS_VIEW_STRONG] + i * n;
        int32_t label = (int32_t)nas_argmax(teacher, n);
        if (soft) nas_softmax(teacher, n, config->temperature, q);
        double own = soft ? nas_soft_cross_entropy(teacher, n, q, 1, NULL)
                          : nas_cross_entropy(teacher, n, label, 0, 1, NULL);
        result->pseudo_labels[i] = label;
        result->weights[i] = own <= rho ? 1 : 0;
        if (own > rho) continue;
        sum += each * (soft ? nas_soft_cross_entropy(student, n, q, scale, grad)
                            : nas_cross_entropy(student, n, label, 0, scale, grad));
    }
    return sum;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    nas_state *state = self;
    const dash_config *config = state->config;
    bool warm = (double)batch->step < config->warmup * (double)batch->steps;
    int rc = nas_labelled_term(batch, result, err);
    if (!rc) rc = update_rho(state, batch, result->labelled_loss, warm, err);
    if (rc) return rc;
    if (warm || !state->block) return nas_total_loss(result, config->weight, 0, err);
    double rho = threshold(config, batch, *(const double *)state->block);
    float *q = malloc(batch->classes * sizeof *q);
    if (!q) return nas_fail(err, NAS_ERR_MEMORY, "dash: out of memory");
    double term = unlabelled_term(config, rho, batch, result, q);
    free(q);
    result->n_metrics = 1;
    result->metrics[0].name = "threshold";
    result->metrics[0].value = rho;
    return nas_total_loss(result, config->weight, term, err);
}

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host;
    return nas_state_create(&layout, config, self, err);
}

static const nas_ssl_api api = {sizeof api, plan, loss};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_SSL,
    .id = "dash",
    .version = "0.1.0",
    .summary = "pseudo-labels count while their own loss is below a threshold that falls over the "
               "training",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/2109.00650",
    .options = options,
    .config_size = sizeof(dash_config),
    .create = create,
    .destroy = nas_state_destroy,
    .vtable = &api,
    .extension = nas_state_extension,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
