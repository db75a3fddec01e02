/* The whole gradient of a supernet, in double, against central finite differences of the loss. */
#include "supernet/engine_state.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "small_net.h"

#define SUBNETS 12 /* the largest, the smallest, ten random ones */
#define MAX_IMAGES 18
#define TOLERANCE 1e-6
#define COORDINATES 2 /* of each tensor, besides a direction in all of its weights */

/* A subnet with a batch and a loss: mean cross-entropy with targets [n][classes]. */
typedef struct trial {
    nas_space space;
    nas_supernet *net;
    nas_engine *engine;
    nas_arch arch;
    nas_real *images;
    uint32_t n;
    nas_input input; /* the engine reads it until after backward */
    nas_forward how;
    double targets[MAX_IMAGES * SMALL_CLASSES];
    nas_real logits[MAX_IMAGES * SMALL_CLASSES];
    nas_real *gradient;
    bool *active; /* [net->size]: weights that the subnet uses */
} trial;

/* A tensor as [k][k][rows][columns], and the part of it that the subnet uses. */
typedef struct part {
    uint32_t k, rows, columns;
} part;

static part whole(const nas_parameter *p) {
    const uint32_t *shape = p->shape;
    uint32_t rows = p->ndim == 3 || p->ndim == 1 ? 1 : shape[p->ndim - 2];
    return (part){p->ndim > 2 ? shape[0] : 1, rows, shape[p->ndim - 1]};
}

/* The side of a depthwise tensor's centre that a block's kernel comes of. */
static uint32_t kernel_source(const trial *t, uint32_t s, uint32_t b) {
    const nas_choices *kernel = &t->space.stages[s].kernel.of[b];
    bool largest = t->arch.block[s][b].kernel == kernel->value[kernel->n - 1];
    if (!t->space.kernel_transform || largest) return t->arch.block[s][b].kernel;
    return kernel->value[kernel->n - 2];
}

static part used_in_block(const trial *t, uint32_t s, uint32_t b, const char *name) {
    const nas_arch *arch = &t->arch;
    if (b >= arch->depth[s]) return (part){0};
    uint32_t in = b ? arch->width[s] : s ? arch->width[s - 1] : t->space.stem.width;
    uint32_t mid = nas_inner_width(in, arch->block[s][b].expand);
    uint32_t r = nas_squeeze_width(&t->space.stages[s].squeeze, mid, in);
    if (strncmp(name, "expand.", 7) == 0 && mid == in) return (part){0};
    if (strcmp(name, "expand.conv") == 0) return (part){1, in, mid};
    uint32_t from, to;
    if (sscanf(name, "depthwise.matrix%uto%u", &from, &to) == 2)
        return arch->block[s][b].kernel <= to ? (part){1, to * to, to * to} : (part){0};
    if (strcmp(name, "depthwise.conv") == 0) return (part){kernel_source(t, s, b), 1, mid};
    if (strcmp(name, "se.reduce.weight") == 0) return (part){1, mid, r};
    if (strcmp(name, "se.reduce.bias") == 0) return (part){1, 1, r};
    if (strcmp(name, "se.excite.weight") == 0) return (part){1, r, mid};
    if (strcmp(name, "project.conv") == 0) return (part){1, mid, arch->width[s]};
    if (strncmp(name, "project.bn", 10) == 0) return (part){1, 1, arch->width[s]};
    return (part){1, 1, mid}; /* other batch norms, and the bias of se.excite */
}

static part used(const trial *t, const nas_parameter *p) {
    uint32_t s, b;
    int at = 0;
    part all = whole(p);
    if (sscanf(p->name, "stage%u.block%u.%n", &s, &b, &at) == 2 && at > 0)
        return used_in_block(t, s, b, p->name + at);
    if (strcmp(p->name, "head.conv") == 0) all.rows = t->arch.width[t->space.n_stages - 1];
    return all;
}

static void mark_active(trial *t) {
    for (uint32_t i = 0; i < t->net->n_parameters; i++) {
        const nas_parameter *p = &t->net->parameters[i];
        part all = whole(p), some = used(t, p);
        uint32_t skip = (all.k - some.k) / 2;
        for (size_t j = 0; j < p->count; j++) {
            size_t column = j % all.columns, row = j / all.columns % all.rows;
            size_t tap = j / all.columns / all.rows, y = tap / all.k, x = tap % all.k;
            t->active[p->offset + j] = column < some.columns && row < some.rows && y >= skip &&
                                       y < skip + some.k && x >= skip && x < skip + some.k;
        }
    }
}

static void make_targets(trial *t, bool soft) {
    for (uint32_t i = 0; i < t->n; i++) {
        double *row = t->targets + (size_t)i * SMALL_CLASSES, sum = 0;
        nas_rng rng = nas_rng_open(5, NAS_RNG_TEST, 5, i);
        for (size_t c = 0; c < SMALL_CLASSES; c++) sum += row[c] = nas_rng_uniform(&rng);
        for (size_t c = 0; c < SMALL_CLASSES; c++) row[c] = soft ? row[c] / sum : c == i % 5;
    }
}

static trial open_trial_in(nas_space space, uint32_t which, uint32_t n, bool soft, double dropout) {
    trial t = {.space = space, .n = n};
    t.how = (nas_forward){.dropout = dropout, .seed = 3, .step = 4, .stream = which};
    t.net = small_net(&t.space);
    t.engine = small_engine(t.net, NAS_ENGINE_TRAIN, MAX_IMAGES, SMALL_SIDE, 1);
    nas_genome genome = small_genome(&t.space, which);
    t.arch = nas_genome_decode(&t.space, &genome);
    nas_engine_select(t.engine, &t.arch);
    t.images = small_random((size_t)n * SMALL_SIDE * SMALL_SIDE * SMALL_CHANNELS, 50 + which);
    t.gradient = calloc(t.net->size, sizeof *t.gradient);
    t.active = calloc(t.net->size, sizeof *t.active);
    assert_true(t.gradient && t.active);
    make_targets(&t, soft);
    mark_active(&t);
    return t;
}

static trial open_trial(const char *hidden, uint32_t which, uint32_t n, bool soft, double dropout) {
    return open_trial_in(small_space(hidden), which, n, soft, dropout);
}

static void close_trial(trial *t) {
    nas_engine_destroy(t->engine);
    nas_supernet_destroy(t->net);
    free(t->images);
    free(t->gradient);
    free(t->active);
}

/* The loss; with grad [n][classes], its gradient at the logits. */
static double loss(trial *t, const nas_real *weights, nas_real *grad) {
    t->input = (nas_input){t->images, t->n};
    nas_engine_forward(t->engine, weights, &t->input, 1, &t->how, t->logits);
    double total = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        const nas_real *row = t->logits + (size_t)i * SMALL_CLASSES;
        const double *target = t->targets + (size_t)i * SMALL_CLASSES;
        double sum = 0;
        for (size_t c = 0; c < SMALL_CLASSES; c++) sum += exp(row[c]);
        for (size_t c = 0; c < SMALL_CLASSES; c++) {
            total -= target[c] * (row[c] - log(sum)) / t->n;
            if (grad) *grad++ = (exp(row[c]) / sum - target[c]) / t->n;
        }
    }
    return total;
}

static void add_gradient(trial *t, const nas_real *weights, nas_real *gradient) {
    nas_real grad[MAX_IMAGES * SMALL_CLASSES];
    loss(t, weights, grad);
    nas_engine_backward(t->engine, weights, grad, gradient);
}

static double central(trial *t, nas_real *at, const nas_real *direction, size_t n, double step) {
    double ends[2];
    for (int side = 0; side < 2; side++) {
        double by = side ? step : -step;
        for (size_t i = 0; i < n; i++) at[i] += by * direction[i];
        ends[side] = loss(t, t->net->weights, NULL);
        for (size_t i = 0; i < n; i++) at[i] -= by * direction[i];
    }
    return (ends[1] - ends[0]) / (2 * step);
}

/* The slope of the loss along direction [n], by differences alone. Where a relu's kink lies within
 * the step, steps of different sizes disagree: then a smaller one is taken. NAN: none will do. */
static double slope(trial *t, nas_real *at, const nas_real *direction, size_t n, double usual) {
    double last = NAN;
    for (double step = 8e-6; step > 2e-7; step /= 4) {
        double now = central(t, at, direction, n, step);
        if (fabs(now - last) < 3e-7 * usual + 4e-9) return now;
        last = now;
    }
    return NAN;
}

typedef struct tally {
    unsigned checked, kinks;
} tally;

/* One direction in a tensor. usual: the size of slope to expect there. */
static void check_slope(trial *t, const nas_parameter *p, const nas_real *direction, double usual,
                        tally *sum) {
    nas_real *at = t->net->weights + p->offset;
    const nas_real *gradient = t->gradient + p->offset;
    double ours = 0;
    for (size_t i = 0; i < p->count; i++) ours += gradient[i] * direction[i];
    double theirs = slope(t, at, direction, p->count, usual);
    sum->checked++;
    if (isnan(theirs)) {
        sum->kinks++;
        return;
    }
    if (!(fabs(ours - theirs) < TOLERANCE * (usual + 1e-2)))
        fail_msg("%s: finite difference %.10g, gradient %.10g, usual size %.3g", p->name, theirs,
                 ours, usual);
}

static void check_tensor(trial *t, uint32_t index, tally *sum) {
    const nas_parameter *p = &t->net->parameters[index];
    const bool *active = t->active + p->offset;
    nas_rng rng = nas_rng_open(9, NAS_RNG_TEST, t->how.stream, index);
    nas_real *direction = calloc(p->count, sizeof *direction);
    assert_non_null(direction);
    double length = 0, norm = 0, n = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (!active[i]) continue;
        direction[i] = nas_rng_normal(&rng);
        length += direction[i] * direction[i];
        norm += t->gradient[p->offset + i] * t->gradient[p->offset + i];
        n++;
    }
    for (size_t i = 0; n > 0 && i < p->count; i++) direction[i] /= sqrt(length);
    if (n > 0) check_slope(t, p, direction, sqrt(norm / n), sum);
    for (int c = 0; n > 0 && c < COORDINATES; c++) {
        size_t i;
        do i = nas_rng_below(&rng, (uint32_t)p->count);
        while (!active[i]);
        memset(direction, 0, p->count * sizeof *direction);
        direction[i] = 1;
        check_slope(t, p, direction, sqrt(norm / n), sum);
    }
    free(direction);
}

static void check_gradient(trial *t) {
    tally sum = {0};
    add_gradient(t, t->net->weights, t->gradient);
    for (uint32_t i = 0; i < t->net->n_parameters; i++) check_tensor(t, i, &sum);
    assert_in_range(sum.checked, 60, 1000);
    assert_in_range(sum.kinks, 0, sum.checked / 25);
}

/* The subnets have between them: no, one and two hidden layers; 1 to 18 images, more and fewer than
 * the engine's chunks; hard and soft labels; with and without dropout; both resolutions. */
static void gradients_are_slopes(void **state) {
    (void)state;
    static const char *const hidden[] = {"", "9", "9, 6"};
    static const uint32_t images[] = {3, 5, 18, 2, 1};
    for (uint32_t which = 0; which < SUBNETS; which++) {
        trial t = open_trial(hidden[which % 3], which, images[which % 5], which % 2,
                             which % 4 < 2 ? 0.3 : 0);
        check_gradient(&t);
        close_trial(&t);
    }
}

static void gradients_of_mobile_networks(void **state) {
    (void)state;
    static const uint32_t images[] = {5, 3, 12};
    for (uint32_t which = 0; which < SUBNETS; which++) {
        trial t = open_trial_in(small_mobile(), which, images[which % 3], which % 2, 0);
        check_gradient(&t);
        close_trial(&t);
    }
}

/* Expansions of up to 67 inputs, whose outputs are stored, between narrow ones, whose outputs are
 * made where they are needed; with and without a residual, at strides 1 and 2. */
#define WIDE_SPACE(widths)                                                                         \
    "{\"name\": \"wide\", \"resolution\": [6],"                                                    \
    " \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 6, \"activation\": \"relu\"},"           \
    " \"stages\": ["                                                                               \
    "  {\"width\": [" widths "], \"stride\": 1, \"depth\": [2], \"kernel\": [3], \"expand\": [2]," \
    "   \"squeeze_excite\": false, \"activation\": \"h-swish\"},"                                  \
    "  {\"width\": [9], \"stride\": 2, \"depth\": [1, 2], \"kernel\": [3], \"expand\": [2, 3],"    \
    "   \"squeeze_excite\": true, \"activation\": \"h-swish\"}],"                                  \
    " \"head\": {\"width\": 11, \"activation\": \"h-swish\", \"hidden\": [],"                      \
    "            \"hidden_activation\": \"h-swish\"}}"

static void gradients_of_stored_expansions(void **state) {
    (void)state;
    static const uint32_t images[] = {5, 2};
    for (uint32_t which = 0; which < 2; which++) {
        nas_space space = small_parse(WIDE_SPACE("40, 67"), SMALL_CHANNELS, SMALL_CLASSES);
        trial t = open_trial_in(space, which, images[which], which, 0);
        int stored = 0, computed = 0;
        for (int i = 0; i < t.engine->plan.n_units; i++) {
            const nas_unit *u = &t.engine->plan.units[i];
            bool keeps_y = t.engine->memory.units[i].y.values;
            assert_true(keeps_y != u->expands);
            stored += keeps_y && u->c >= 40 && u[1].kind == NAS_UNIT_DEPTHWISE;
            computed += !keeps_y;
        }
        assert_int_equal(stored, 2);
        assert_int_equal(computed, which ? 1 : 2);
        check_gradient(&t);
        close_trial(&t);
    }
}

static void gradients_at_once(void **state) {
    (void)state;
    static const uint32_t images[] = {18, 9};
    for (uint32_t which = 0; which < 2; which++) {
        nas_space space = small_parse(DEEP_SPACE, SMALL_CHANNELS, SMALL_CLASSES);
        trial t = open_trial_in(space, which, images[which], which, 0);
        int at_once = 0;
        for (int i = 0; i < t.engine->plan.n_units; i++) at_once += t.engine->plan.units[i].at_once;
        assert_int_equal(at_once,
                         which ? 3 : 5); /* of the smallest: both projections, and the head */
        check_gradient(&t);
        close_trial(&t);
    }
}

/* Weights that the subnet does not use: not a number changes nothing, and their gradient is 0. */
static void other_weights_play_no_part(void **state) {
    (void)state;
    for (uint32_t which = 0; which < SUBNETS; which++) {
        trial t = open_trial("9", which, 3, false, 0);
        nas_real *weights = malloc(t.net->size * sizeof *weights);
        nas_real *gradient = calloc(t.net->size, sizeof *gradient);
        assert_true(weights && gradient);
        add_gradient(&t, t.net->weights, t.gradient);
        for (size_t i = 0; i < t.net->size; i++)
            weights[i] = t.active[i] ? t.net->weights[i] : (nas_real)NAN;
        add_gradient(&t, weights, gradient);
        for (size_t i = 0; i < t.net->size; i++) {
            if (!t.active[i]) assert_true(t.gradient[i] == 0);
            assert_true(isfinite(t.gradient[i]));
        }
        assert_memory_equal(gradient, t.gradient, t.net->size * sizeof *gradient);
        free(weights);
        free(gradient);
        close_trial(&t);
    }
}

static void gradients_add_up(void **state) {
    (void)state;
    trial t = open_trial("9", 0, 5, true, 0.3);
    nas_real *twice = calloc(t.net->size, sizeof *twice);
    assert_non_null(twice);
    add_gradient(&t, t.net->weights, t.gradient);
    for (int i = 0; i < 2; i++) add_gradient(&t, t.net->weights, twice);
    for (size_t i = 0; i < t.net->size; i++)
        assert_true(fabs((double)twice[i] - 2 * (double)t.gradient[i]) <=
                    1e-13 * (1 + fabs((double)twice[i])));
    free(twice);
    close_trial(&t);
}

/* What all subnets have: the stem alone; a block more, to which the next one may add a residual;
 * two blocks with a residual. Without squeeze-excite and with it. */
#define TRUNK_SPACE(stage)                                                                         \
    "{\"name\": \"trunk\", \"resolution\": [7],"                                                   \
    " \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 6, \"activation\": \"h-swish\"},"        \
    " \"stages\": [" stage ", \"activation\": \"h-swish\"},"                                       \
    "  {\"width\": [8, 9], \"stride\": 2, \"depth\": [1, 2], \"kernel\": [3, 5],"                  \
    "   \"expand\": [1, 3], \"squeeze_excite\": true, \"activation\": \"relu\"}],"                 \
    " \"head\": {\"width\": 11, \"activation\": \"h-swish\", \"hidden\": [],"                      \
    "            \"hidden_activation\": \"h-swish\"}}"

enum { TOGETHER = 4, ROWS = 5 };

/* The gradient of some subnets on the same images, one by one or with the trunk run once. */
static void run_subnets(const trial *t, nas_engine *engine, bool together, nas_real *logits,
                        nas_real *gradient) {
    nas_real grad[ROWS * SMALL_CLASSES];
    nas_input input = {t->images, ROWS};
    for (uint32_t i = 0; i < TOGETHER; i++, logits += ROWS * SMALL_CLASSES) {
        nas_forward how = {.dropout = 0.3,
                           .stream = i,
                           .follows = together && i > 0,
                           .followed = together && i + 1 < TOGETHER};
        small_select(engine, &t->space, i);
        nas_engine_forward(engine, t->net->weights, &input, 1, &how, logits);
        small_fill(grad, ROWS * SMALL_CLASSES, 80 + i);
        nas_engine_backward(engine, t->net->weights, grad, gradient);
    }
}

static void assert_near(const nas_real *together, const nas_real *alone, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)together[i] - (double)alone[i]) <= 1e-12 * (1 + fabs((double)alone[i]))))
            fail_msg("weight %zu: together %.17g, alone %.17g", i, together[i], alone[i]);
}

static void check_together(const char *text, int trunk) {
    trial t = open_trial_in(small_parse(text, SMALL_CHANNELS, SMALL_CLASSES), 0, ROWS, false, 0);
    nas_engine *threads = small_engine(t.net, NAS_ENGINE_TRAIN, MAX_IMAGES, SMALL_SIDE, 3);
    size_t n = t.net->size, bytes = n * sizeof(nas_real);
    nas_real *together = calloc(2 * n, sizeof *together);
    nas_real logits[3][TOGETHER * ROWS * SMALL_CLASSES];
    assert_non_null(together);
    assert_int_equal(t.engine->plan.trunk, trunk);
    run_subnets(&t, t.engine, false, logits[0], t.gradient);
    run_subnets(&t, t.engine, true, logits[1], together);
    run_subnets(&t, threads, true, logits[2], together + n);
    assert_near(together, t.gradient, n);
    assert_memory_equal(together, together + n, bytes);
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    assert_memory_equal(logits[0], logits[2], sizeof logits[0]);
    free(together);
    nas_engine_destroy(threads);
    close_trial(&t);
}

#define TRUNK_STAGE(depth, kernel, expand, squeeze)                                                \
    "{\"width\": [6], \"stride\": 1, \"depth\": [" depth "], \"kernel\": [" kernel                 \
    "], \"expand\": [" expand "], \"squeeze_excite\": " squeeze

static void trunk_is_run_once(void **state) {
    (void)state;
    check_together(TRUNK_SPACE(TRUNK_STAGE("1", "3, 5", "1", "false")), 1);
    check_together(TRUNK_SPACE(TRUNK_STAGE("1, 2", "3", "1", "false")), 3);
    check_together(TRUNK_SPACE(TRUNK_STAGE("2", "3", "2", "true")), 7);
    check_together(WIDE_SPACE("67"), 7);
    check_together(DEEP_SPACE, 1);
    char elastic[2048];
    snprintf(elastic, sizeof elastic, SMALL_SPACE, "9");
    check_together(elastic, 0); /* in resolution, too: nothing is shared */
}

/* Some subnets on two inputs, each with statistics of its own: both at once, or one by one. */
enum { FIRST = 11, SECOND = 7, BOTH = FIRST + SECOND };

static void run_two(const trial *t, nas_engine *engine, bool together, nas_real *logits,
                    nas_real *gradient) {
    nas_real grad[BOTH * SMALL_CLASSES];
    size_t skip = FIRST * SMALL_SIDE * SMALL_SIDE * SMALL_CHANNELS;
    nas_input inputs[] = {{t->images, FIRST}, {t->images + skip, SECOND}};
    for (uint32_t i = 0; i < TOGETHER; i++, logits += BOTH * SMALL_CLASSES) {
        nas_forward how = {.apart = together,
                           .follows = together && i > 0,
                           .followed = together && i + 1 < TOGETHER};
        small_select(engine, &t->space, i);
        small_fill(grad, BOTH * SMALL_CLASSES, 80 + i);
        for (size_t n = 0, row = 0; n < (together ? 1 : 2); row += inputs[n++].n * SMALL_CLASSES) {
            nas_engine_forward(engine, t->net->weights, &inputs[n], together ? 2 : 1, &how,
                               logits + row);
            nas_engine_backward(engine, t->net->weights, grad + row, gradient);
        }
    }
}

static void check_apart(const char *text) {
    trial t = open_trial_in(small_parse(text, SMALL_CHANNELS, SMALL_CLASSES), 0, BOTH, false, 0);
    size_t n = t.net->size;
    nas_real *apart = calloc(n, sizeof *apart);
    nas_real logits[2][TOGETHER * BOTH * SMALL_CLASSES];
    assert_non_null(apart);
    run_two(&t, t.engine, false, logits[0], t.gradient);
    for (int threads = 1; threads < 4; threads += 2) {
        nas_engine *engine;
        assert_int_equal(nas_engine_create(t.net, NAS_ENGINE_TRAIN, BOTH, 2, SMALL_SIDE, SMALL_SIDE,
                                           threads, &engine, NULL),
                         NAS_OK);
        memset(apart, 0, n * sizeof *apart);
        run_two(&t, engine, true, logits[1], apart);
        assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
        assert_near(apart, t.gradient, n);
        nas_engine_destroy(engine);
    }
    free(apart);
    close_trial(&t);
}

static void cohorts_are_batches_of_their_own(void **state) {
    (void)state;
    char elastic[2048];
    snprintf(elastic, sizeof elastic, SMALL_SPACE, "9");
    check_apart(elastic);
    check_apart(WIDE_SPACE("67"));
    check_apart(DEEP_SPACE);
    check_apart(TRUNK_SPACE(TRUNK_STAGE("2", "3", "2", "true")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(gradients_of_mobile_networks),
        cmocka_unit_test(gradients_of_stored_expansions),
        cmocka_unit_test(gradients_at_once),
        cmocka_unit_test(other_weights_play_no_part),
        cmocka_unit_test(gradients_add_up),
        cmocka_unit_test(trunk_is_run_once),
        cmocka_unit_test(cohorts_are_batches_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
