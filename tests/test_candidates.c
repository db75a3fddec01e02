/* Candidates of a search: violations, which is better, the memo, their file. */
#include "fixture.h"
#include "run/memo.h"
#include "run/search_file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char space_text[] =
    "{\"name\": \"some\", \"resolution\": [8, 12],"
    " \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 4, \"activation\": \"relu\"},"
    " \"stages\": [{\"width\": [4, 6, 8], \"stride\": 1, \"depth\": [1, 2, 3],"
    "   \"kernel\": [3, 5, 7], \"expand\": [1, 2, 3], \"activation\": \"relu\"}],"
    " \"head\": {\"width\": 8, \"activation\": \"relu\"}}";

typedef struct fixture {
    nas_space space;
    char folder[FIXTURE_PATH], path[FIXTURE_PATH + 32];
    nas_error err;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    json_t *json = json_loads(space_text, 0, NULL);
    if (!f || fixture_folder(f->folder)) return -1;
    assert_int_equal(nas_space_parse(json, "test", 1, 2, &f->space, NULL), NAS_OK);
    json_decref(json);
    snprintf(f->path, sizeof f->path, "%s/search/one.jsonl", f->folder);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    fixture_remove(f->folder);
    free(f);
    return 0;
}

/* What the fake device below does. */
typedef struct device {
    int code;
    double latency_ms;
} device;

static int cost(void *self, const nas_network *network, nas_cost *out, nas_error *err) {
    const device *d = self;
    out->latency_ms = d->latency_ms;
    out->peak_bytes = 4 * network->peak_elements;
    return d->code ? nas_fail(err, d->code, "no") : NAS_OK;
}

static const nas_hardware_api api = {sizeof api, cost};

static nas_candidate costed(const fixture *f, device d, nas_constraints constraints, int code) {
    nas_candidate c;
    nas_genome genome = nas_genome_smallest(&f->space);
    genome.gene[NAS_MAX_GENES - 1] = 3; /* not canonical */
    int rc = nas_candidate_cost(&f->space, &genome, &api, &d, &constraints, &c, NULL);
    assert_int_equal(rc, code);
    return c;
}

static void test_violation(void **state) {
    const fixture *f = *state;
    nas_constraints none = {.latency_ms = NAN, .energy_mj = NAN};
    nas_candidate c = costed(f, (device){0, 3}, none, NAS_OK);
    assert_true(c.violation <= 0 && isnan(c.score) && isnan(c.cost.energy_mj));
    assert_true(c.cost.flash_bytes == UINT64_MAX && c.macs > 0 && c.params > 0);
    assert_int_equal(c.genome.gene[NAS_MAX_GENES - 1], 0);

    nas_constraints two = none;
    two.latency_ms = 2;                          /* 50 % over */
    two.macs = (int64_t)c.macs / 2;              /* 100 % over */
    two.peak_bytes = (int64_t)c.cost.peak_bytes; /* just met */
    c = costed(f, (device){0, 3}, two, NAS_OK);
    double macs = (double)c.macs / (double)two.macs - 1;
    assert_true(fabs(c.violation - (0.5 + macs)) < 1e-12);
    nas_limit limits[NAS_MAX_LIMITS];
    assert_int_equal(nas_candidate_limits(&two, &c, limits), 3);
    assert_string_equal(limits[1].name, "peak_bytes");
    assert_true(limits[1].cost <= limits[1].limit);

    none.flash_bytes = 1; /* not told */
    assert_true(isinf(costed(f, (device){0, 3}, none, NAS_OK).violation));
}

/* A device that refuses leaves the costs and a violation, larger than 0 in any case. */
static void test_refusal(void **state) {
    const fixture *f = *state;
    nas_constraints c = {.latency_ms = NAN, .energy_mj = NAN};
    device d = {NAS_ERR_INFEASIBLE, 3};
    assert_true(isinf(costed(f, d, c, NAS_ERR_INFEASIBLE).violation));
    c.latency_ms = 2;
    assert_true(fabs(costed(f, d, c, NAS_ERR_INFEASIBLE).violation - 0.5) < 1e-12);
    d.code = NAS_ERR_IO;
    assert_true(isinf(costed(f, d, c, NAS_ERR_IO).violation));
}

static void test_better(void **state) {
    (void)state;
    nas_candidate a = {.score = 0.5, .violation = 0, .hash = 1, .cost.latency_ms = 2}, b = a;
    b.hash = 2;
    assert_true(nas_candidate_better(&a, &b) && !nas_candidate_better(&b, &a));
    b.cost.latency_ms = 1;
    assert_true(nas_candidate_better(&b, &a));
    a.score = 0.6;
    assert_true(nas_candidate_better(&a, &b));
    a.violation = 1e-9;
    assert_true(nas_candidate_better(&b, &a));
    b = a;
    b.score = NAN;
    assert_true(nas_candidate_better(&a, &b) && !nas_candidate_better(&b, &a));
    a.cost.latency_ms = b.cost.latency_ms = NAN;
    assert_true(nas_candidate_better(&a, &b));
}

static uint32_t next(void *context, uint32_t n) {
    return nas_rng_below(context, n);
}

/* Random distinct candidates, each third without a score, into memo. */
static void fill(const fixture *f, nas_memo *memo, size_t n) {
    nas_rng rng = nas_rng_open(2, NAS_RNG_TEST, 0, 0);
    for (size_t i = 0; memo->n < n && i < 100 * n; i++) {
        nas_candidate c = {.genome = nas_genome_random(&f->space, next, &rng),
                           .cost = {.size = sizeof(nas_cost),
                                    .latency_ms = nas_rng_uniform(&rng),
                                    .energy_mj = NAN,
                                    .peak_bytes = i,
                                    .flash_bytes = UINT64_MAX,
                                    .known_share = 1},
                           .macs = i + 1,
                           .params = i + 2,
                           .violation = i % 3 ? 0 : INFINITY,
                           .score = i % 3 ? nas_rng_normal(&rng) : NAN};
        c.hash = nas_genome_hash(&f->space, &c.genome);
        if (nas_memo_find(memo, &c.genome)) continue;
        c.asked = memo->n + 1;
        assert_int_equal(nas_memo_add(memo, &c, NULL), NAS_OK);
    }
    assert_int_equal(memo->n, n);
}

static void test_memo(void **state) {
    const fixture *f = *state;
    nas_memo memo = {.space = &f->space};
    nas_genome smallest = nas_genome_smallest(&f->space);
    assert_null(nas_memo_find(&memo, &smallest));
    fill(f, &memo, 500);
    for (size_t i = 0; i < memo.n; i++)
        assert_ptr_equal(nas_memo_find(&memo, &memo.items[i].genome), &memo.items[i]);
    nas_memo_free(&memo);
}

static void test_file(void **state) {
    fixture *f = *state;
    nas_memo memo = {.space = &f->space}, back = memo;
    fill(f, &memo, 40);
    memo.items[3].asked = 40; /* the last of those asked for */
    memo.items[39].asked = 4;
    assert_int_equal(nas_search_file_write(f->path, &f->space, &memo, NULL), NAS_OK);
    assert_int_equal(nas_search_file_read(f->path, &f->space, &back, &f->err), NAS_OK);
    assert_int_equal(back.n, 40);
    for (size_t i = 0; i < back.n; i++) {
        const nas_candidate *a = &memo.items[i == 3 ? 39 : i == 39 ? 3 : i], *b = &back.items[i];
        assert_true(nas_genome_equal(&f->space, &a->genome, &b->genome));
        assert_true(a->hash == b->hash && b->asked == i + 1 && a->macs == b->macs);
        assert_true(a->params == b->params && a->cost.peak_bytes == b->cost.peak_bytes);
        assert_true(b->cost.flash_bytes == UINT64_MAX && isnan(b->cost.energy_mj));
        assert_memory_equal(&a->cost.latency_ms, &b->cost.latency_ms, sizeof(double));
        assert_true(a->violation <= 0 ? b->violation <= 0 : isinf(b->violation));
        assert_true(isnan(a->score) ? isnan(b->score)
                                    : !(a->score < b->score || a->score > b->score));
    }
    nas_memo_free(&memo);
    nas_memo_free(&back);
}

/* A file with this second line is refused with this message. */
static void refuses(fixture *f, const char *line, const char *message) {
    nas_memo memo = {.space = &f->space};
    fill(f, &memo, 1);
    assert_int_equal(nas_search_file_write(f->path, &f->space, &memo, NULL), NAS_OK);
    nas_memo_free(&memo);
    FILE *file = fopen(f->path, "a");
    assert_non_null(file);
    fputs(line, file);
    fclose(file);
    memo = (nas_memo){.space = &f->space};
    assert_int_equal(nas_search_file_read(f->path, &f->space, &memo, &f->err), NAS_ERR_INPUT);
    assert_non_null(strstr(f->err.message, "one.jsonl: line 2:"));
    if (!strstr(f->err.message, message)) fail_msg("%s", f->err.message);
    nas_memo_free(&memo);
}

static void test_bad_file(void **state) {
    fixture *f = *state;
    refuses(f, "{\"genome\": {", "near end of file");
    refuses(f, "{}\n", "expected an object");
    json_t *genome = nas_genome_to_json(&f->space, &(nas_genome){0});
    char *text = json_dumps(genome, 0), line[512];
    json_decref(genome);
    snprintf(line, sizeof line, "{\"genome\": %s}\n", text);
    refuses(f, line, "score: expected a number or null, found nothing");
    free(text);
}

static void test_same_subnet_twice(void **state) {
    fixture *f = *state;
    nas_memo memo = {.space = &f->space};
    fill(f, &memo, 1);
    json_t *json = nas_candidate_json(&f->space, &memo.items[0]);
    char *text = json_dumps(json, JSON_COMPACT);
    nas_memo_free(&memo);
    json_decref(json);
    refuses(f, text, "the same subnet stands on an earlier line");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_violation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_better, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_subnet_twice, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
