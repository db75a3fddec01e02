/* The quickstart supernet against PyTorch: golden/supernet.py. */
#include "base/json.h"
#include "golden.h"
#include "nn/optimizer.h"
#include "supernet/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const subnets[] = {"largest", "smallest", "mixed"};

static int setup(void **state) {
    golden *g = malloc(sizeof *g);
    if (!g) return -1;
    nas_error err;
    *state = g;
    if (golden_open(GOLDEN_FILE, g, &err) == NAS_OK) return 0;
    print_error("%s\n", err.message);
    return -1;
}

static int teardown(void **state) {
    if (*state) golden_close(*state);
    free(*state);
    return 0;
}

static void weights_are_those_of_numpy(void **state) {
    const golden *g = *state;
    for (size_t t = 0; t < g->n_tensors; t++) {
        const golden_tensor *tensor = &g->tensors[t];
        float *values = malloc(tensor->count * sizeof *values);
        assert_non_null(values);
        golden_fill(g, t, values);
        uint64_t check = golden_checksum(values, tensor->count);
        free(values);
        if (check != tensor->check)
            fail_msg("%s: expected checksum %016llx, found %016llx", tensor->name,
                     (unsigned long long)tensor->check, (unsigned long long)check);
    }
}

/* Each gradient belongs to a weight and is no larger; the largest subnet has them all, whole. */
static void gradients_fit_the_weights(void **state) {
    const golden *g = *state;
    for (size_t s = 0; s < 3; s++) {
        size_t n = 0;
        for (size_t t = 0; t < g->n_tensors; t++) {
            char part[128];
            snprintf(part, sizeof part, "grad/%s", g->tensors[t].name);
            const nas_tensor *grad = golden_part(g, subnets[s], part);
            if (!grad) continue;
            n++;
            assert_int_equal(grad->ndim, g->tensors[t].ndim);
            for (uint32_t d = 0; d < grad->ndim; d++) {
                assert_in_range(grad->shape[d], 1, g->tensors[t].shape[d]);
                if (s == 0) assert_int_equal(grad->shape[d], g->tensors[t].shape[d]);
            }
        }
        if (s == 0) assert_int_equal(n, g->n_tensors);
        assert_in_range(n, 1, g->n_tensors);
    }
}

/* Everything that a run of a subnet needs, and its results. */
typedef struct engine_run {
    nas_space space;
    nas_supernet *net;
    nas_engine *engine;
    nas_real logits[8 * 10], *gradient;
    double loss;
} engine_run;

static void open_run(engine_run *r, const golden *g) {
    nas_error err;
    json_t *json;
    assert_int_equal(nas_json_load("spaces/quickstart.json", &json, &err), NAS_OK);
    assert_int_equal(nas_space_parse(json, "quickstart", 1, 10, &r->space, &err), NAS_OK);
    json_decref(json);
    assert_int_equal(nas_supernet_create(&r->space, 1, false, &r->net, &err), NAS_OK);
    assert_int_equal(g->n_tensors, r->net->n_parameters);
    for (size_t t = 0; t < g->n_tensors; t++) {
        const nas_parameter *p = &r->net->parameters[t];
        assert_string_equal(p->name, g->tensors[t].name);
        assert_int_equal(p->count, g->tensors[t].count);
        golden_fill(g, t, r->net->weights + p->offset);
    }
    assert_int_equal(nas_engine_create(r->net, NAS_ENGINE_TRAIN, 8, 1, 28, 28, 2, &r->engine, &err),
                     NAS_OK);
    r->gradient = calloc(r->net->size, sizeof *r->gradient);
    assert_non_null(r->gradient);
}

static void close_run(engine_run *r) {
    nas_engine_destroy(r->engine);
    nas_supernet_destroy(r->net);
    free(r->gradient);
}

/* Mean cross-entropy and its gradient. */
static double cross_entropy(const nas_real *logits, const float *labels, nas_real *grad) {
    double loss = 0;
    for (size_t i = 0; i < 8; i++) {
        const nas_real *row = logits + i * 10;
        double sum = 0;
        for (size_t c = 0; c < 10; c++) sum += exp((double)row[c]);
        for (size_t c = 0; c < 10; c++) {
            double hit = c == (size_t)labels[i];
            grad[i * 10 + c] = (nas_real)((exp((double)row[c]) / sum - hit) / 8);
            loss -= hit * ((double)row[c] - log(sum)) / 8;
        }
    }
    return loss;
}

static void select_subnet(nas_engine *engine, const nas_space *space, const golden *g,
                          const char *subnet) {
    nas_error err;
    nas_genome genome;
    json_t *json = golden_genome(g, subnet);
    assert_int_equal(nas_genome_from_json(space, json, subnet, &genome, &err), NAS_OK);
    json_decref(json);
    nas_arch arch = nas_genome_decode(space, &genome);
    nas_engine_select(engine, &arch);
}

static void check_logits(const golden *g, const char *subnet, const char *part,
                         const nas_real *ours) {
    const nas_tensor *theirs = golden_part(g, subnet, part);
    assert_non_null(theirs);
    for (size_t i = 0; i < 80; i++)
        if (!(fabs((double)(theirs->data[i] - ours[i])) < 1e-4))
            fail_msg("%s/%s: value %zu: expected %.7g, found %.7g", subnet, part, i,
                     (double)theirs->data[i], (double)ours[i]);
}

static void run_subnet(engine_run *r, const golden *g, const char *subnet) {
    select_subnet(r->engine, &r->space, g, subnet);
    nas_input input = {nas_tensors_find(&g->file, "images")->data, 8};
    nas_engine_forward(r->engine, r->net->weights, &input, 1, &(nas_forward){0}, r->logits);
    nas_real grad[8 * 10];
    r->loss = cross_entropy(r->logits, nas_tensors_find(&g->file, "labels")->data, grad);
    memset(r->gradient, 0, r->net->size * sizeof *r->gradient);
    nas_engine_backward(r->engine, r->net->weights, grad, r->gradient);
}

/* Largest difference between the part of a gradient that PyTorch gave and ours, as a share of the
 * largest value of that part, or of 1e-3. */
static double compare(const nas_parameter *p, const nas_real *ours, const nas_tensor *theirs) {
    uint64_t at[4] = {0}, skip = 0;
    double most = 1e-3, off = 0; /* betas that the next batch norm removes have none */
    if (p->ndim == 3) skip = (p->shape[0] - theirs->shape[0]) / 2; /* depthwise: the centre */
    for (size_t i = 0;; i++) {
        size_t place = 0;
        for (uint32_t d = 0; d < p->ndim; d++)
            place = place * p->shape[d] + at[d] + (d < 2 ? skip : 0);
        double want = (double)theirs->data[i], got = (double)ours[p->offset + place];
        most = fmax(most, fabs(want));
        off = fmax(off, fabs(want - got));
        uint32_t d = p->ndim;
        while (d > 0 && ++at[d - 1] == theirs->shape[d - 1]) at[--d] = 0;
        if (d == 0) return off / most;
    }
}

/* Float32 here, double there. Tolerances: logits 1e-4 absolute, loss 1e-5, gradients 2e-4 of the
 * tensor's largest. */
static void engine_computes_what_pytorch_does(void **state) {
    const golden *g = *state;
    engine_run r = {0};
    open_run(&r, g);
    for (size_t s = 0; s < 3; s++) {
        run_subnet(&r, g, subnets[s]);
        check_logits(g, subnets[s], "logits", r.logits);
        assert_true(fabs(r.loss - (double)golden_part(g, subnets[s], "loss")->data[0]) < 1e-5);
        for (uint32_t t = 0; t < r.net->n_parameters; t++) {
            const nas_parameter *p = &r.net->parameters[t];
            char part[128];
            snprintf(part, sizeof part, "grad/%s", p->name);
            const nas_tensor *theirs = golden_part(g, subnets[s], part);
            double off = theirs ? compare(p, r.gradient, theirs)
                                : nas_norm(r.gradient + p->offset, p->count);
            if (!(off < 2e-4)) fail_msg("%s: %s: off by %.3g", subnets[s], p->name, off);
        }
    }
    close_run(&r);
}

/* Batches of 5 images make it 5 and 3, as there. */
static void calibrated_logits_are_those_of_pytorch(void **state) {
    const golden *g = *state;
    const float *images = nas_tensors_find(&g->file, "images")->data;
    engine_run r = {0};
    nas_engine *engine;
    nas_bn_stats stats;
    nas_error err;
    open_run(&r, g);
    assert_int_equal(nas_engine_create(r.net, NAS_ENGINE_FORWARD, 5, 1, 28, 28, 2, &engine, &err),
                     NAS_OK);
    assert_int_equal(nas_bn_stats_create(engine, &stats, &err), NAS_OK);
    for (size_t s = 0; s < 3; s++) {
        select_subnet(engine, &r.space, g, subnets[s]);
        nas_engine_calibrate(engine, r.net->weights, images, 8, &stats);
        nas_engine_infer(engine, r.net->weights, &stats, images, 8, r.logits);
        check_logits(g, subnets[s], "calibrated", r.logits);
    }
    nas_bn_stats_free(&stats);
    nas_engine_destroy(engine);
    close_run(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_those_of_numpy),
        cmocka_unit_test(gradients_fit_the_weights),
        cmocka_unit_test(engine_computes_what_pytorch_does),
        cmocka_unit_test(calibrated_logits_are_those_of_pytorch),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
