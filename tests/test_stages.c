/* Whole runs: what they write, that the number of threads and an interruption change no bit, that
 * what is there is used again, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "toy_run.h"

static const toys_how plain = {0};

static int setup(void **state) {
    toys *t = calloc(1, sizeof *t);
    assert_non_null(t);
    toys_open(t);
    *state = t;
    return 0;
}

static int teardown(void **state) {
    toys_close(*state);
    free(*state);
    return 0;
}

/* ---- What a run writes ---- */

static void check_platform(const toys *t, const json_t *platform, const char *name) {
    assert_string_equal(json_string_value(json_object_get(platform, "name")), name);
    const json_t *predicted = json_object_get(platform, "predicted");
    assert_true(json_is_real(json_object_get(predicted, "latency_ms")));
    assert_true(json_is_integer(json_object_get(predicted, "peak_bytes")));
    assert_true(json_is_null(json_object_get(predicted, "energy_mj")));
    assert_true(json_is_real(json_object_get(platform, "score")));
    assert_true(json_integer_value(json_object_get(platform, "macs")) > 0);
    assert_true(json_integer_value(json_object_get(platform, "params")) > 0);
    double top1 = json_real_value(json_object_get(platform, "test_top1"));
    assert_true(top1 > 1.0 / 3 && top1 <= 1);
    const json_t *files = json_object_get(platform, "files");
    assert_int_equal(json_array_size(files), 1);
    char file[256];
    snprintf(file, sizeof file, "a/%s", json_string_value(json_array_get(files, 0)));
    char *text = toys_read(t, file, NULL);
    assert_non_null(strstr(text, "\ntop\n")); /* the exporter got the class names */
    assert_true(json_object_size(json_object_get(platform, "genome")) == 2);
    free(text);
}

/* Lines of the file, each with a step that is larger than the one before; returns how many. */
static size_t check_metrics(const toys *t, const char *name) {
    char *text = toys_read(t, name, NULL);
    json_int_t last = 0;
    size_t n = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), n++) {
        json_t *json = json_loads(line, 0, NULL);
        assert_non_null(json);
        const json_t *loss = json_object_get(json, "loss");
        json_int_t step = json_integer_value(json_object_get(json, "step"));
        if (!loss) {
            assert_int_equal(step, TOY_STEPS);
            const json_t *top1 = json_object_get(json, "validation_top1");
            assert_true(json_is_real(json_object_get(top1, "largest")));
            assert_true(json_is_real(json_object_get(top1, "smallest")));
        } else {
            assert_true(step > last);
            assert_true(json_real_value(loss) > 0);
            assert_true(json_real_value(json_object_get(json, "mask_rate")) > 0);
            assert_true(json_real_value(json_object_get(json, "pseudo_label_accuracy")) > 0);
            assert_true(json_real_value(json_object_get(json, "images_per_s")) > 0);
            assert_true(json_real_value(json_object_get(json, "lr")) > 0);
            const json_t *ssl = json_object_get(json, "ssl");
            assert_true(json_real_value(json_object_get(ssl, "threshold")) > 0);
        }
        last = step;
        json_decref(json);
    }
    free(text);
    return n;
}

static void test_files(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", plain));
    json_t *family = toys_json(t, "a/family.json");
    const json_t *platforms = json_object_get(family, "platforms");
    assert_int_equal(json_integer_value(json_object_get(family, "seed")), 3);
    assert_int_equal(json_array_size(platforms), 2);
    check_platform(t, json_array_get(platforms, 0), "big");
    check_platform(t, json_array_get(platforms, 1), "small");
    const json_t *small = json_array_get(platforms, 1);
    double limit =
        json_real_value(json_object_get(json_object_get(small, "constraints"), "latency_ms"));
    double latency =
        json_real_value(json_object_get(json_object_get(small, "predicted"), "latency_ms"));
    assert_true(limit == 0.01 && latency <= limit);
    const json_t *reference = json_object_get(family, "reference");
    assert_true(json_is_real(json_object_get(json_object_get(reference, "largest"), "test_top1")));
    assert_true(json_is_real(json_object_get(json_object_get(reference, "smallest"), "test_top1")));
    json_decref(family);
    assert_int_equal(check_metrics(t, "a/metrics.jsonl"), 4);
    assert_false(toys_exist(t, "a/checkpoint"));
    assert_non_null(strstr(t->output, "0.01 ms"));
    assert_non_null(strstr(t->output, "for reference"));
}

/* Infeasible subnets stand in the file without a score; as many feasible ones as were paid for have
 * one, besides the smallest subnet; the answer has the best. */
static void test_search_file(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", plain));
    char *text = toys_read(t, "a/search/small.jsonl", NULL);
    size_t scored = 0, infeasible = 0;
    double best = -1e9;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *json = json_loads(line, 0, NULL);
        const json_t *score = json_object_get(json, "score");
        bool fits = json_number_value(json_object_get(json, "violation")) <= 0;
        assert_true(fits == json_is_real(score));
        assert_true(fits == (json_number_value(json_object_get(json, "latency_ms")) <= 0.01));
        scored += fits;
        infeasible += !fits;
        if (fits && json_real_value(score) > best) best = json_real_value(score);
        json_decref(json);
    }
    free(text);
    assert_int_equal(scored, 6 + 1);
    assert_true(infeasible > 0);
    json_t *family = toys_json(t, "a/family.json");
    const json_t *small = json_array_get(json_object_get(family, "platforms"), 1);
    assert_true(json_real_value(json_object_get(small, "score")) >= best);
    json_decref(family);
}

/* The test split is read once, after all else. */
static void test_reads(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", plain));
    char *reads = toys_read(t, "reads.txt", NULL);
    assert_string_equal(reads, "train\ntest\n");
    free(reads);
}

static void test_json_output(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", (toys_how){.json = true}));
    json_t *printed = json_loads(t->output, 0, NULL), *family = toys_json(t, "a/family.json");
    assert_true(json_equal(printed, family));
    json_decref(printed);
    json_decref(family);
}

static void test_dry_run(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", (toys_how){.dry_run = true, .json = true}));
    json_t *plan = json_loads(t->output, 0, NULL);
    const json_t *data = json_object_get(plan, "data");
    assert_int_equal(json_integer_value(json_object_get(data, "unlabelled")), 120 - 6 - 20);
    const json_t *train = json_object_get(plan, "train");
    assert_int_equal(json_integer_value(json_object_get(train, "unlabelled")), 12);
    assert_string_equal(json_string_value(json_object_get(train, "teacher")), "largest");
    json_decref(plan);
    assert_false(toys_exist(t, "a"));
    toys_good(t, toys_run_plain(t, "a", (toys_how){.dry_run = true}));
    assert_non_null(strstr(t->output, "12 labelled"));
    char *reads = toys_read(t, "reads.txt", NULL);
    assert_null(strstr(reads, "test"));
    free(reads);
}

/* ---- The same bits ---- */

static void check_same_run(const toys *t) {
    toys_same(t, "a/supernet.safetensors", "b/supernet.safetensors");
    toys_same(t, "a/search/big.jsonl", "b/search/big.jsonl");
    toys_same(t, "a/search/small.jsonl", "b/search/small.jsonl");
    toys_same(t, "a/family/small.txt", "b/family/small.txt");
    toys_same(t, "a/family.json", "b/family.json");
}

static void test_threads(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", (toys_how){.threads = 1}));
    toys_good(t, toys_run_plain(t, "b", (toys_how){.threads = 2}));
    check_same_run(t);
}

static toys *to_stop;

static void stop(int number) {
    (void)number;
    to_stop->stop = 1;
}

/* A run, with overrides (NULL: none), that is asked to stop in this step. */
static int run_stopped_with(toys *t, const char *out, const char *step,
                            const char *const *overrides) {
    static const char *const none[] = {NULL};
    to_stop = t;
    signal(SIGUSR1, stop);
    setenv("TOY_STOP_AT", step, 1);
    int rc = toys_run_with(t, out, plain, overrides ? overrides : none);
    unsetenv("TOY_STOP_AT");
    signal(SIGUSR1, SIG_DFL);
    return rc;
}

static int run_stopped(toys *t, const char *out, const char *step) {
    return run_stopped_with(t, out, step, NULL);
}

static void test_interrupted(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", plain));
    assert_int_equal(run_stopped(t, "b", "2"), NAS_ERR_INTERRUPTED);
    assert_non_null(strstr(t->err.message, "step 3 of 12"));
    assert_false(toys_exist(t, "b/supernet.safetensors"));
    assert_int_equal(run_stopped(t, "b", "8"), NAS_ERR_INTERRUPTED);
    /* Lines that a crash after the checkpoint left, the last one cut. */
    char path[TOY_PATH];
    toys_path(t, "b/metrics.jsonl", path);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fprintf(file, "{\"step\": 10, \"loss\": 1}\n{\"step\": 11, \"lo");
    fclose(file);
    toys_good(t, toys_run_plain(t, "b", plain));
    assert_int_equal(check_metrics(t, "b/metrics.jsonl"), 4);
    assert_false(toys_exist(t, "b/checkpoint"));
    check_same_run(t);
}

/* A training by parts, stopped while the trunk is frozen and after it. */
static void test_interrupted_parts(void **state) {
    toys *t = *state;
    static const char *const parts[] = {"train.anchor=0.3", "train.lr_classifier=3",
                                        "train.lr_decay_by_depth=0.7", "train.freeze_trunk_steps=4",
                                        NULL};
    toys_good(t, toys_run_with(t, "a", plain, parts));
    assert_int_equal(run_stopped_with(t, "b", "2", parts), NAS_ERR_INTERRUPTED);
    assert_int_equal(run_stopped_with(t, "b", "8", parts), NAS_ERR_INTERRUPTED);
    toys_good(t, toys_run_with(t, "b", plain, parts));
    check_same_run(t);
}

/* A checkpoint that is cut off is told, not used. */
static void test_broken_checkpoint(void **state) {
    toys *t = *state;
    assert_int_equal(run_stopped(t, "a", "5"), NAS_ERR_INTERRUPTED);
    char path[TOY_PATH];
    toys_path(t, "a/checkpoint/state.safetensors", path);
    assert_int_equal(truncate(path, 1000), 0);
    assert_int_equal(toys_run_plain(t, "a", plain), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "state.safetensors"));
}

/* ---- Runs into a directory that holds something ---- */

static void test_again(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", plain));
    toys_good(t, toys_run_plain(t, "b", plain));
    char path[TOY_PATH];
    toys_path(t, "b/family.json", path);
    assert_int_equal(unlink(path), 0);
    setenv("TOY_NO_SCORES", "1", 1);
    int rc = run_stopped(t, "b", "0"); /* a training step would stop it */
    unsetenv("TOY_NO_SCORES");
    toys_good(t, rc);
    check_same_run(t);
}

/* Stopped after a stage, and gone on with: as if it had run through. */
static void test_until(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", plain));
    toys_good(t, toys_run_plain(t, "b", (toys_how){.until = NAS_UNTIL_TRAIN}));
    assert_null(strstr(t->output, "test top-1"));
    assert_true(toys_exist(t, "b/supernet.safetensors"));
    assert_false(toys_exist(t, "b/search"));
    toys_good(t, toys_run_plain(t, "b", (toys_how){.until = NAS_UNTIL_SEARCH}));
    assert_null(strstr(t->output, "test top-1"));
    assert_true(toys_exist(t, "b/search/small.jsonl"));
    assert_false(toys_exist(t, "b/family.json"));
    char *reads = toys_read(t, "reads.txt", NULL);
    assert_string_equal(reads, "train\ntest\ntrain\ntrain\n");
    free(reads);
    toys_good(t, toys_run_plain(t, "b", plain));
    check_same_run(t);
}

static void test_other_pipeline(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", plain));
    char *before = toys_read(t, "a/pipeline.json", NULL);
    assert_int_equal(toys_run(t, "a", plain, "train.lr=0.07"), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "train.lr was 0.05 there and is 0.07 now"));
    assert_int_equal(toys_run(t, "a", plain, "seed=4"), NAS_ERR_INPUT);
    assert_int_equal(toys_run(t, "a", plain, "train.ssl.options.diverge_at=90"), NAS_ERR_INPUT);
    char *after = toys_read(t, "a/pipeline.json", NULL);
    assert_string_equal(before, after);
    free(before);
    free(after);
    toys_good(t, toys_run(t, "a", plain, "train.log_every=3"));
}

/* Another constraint: that platform is searched again, the other one is not, nothing is trained. */
static void test_other_platform(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", plain));
    toys_good(t, toys_run_plain(t, "b", plain));
    setenv("TOY_STOP_AT", "0", 1);
    toys_good(t, toys_run(t, "b", plain, "platforms.1.constraints.latency_ms=0.008"));
    unsetenv("TOY_STOP_AT");
    toys_same(t, "a/supernet.safetensors", "b/supernet.safetensors");
    toys_same(t, "a/search/big.jsonl", "b/search/big.jsonl");
    char *log = toys_read(t, "log.txt", NULL);
    assert_non_null(strstr(log, "'small' is searched again"));
    assert_null(strstr(log, "'big' is searched again"));
    free(log);
    json_t *family = toys_json(t, "b/family.json");
    const json_t *small = json_array_get(json_object_get(family, "platforms"), 1);
    const json_t *predicted = json_object_get(small, "predicted");
    assert_true(json_real_value(json_object_get(predicted, "latency_ms")) <= 0.008);
    json_decref(family);
}

/* A search in which nothing fits leaves the answer that was there, and the pipeline that made it.
 */
static void test_failed_what_if(void **state) {
    toys *t = *state;
    static const char *const files[] = {"pipeline.json", "search/small.jsonl", "search/big.jsonl",
                                        "family.json",   "family/small.txt",   "report.html"};
    char a[64], b[64];
    toys_good(t, toys_run_plain(t, "a", plain));
    toys_good(t, toys_run_plain(t, "b", plain));
    for (int until = NAS_UNTIL_REPORT; until <= NAS_UNTIL_SEARCH; until++) {
        const toys_how how = {.until = (nas_until)until};
        if (until == NAS_UNTIL_TRAIN) continue;
        assert_int_equal(toys_run(t, "b", how, "platforms.1.constraints.latency_ms=1e-6",
                                  "platforms.0.constraints.latency_ms=1"),
                         NAS_ERR_INFEASIBLE);
        for (size_t i = 0; i < sizeof files / sizeof *files - 1; i++) {
            snprintf(a, sizeof a, "a/%s", files[i]);
            snprintf(b, sizeof b, "b/%s", files[i]);
            toys_same(t, a, b);
        }
        assert_true(toys_exist(t, "b/report.html"));
        assert_false(toys_exist(t, "b/next"));
    }
    /* One that succeeds replaces it, files and all. */
    toys_good(t, toys_run(t, "b", plain, "platforms.1.constraints.latency_ms=0.008"));
    toys_good(t, toys_run(t, "c", plain, "platforms.1.constraints.latency_ms=0.008"));
    for (size_t i = 0; i < sizeof files / sizeof *files - 1; i++) {
        snprintf(a, sizeof a, "c/%s", files[i]);
        snprintf(b, sizeof b, "b/%s", files[i]);
        toys_same(t, a, b);
    }
    assert_false(toys_exist(t, "b/next"));
    /* A search alone: what it has made stale goes, since it is complete. */
    toys_good(t, toys_run(t, "b", (toys_how){.until = NAS_UNTIL_SEARCH},
                          "platforms.1.constraints.latency_ms=0.01"));
    toys_same(t, "a/pipeline.json", "b/pipeline.json");
    toys_same(t, "a/search/small.jsonl", "b/search/small.jsonl");
    assert_false(toys_exist(t, "b/family.json"));
}

/* A split.json that a user put there is used or refused by a dry run as by a run. */
static void test_dry_run_reads_the_split(void **state) {
    toys *t = *state;
    const toys_how dry = {.dry_run = true};
    char path[TOY_PATH];
    toys_good(t, toys_run_plain(t, "a", plain));
    toys_path(t, "c", path);
    assert_int_equal(mkdir(path, 0700), 0);
    json_t *split = toys_json(t, "a/split.json");
    toys_path(t, "c/split.json", path);
    json_object_del(split, "drawn");
    assert_int_equal(json_dump_file(split, path, 0), 0);
    toys_good(t, toys_run_plain(t, "c", dry));
    assert_int_equal(toys_run(t, "c", dry, "split.labelled=15"), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "split.json: n_labelled: the pipeline asks for 15"));
    assert_int_equal(toys_run(t, "c", plain, "split.labelled=15"), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "split.json: n_labelled: the pipeline asks for 15"));
    toys_good(t, toys_run_plain(t, "c", plain));
    json_t *kept = toys_json(t, "c/split.json");
    assert_true(json_equal(kept, split));
    json_decref(kept);
    json_decref(split);
    /* What a finished training would refuse, its dry run does as well. */
    assert_int_equal(toys_run(t, "a", dry, "train.lr=0.07"), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "train.lr was 0.05 there and is 0.07 now"));
}

/* What was not finished may be started anew with other settings. */
static void test_other_pipeline_unfinished(void **state) {
    toys *t = *state;
    assert_int_equal(toys_run(t, "a", plain, "train.ssl.options.diverge_at=5"), NAS_ERR_NUMERIC);
    toys_good(t, toys_run(t, "a", plain, "split.labelled=15"));
    json_t *split = toys_json(t, "a/split.json");
    assert_int_equal(json_integer_value(json_object_get(split, "n_labelled")), 15);
    json_decref(split);
}

static void test_split_is_read_back(void **state) {
    toys *t = *state;
    toys_good(t, toys_run_plain(t, "a", plain));
    char path[TOY_PATH], copy[TOY_PATH];
    toys_path(t, "c", path);
    assert_int_equal(mkdir(path, 0700), 0);
    json_t *split = toys_json(t, "a/split.json");
    toys_path(t, "c/split.json", copy);
    json_object_set_new(split, "seed", json_integer(99));
    assert_int_equal(json_dump_file(split, copy, 0), 0);
    json_decref(split);
    assert_int_equal(toys_run_plain(t, "c", plain), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "seed: the pipeline asks for 3, found 99"));
}

/* ---- What ends a run ---- */

static void test_infeasible(void **state) {
    toys *t = *state;
    assert_int_equal(toys_run(t, "a", plain, "platforms.1.constraints.latency_ms=0.001"),
                     NAS_ERR_INFEASIBLE);
    assert_non_null(strstr(t->err.message, "platform 'small'"));
    assert_non_null(strstr(t->err.message, "latency_ms is to be at most 0.001, the lowest found"));
    assert_true(toys_exist(t, "a/search/big.jsonl"));
    assert_false(toys_exist(t, "a/family.json"));
    char *reads = toys_read(t, "reads.txt", NULL), *log = toys_read(t, "log.txt", NULL);
    assert_null(strstr(reads, "test"));
    assert_non_null(strstr(log, "warning: platform 'small'")); /* before the training */
    free(reads);
    free(log);
}

static void test_refused_by_device(void **state) {
    toys *t = *state;
    assert_int_equal(toys_run(t, "a", plain, "platforms.0.hardware.options.most_macs=10"),
                     NAS_ERR_INFEASIBLE);
    assert_non_null(strstr(t->err.message, "runs nothing that big"));
}

static void test_unknown_cost(void **state) {
    toys *t = *state;
    assert_int_equal(toys_run(t, "a", plain, "platforms.0.constraints.energy_mj=1"), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "platforms[0].constraints.energy_mj"));
    assert_false(toys_exist(t, "a"));
}

/* A space in which all that fit were scored ends the search, which says so. */
static void test_exhausted(void **state) {
    toys *t = *state;
    toys_good(t, toys_run(t, "a", plain, "search.evaluations=2000", "search.batch=1"));
    char *text = toys_read(t, "a/search/small.jsonl", NULL), *log = toys_read(t, "log.txt", NULL);
    char expected[120];
    int scored = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        scored += !strstr(line, "\"score\":null");
    snprintf(
        expected, sizeof expected,
        "platform 'small': every subnet that meets its constraints was scored: the search ends "
        "after %d of 2000",
        scored - 1); /* the smallest is no evaluation */
    if (!strstr(log, expected)) fail_msg("expected '%s' in %s", expected, log);
    free(text);
    free(log);
}

/* Costs are objectives by name; the toy checks what it is told of them. */
static void test_objectives(void **state) {
    toys *t = *state;
    toys_good(t, toys_run(t, "a", plain, "search.objectives=[\"score\", \"params\", \"macs\"]"));
    toys_good(t, toys_run(t, "b", plain, "search.plugin=toy-old-search"));
    assert_int_equal(toys_run(t, "c", plain, "search.objectives=[\"score\", \"energy_mj\"]"),
                     NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "search.objectives: the hardware plugin 'toy-hardware' "
                                           "of platform 'big' does not tell energy_mj"));
}

/* What rests on layers that the device's model does not know says so in the log and the table. */
static void test_unknown_layers(void **state) {
    toys *t = *state;
    toys_good(t, toys_run(t, "a", plain, "platforms.0.hardware.options.known=0.75"));
    char *log = toys_read(t, "log.txt", NULL);
    assert_non_null(
        strstr(log, "warning: platform 'big': 'toy-hardware' knows 75 % of the chosen"));
    assert_null(strstr(log, "warning: platform 'small'"));
    assert_non_null(strstr(t->output, " ms +-5 %, 75 % known  "));
    char *lines = toys_read(t, "a/search/big.jsonl", NULL);
    assert_non_null(strstr(lines, "\"known_share\":0.75,\"expected_error\":0.05"));
    free(lines);
    free(log);
}

static void test_diverged(void **state) {
    toys *t = *state;
    assert_int_equal(toys_run(t, "a", plain, "train.ssl.options.diverge_at=5"), NAS_ERR_NUMERIC);
    assert_non_null(strstr(t->err.message, "at step 5 with learning rate 0.0"));
    assert_false(toys_exist(t, "a/supernet.safetensors"));
    assert_true(toys_exist(t, "a/metrics.jsonl"));
}

static void test_impossible_training(void **state) {
    toys *t = *state;
    assert_int_equal(toys_run(t, "a", plain, "train.mu=0"), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "train.mu"));
    assert_int_equal(toys_run(t, "a", plain, "train.teacher=ema", "train.ema=0"), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "train.teacher"));
    assert_int_equal(toys_run(t, "a", plain, "train.distill=1", "train.subnet_sampling=largest"),
                     NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "train.distill"));
    assert_int_equal(toys_run(t, "a", plain, "search.calibration_images=95"), NAS_ERR_INPUT);
    assert_non_null(strstr(t->err.message, "search.calibration_images"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_search_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exhausted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_layers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_objectives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_output, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dry_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupted_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_checkpoint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_until, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_pipeline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_platform, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_what_if, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dry_run_reads_the_split, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_pipeline_unfinished, setup, teardown),
        cmocka_unit_test_setup_teardown(test_split_is_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_infeasible, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_by_device, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_cost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diverged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_impossible_training, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
