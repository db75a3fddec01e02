#include "stages/step.h"

#include "base/memory.h"
#include "host/call.h"
#include "stages/distil.h"
#include "supernet/share.h"

#include <math.h>
#include <nashost/kit/logits.h>
#include <stdlib.h>
#include <string.h>

static uint32_t next_below(void *context, uint32_t n) {
    return nas_rng_below(context, n);
}

nas_genome nas_step_genome(const nas_context *context, uint64_t t, uint32_t i) {
    const nas_space *space = &context->space;
    if (context->pipeline->train.shape == NAS_STEP_FIXED) return context->fixed;
    if (i == 0) return nas_genome_largest(space);
    if (i == 1) return nas_genome_smallest(space);
    nas_rng rng = nas_rng_open(context->seed, NAS_RNG_SUBNETS, t, i);
    return nas_genome_random(space, next_below, &rng);
}

/* ---- Opening ---- */

/* Whose logits the teacher's views get: the pipeline's word, else the loss's suggestion. */
static int resolve_teacher(const nas_context *context, nas_teacher *teacher, nas_error *err) {
    static const char *const names[] = {
        [NAS_TEACHER_SELF] = "self", [NAS_TEACHER_LARGEST] = "largest", [NAS_TEACHER_EMA] = "ema"};
    const nas_train_config *train = &context->pipeline->train;
    const char *word = context->plan.teacher;
    *teacher = (nas_teacher)train->teacher;
    for (int i = NAS_TEACHER_SELF; *teacher == NAS_TEACHER_AUTO && word && i <= NAS_TEACHER_EMA;
         i++)
        if (strcmp(word, names[i]) == 0) *teacher = (nas_teacher)i;
    if (*teacher == NAS_TEACHER_AUTO)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "plugin '%s' suggests the teacher '%s'; expected self, largest or ema",
                        context->pipeline->ssl.id, word ? word : "");
    if (*teacher == NAS_TEACHER_EMA && train->ema <= 0)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: train.teacher: 'ema' needs averaged weights, but train.ema is 0",
                        context->pipeline->file);
    return NAS_OK;
}

/* Of both numbers, the largest up to `most`. */
static uint32_t nearest_divisor(uint32_t a, uint32_t b, uint32_t most) {
    while (a % most || b % most) most--;
    return most;
}

static int check(const nas_step *step, nas_error *err) {
    const nas_pipeline *pipeline = step->context->pipeline;
    uint32_t labelled = (uint32_t)pipeline->train.batch;
    uint32_t unlabelled = nas_step_unlabelled(step->context);
    if (step->context->plan.n_views && !unlabelled)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: train.mu: %g times a batch of %u gives no unlabelled image, but the "
                        "loss '%s' needs some",
                        pipeline->file, pipeline->train.mu, labelled, pipeline->ssl.id);
    if (labelled % step->parts || unlabelled % step->parts)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: train.accumulate: a step has %u labelled and %u unlabelled images, "
                        "which make no %u equal parts; expected a divisor of both, such as %u",
                        pipeline->file, labelled, unlabelled, step->parts,
                        nearest_divisor(labelled, unlabelled, step->parts));
    if (pipeline->train.logit_adjustment > 0 && step->mixer)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: train.logit_adjustment: the loss '%s' mixes images, so that they are "
                        "of no one class; expected 0",
                        pipeline->file, pipeline->ssl.id);
    if (pipeline->train.distill <= 0) return NAS_OK;
    if (step->subnets < 2)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: train.distill: the steps train one subnet alone, so there is none to "
                        "distil to; expected 0, or a sandwich of at least 2",
                        pipeline->file);
    if (step->mixer)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: train.distill: the loss '%s' mixes images, so the largest subnet's "
                        "answers are not for the same images; expected 0",
                        pipeline->file, pipeline->ssl.id);
    return NAS_OK;
}

_Static_assert(1 + NAS_SSL_MAX_VIEWS <= NAS_MAX_COHORTS, "inputs of the student");

/* Inputs of the student: the labelled images and each view that it sees. */
static uint32_t count_inputs(const nas_step *step) {
    const nas_ssl_plan *plan = &step->context->plan;
    uint32_t n = 1;
    for (uint32_t v = 0; v < plan->n_views; v++) n += plan->views[v].student != 0;
    return n;
}

/* Zeroed room for at least one item, or false in *good. */
static void *room(size_t count, size_t size, bool *good) {
    void *memory = nas_alloc(count ? count : 1, size);
    *good = *good && memory;
    return memory;
}

static int allocate(nas_step *step, nas_error *err) {
    const nas_dataset_info *info = &step->context->source.info;
    size_t n = info->classes, area = (size_t)info->height * info->width * info->channels;
    bool good = true;
    step->logits = room(step->rows * n, sizeof *step->logits, &good);
    step->logits_grad = room(step->rows * n, sizeof *step->logits_grad, &good);
    step->tutor_logits = room(step->tutored * n, sizeof *step->tutor_logits, &good);
    step->distilled = room(step->labelled * n, sizeof *step->distilled, &good);
    step->pseudo_labels = room(step->unlabelled, sizeof *step->pseudo_labels, &good);
    step->weights = room(step->unlabelled, sizeof *step->weights, &good);
    step->class_priors = room(n, sizeof *step->class_priors, &good);
    if (step->mixer) {
        step->mix = (nas_mix){.size = sizeof step->mix, .rows = step->rows};
        step->mix.partner = room(step->rows, sizeof *step->mix.partner, &good);
        step->mix.lambda = room(step->rows, sizeof *step->mix.lambda, &good);
        step->mix.targets = room(step->rows * n, sizeof *step->mix.targets, &good);
        step->mixed = room(step->rows * area, sizeof *step->mixed, &good);
    }
    if (good) return NAS_OK;
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a step of %u images", step->rows);
}

/* A class without labelled images counts as if it had one, so that its logarithm is finite. */
static void set_class_priors(nas_step *step) {
    const nas_split_sets *split = &step->context->split;
    const int32_t *labels = step->context->source.train.labels;
    size_t n = step->context->source.info.classes;
    double sum = 0;
    for (uint64_t i = 0; i < split->n_labelled; i++) {
        int32_t label = labels[split->labelled[i]];
        if (label >= 0) step->class_priors[label]++;
    }
    for (size_t c = 0; c < n; c++) sum += step->class_priors[c] = fmax(step->class_priors[c], 1);
    for (size_t c = 0; c < n; c++) step->class_priors[c] /= sum;
}

static void gather_parts(void *self, void *data, const uint64_t *ends) {
    nas_step *step = self;
    if (!step->lost.code)
        nas_cluster_gather(nas_context_cluster(step->context), data, ends, &step->lost);
}

static void begin_parts(void *self, void *data, const uint64_t *ends) {
    nas_step *step = self;
    if (!step->lost.code)
        nas_cluster_begin(nas_context_cluster(step->context), data, ends, &step->lost);
}

static void end_parts(void *self) {
    nas_step *step = self;
    if (!step->lost.code) nas_cluster_end(nas_context_cluster(step->context), &step->lost);
}

static int share_engines(nas_step *step, nas_error *err) {
    const nas_cluster *cluster = nas_context_cluster(step->context);
    if (!cluster) return NAS_OK;
    step->share = (nas_share){.rank = nas_cluster_rank(cluster),
                              .ranks = nas_cluster_ranks(cluster),
                              .gather = gather_parts,
                              .context = step,
                              .begin = begin_parts,
                              .end = end_parts};
    int rc = nas_engine_share(step->student, &step->share, err);
    return rc || !step->tutor ? rc : nas_engine_share(step->tutor, &step->share, err);
}

static int open_engines(nas_step *step, nas_error *err) {
    const nas_context *context = step->context;
    const nas_dataset_info *info = &context->source.info;
    int threads = context->request->threads;
    uint32_t cohorts = step->apart ? count_inputs(step) : 1;
    nas_error inner = {0};
    int rc = nas_engine_create(context->supernet, NAS_ENGINE_TRAIN, step->rows, cohorts,
                               info->height, info->width, threads, &step->student, &inner);
    /* The teacher has answered before a student's forward call, so they can use the same memory. */
    if (!rc && step->tutored)
        rc = nas_engine_create_within(step->student, step->tutored, &step->tutor, &inner);
    if (rc) return nas_fail(err, rc, "%s, or a larger train.accumulate", inner.message);
    return share_engines(step, err);
}

int nas_step_open(const nas_context *context, uint64_t pool, nas_step *step, nas_error *err) {
    const nas_train_config *train = &context->pipeline->train;
    *step = (nas_step){.context = context, .pool = pool, .parts = nas_step_parts(context)};
    step->subnets = train->shape == NAS_STEP_SANDWICH ? (uint32_t)train->subnets : 1;
    step->labelled = (uint32_t)train->batch / step->parts;
    step->unlabelled = nas_step_unlabelled(context) / step->parts;
    step->mixer = nas_instance_extension(&context->ssl, NAS_EXT_MIX);
    /* Mixed images are of all kinds. */
    step->apart = train->batch_statistics == NAS_STATISTICS_SEPARATE && !step->mixer;
    step->rows = step->labelled + (count_inputs(step) - 1) * step->unlabelled;
    uint32_t views = 0;
    for (uint32_t v = 0; v < context->plan.n_views; v++)
        views += context->plan.views[v].teacher != 0;
    step->tutored = views * step->unlabelled;
    int rc = views ? resolve_teacher(context, &step->teacher, err) : NAS_OK;
    if (!rc) rc = check(step, err);
    if (!rc) rc = allocate(step, err);
    if (!rc) set_class_priors(step);
    if (!rc) rc = open_engines(step, err);
    if (rc) nas_step_close(step);
    return rc;
}

void nas_step_close(nas_step *step) {
    nas_engine_destroy(step->tutor);
    nas_engine_destroy(step->student);
    void *const memory[] = {step->logits,       step->logits_grad,   step->tutor_logits,
                            step->distilled,    step->pseudo_labels, step->weights,
                            step->class_priors, step->mixed,         step->mix.partner,
                            step->mix.lambda,   step->mix.targets};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) free(memory[i]);
    *step = (nas_step){0};
}

size_t nas_step_bytes(const nas_step *step) {
    return nas_engine_bytes(step->student) + (step->tutor ? nas_engine_bytes(step->tutor) : 0);
}

void nas_step_profile(nas_step *step, nas_profile *profile) {
    nas_engine_profile(step->student, profile);
    if (step->tutor) nas_engine_profile(step->tutor, profile);
}

/* ---- Running ---- */

/* One subnet's turn. */
typedef struct turn {
    nas_step *step;
    const nas_batch *batch; /* one part of the step's */
    uint32_t part, subnet;
    bool follows, followed; /* by subnets on the same images, as in nas_forward */
    nas_ssl_batch given;
    nas_ssl_result result;
} turn;

/* The teacher's logits of every view that has one, into tutor_logits. */
static void teach(nas_step *step, const nas_genome *genome, const nas_real *weights,
                  const nas_batch *batch, nas_metrics *metrics) {
    const nas_ssl_plan *plan = &step->context->plan;
    nas_input inputs[NAS_SSL_MAX_VIEWS];
    uint32_t n = 0;
    for (uint32_t v = 0; v < plan->n_views; v++)
        if (plan->views[v].teacher) inputs[n++] = (nas_input){batch->views[v], batch->unlabelled};
    nas_arch arch = nas_genome_decode(&step->context->space, genome);
    nas_engine_select(step->tutor, &arch);
    nas_engine_forward(step->tutor, weights, inputs, n, &(nas_forward){0}, step->tutor_logits);
    metrics->images += step->tutored;
}

static void prepare(turn *t) {
    nas_step *step = t->step;
    const nas_context *context = step->context;
    size_t n = context->source.info.classes, block = step->unlabelled * n;
    nas_ssl_batch *given = &t->given;
    nas_ssl_result *result = &t->result;
    *given = (nas_ssl_batch){.size = sizeof *given,
                             .subnet = t->subnet,
                             .step = t->batch->step,
                             .steps = (uint64_t)context->pipeline->train.steps,
                             .classes = (uint32_t)n,
                             .labelled = step->labelled,
                             .unlabelled = step->unlabelled,
                             .labels = t->batch->labels,
                             .indices = t->batch->indices,
                             .pool = step->pool,
                             .label_smoothing = context->pipeline->train.label_smoothing,
                             .logit_adjustment = context->pipeline->train.logit_adjustment,
                             .class_priors = step->class_priors};
    *result = (nas_ssl_result){.size = sizeof *result,
                               .labelled_grad = step->logits_grad,
                               .pseudo_labels = step->pseudo_labels,
                               .weights = step->weights};
    size_t row = step->labelled * n, tutored = 0;
    for (uint32_t v = 0; v < context->plan.n_views; v++) {
        if (context->plan.views[v].teacher) {
            given->teacher[v] = step->tutor_logits + tutored;
            tutored += block;
        }
        if (context->plan.views[v].student) {
            result->student_grad[v] = step->logits_grad + row;
            row += block;
        }
    }
    memset(step->logits_grad, 0, step->rows * n * sizeof *step->logits_grad);
    memset(step->weights, 0, step->unlabelled * sizeof *step->weights);
    for (uint32_t i = 0; i < step->unlabelled; i++) step->pseudo_labels[i] = -1;
}

/* The student's images in the order of its rows; returns how many inputs. */
static uint32_t gather(const turn *t, nas_input *inputs) {
    const nas_ssl_plan *plan = &t->step->context->plan;
    uint32_t n = 0;
    inputs[n++] = (nas_input){t->batch->labelled_images, t->step->labelled};
    for (uint32_t v = 0; v < plan->n_views; v++)
        if (plan->views[v].student)
            inputs[n++] = (nas_input){t->batch->views[v], t->step->unlabelled};
    return n;
}

static const nas_real *image_row(const nas_input *inputs, uint32_t row, size_t area) {
    while (row >= inputs->n) row -= inputs++->n;
    return inputs->images + row * area;
}

/* Replaces the student's images by the mixtures that the loss asks for. */
static int mix(turn *t, nas_input *inputs, uint32_t *n_inputs, nas_error *err) {
    nas_step *step = t->step;
    const nas_context *context = step->context;
    const nas_dataset_info *info = &context->source.info;
    size_t area = (size_t)info->height * info->width * info->channels;
    nas_call call;
    nas_call_begin(&call, &context->ssl, "mix");
    int rc = step->mixer->mix(context->ssl.self, &t->given, &step->mix, &call.err);
    rc = nas_call_end(&call, rc, err);
    if (rc) return rc;
    for (uint32_t r = 0; r < step->rows; r++) {
        uint32_t partner = step->mix.partner[r];
        float lambda = step->mix.lambda[r];
        if (partner >= step->rows || !(lambda >= 0 && lambda <= 1))
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "plugin '%s' mixes row %u with row %u by %g; expected a row below %u "
                            "and a share of 0 to 1",
                            context->pipeline->ssl.id, r, partner, (double)lambda, step->rows);
        const nas_real *a = image_row(inputs, r, area), *b = image_row(inputs, partner, area);
        nas_real *out = step->mixed + r * area;
        for (size_t i = 0; i < area; i++) out[i] = lambda * a[i] + (1 - lambda) * b[i];
    }
    t->given.targets = step->mix.targets;
    inputs[0] = (nas_input){step->mixed, step->rows};
    *n_inputs = 1;
    return NAS_OK;
}

/* Tells the loss where the student's logits are, which are there now. */
static void show_logits(turn *t) {
    nas_step *step = t->step;
    for (uint32_t v = 0; v < NAS_SSL_MAX_VIEWS; v++)
        if (t->result.student_grad[v])
            t->given.student[v] = step->logits + (t->result.student_grad[v] - step->logits_grad);
    t->given.labelled_logits = step->logits;
}

/* Keeps the largest subnet's answers on the labelled images, and adds the other subnets' distance
 * from them to the loss. */
static void distil(turn *t) {
    nas_step *step = t->step;
    const nas_train_config *train = &step->context->pipeline->train;
    double weight = train->distill, sum = 0;
    size_t n = t->given.classes;
    if (weight <= 0) return;
    double (*distance)(const float *, size_t, const float *, double, float *) =
        train->distill_loss == NAS_DISTIL_ALPHA ? nas_alpha_divergence : nas_soft_cross_entropy;
    for (size_t i = 0; i < step->labelled; i++) {
        float *target = step->distilled + i * n;
        if (t->subnet == 0)
            nas_softmax(step->logits + i * n, n, 1, target);
        else
            sum += distance(step->logits + i * n, n, target, weight / step->labelled,
                            step->logits_grad + i * n);
    }
    t->result.loss += weight * sum / step->labelled;
}

/* What a loss gives beside its gradients. */
static int check_result(const turn *t, nas_error *err) {
    const nas_ssl_result *result = &t->result;
    const char *id = t->step->context->pipeline->ssl.id;
    if (result->n_metrics > NAS_SSL_MAX_METRICS)
        return nas_fail(err, NAS_ERR_PLUGIN, "plugin '%s' gives %u metrics; expected at most %d",
                        id, result->n_metrics, NAS_SSL_MAX_METRICS);
    for (uint32_t i = 0; i < result->n_metrics; i++)
        if (!result->metrics[i].name)
            return nas_fail(err, NAS_ERR_PLUGIN, "plugin '%s' gives metric %u without a name", id,
                            i);
    for (uint32_t i = 0; i < t->given.unlabelled; i++) {
        int32_t label = result->pseudo_labels[i];
        if (label < -1 || label >= (int32_t)t->given.classes || !isfinite(result->weights[i]))
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "plugin '%s' gives image %u the pseudo-label %d with weight %g; "
                            "expected -1 to %u and a finite weight",
                            id, i, label, (double)result->weights[i], t->given.classes - 1);
    }
    return NAS_OK;
}

static int judge(turn *t, nas_error *err) {
    const nas_context *context = t->step->context;
    show_logits(t);
    nas_call call;
    nas_call_begin(&call, &context->ssl, "loss");
    int rc = nas_context_ssl(context)->loss(context->ssl.self, &t->given, &t->result, &call.err);
    rc = nas_call_end(&call, rc, err);
    if (!rc) rc = check_result(t, err);
    if (rc) return rc;
    distil(t);
    if (isfinite(t->result.loss)) return NAS_OK;
    return nas_fail(err, NAS_ERR_NUMERIC, "the loss is %g", t->result.loss);
}

/* The step's loss is the mean of its parts'. */
static void average_parts(nas_step *step) {
    size_t n = step->rows * (size_t)step->context->source.info.classes;
    if (step->parts == 1) return;
    for (size_t i = 0; i < n; i++) step->logits_grad[i] /= (nas_real)step->parts;
}

static int train_subnet(turn *t, const nas_genome *genome, const nas_real *weights,
                        nas_real *gradient, nas_metrics *metrics, nas_error *err) {
    nas_step *step = t->step;
    const nas_context *context = step->context;
    nas_input inputs[1 + NAS_SSL_MAX_VIEWS];
    prepare(t);
    uint32_t n_inputs = gather(t, inputs);
    nas_cluster *cluster = nas_context_cluster(context);
    int rc = NAS_OK;
    if (step->mixer) rc = nas_cluster_agree(cluster, mix(t, inputs, &n_inputs, err), err);
    if (rc) return rc;
    nas_arch arch = nas_genome_decode(&context->space, genome);
    nas_forward how = {.dropout = context->pipeline->train.dropout,
                       .seed = context->seed,
                       .step = t->batch->step,
                       .stream = (uint64_t)t->part * step->subnets + t->subnet,
                       .follows = t->follows,
                       .followed = t->followed,
                       .apart = step->apart};
    nas_engine_select(step->student, &arch);
    nas_engine_forward(step->student, weights, inputs, n_inputs, &how, step->logits);
    rc = nas_cluster_agree(cluster, judge(t, err), err);
    if (rc) return rc;
    average_parts(step);
    nas_engine_backward(step->student, weights, step->logits_grad, gradient);
    nas_metrics_add(metrics, &t->given, &t->result, t->batch->hidden_labels);
    metrics->images += step->rows;
    return NAS_OK;
}

/* The images of one part. */
static nas_batch part_of(const nas_step *step, const nas_batch *batch, uint32_t part) {
    const nas_dataset_info *info = &step->context->source.info;
    size_t area = (size_t)info->height * info->width * info->channels;
    size_t labelled = (size_t)part * step->labelled, unlabelled = (size_t)part * step->unlabelled;
    nas_batch own = *batch;
    own.labelled = step->labelled;
    own.unlabelled = step->unlabelled;
    own.labelled_images += labelled * area;
    own.labels += labelled;
    for (uint32_t v = 0; v < batch->n_views; v++) own.views[v] += unlabelled * area;
    if (own.indices) own.indices += unlabelled;
    if (own.hidden_labels) own.hidden_labels += unlabelled;
    return own;
}

/* What nas_step_run does, with one part of the images. */
static int run_part(nas_step *step, uint32_t part, const nas_batch *batch, const nas_real *weights,
                    const nas_real *average, nas_real *gradient, nas_metrics *metrics,
                    nas_error *err) {
    const nas_context *context = step->context;
    nas_genome first = nas_step_genome(context, batch->step, 0);
    nas_genome largest = nas_genome_largest(&context->space);
    if (step->tutor && step->teacher == NAS_TEACHER_LARGEST)
        teach(step, &largest, weights, batch, metrics);
    if (step->tutor && step->teacher == NAS_TEACHER_EMA)
        teach(step, &first, average, batch, metrics);
    /* Not if the loss mixes images anew for each, or if each has a teacher, in the same memory. */
    bool together = !step->mixer && !(step->tutor && step->teacher == NAS_TEACHER_SELF);
    for (uint32_t i = 0; i < step->subnets; i++) {
        nas_genome genome = i ? nas_step_genome(context, batch->step, i) : first;
        if (step->tutor && step->teacher == NAS_TEACHER_SELF)
            teach(step, &genome, weights, batch, metrics);
        turn t = {.step = step,
                  .batch = batch,
                  .part = part,
                  .subnet = i,
                  .follows = together && i > 0,
                  .followed = together && i + 1 < step->subnets};
        int rc = train_subnet(&t, &genome, weights, gradient, metrics, err);
        if (rc) return rc;
    }
    return NAS_OK;
}

int nas_step_run(nas_step *step, const nas_batch *batch, const nas_real *weights,
                 const nas_real *average, nas_real *gradient, nas_metrics *metrics,
                 nas_error *err) {
    for (uint32_t p = 0; p < step->parts; p++) {
        nas_batch part = part_of(step, batch, p);
        int rc = run_part(step, p, &part, weights, average, gradient, metrics, err);
        if (rc) return rc;
    }
    return step->lost.code ? nas_fail(err, step->lost.code, "%s", step->lost.message) : NAS_OK;
}
