/* What run, train, search and report print. */
#include "base/json.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "stages/run.h"

#include <string.h>

static const char *text_at(const json_t *json, const char *path) {
    const char *text = json_string_value(nas_json_at(json, path));
    return text ? text : "-";
}

static long long count_at(const json_t *json, const char *path) {
    return (long long)json_integer_value(nas_json_at(json, path));
}

/* ---- A dry run ---- */

static void print_plan_data(const json_t *plan) {
    printf("data      %s: %lld training images %lldx%lldx%lld, %lld classes, %lld for the final "
           "test\n",
           text_at(plan, "data.dataset"), count_at(plan, "data.train"),
           count_at(plan, "data.image.0"), count_at(plan, "data.image.1"),
           count_at(plan, "data.image.2"), count_at(plan, "data.classes"),
           count_at(plan, "data.test"));
    printf("split     %lld labelled, %lld validation, %lld held out for scores, %lld unlabelled\n",
           count_at(plan, "data.labelled"), count_at(plan, "data.validation"),
           count_at(plan, "data.heldout"), count_at(plan, "data.unlabelled"));
    if (count_at(plan, "data.skipped"))
        printf("          %lld images cannot be read and are left out\n",
               count_at(plan, "data.skipped"));
    double subnets = json_number_value(nas_json_at(plan, "space.subnets"));
    double all = json_number_value(nas_json_at(plan, "space.of"));
    printf("space     %s: %.4g subnets", text_at(plan, "space.name"), subnets);
    if (subnets < all) printf(", narrowed from %.4g", all);
    printf("\n");
}

static void print_plan_work(const json_t *plan) {
    long long steps = count_at(plan, "train.steps"), subnets = count_at(plan, "train.subnets");
    long long labelled = count_at(plan, "train.labelled");
    long long unlabelled = count_at(plan, "train.unlabelled");
    printf("train     %lld steps of %lld labelled and %lld unlabelled images, %lld %s, loss %s, "
           "teacher %s\n",
           steps, labelled, unlabelled, subnets, subnets == 1 ? "subnet" : "subnets",
           text_at(plan, "train.ssl"), text_at(plan, "train.teacher"));
    printf("          each labelled image is seen %.1f times, each unlabelled one %.1f times\n",
           (double)(steps * labelled) / (double)count_at(plan, "data.labelled"),
           (double)(steps * unlabelled) / (double)count_at(plan, "data.unlabelled"));
    printf("search    %s, %lld subnets a platform, score %s\n", text_at(plan, "search.plugin"),
           count_at(plan, "search.evaluations"), text_at(plan, "search.score"));
    const json_t *memory = json_object_get(plan, "memory");
    printf("memory    %s at most: %s training, %s judging, %s images, and the program\n",
           nas_show_cell(json_object_get(memory, "peak_bytes"), NAS_SHOW_BYTES).text,
           nas_show_cell(json_object_get(memory, "train_bytes"), NAS_SHOW_BYTES).text,
           nas_show_cell(json_object_get(memory, "evaluate_bytes"), NAS_SHOW_BYTES).text,
           nas_show_cell(json_object_get(memory, "image_bytes"), NAS_SHOW_BYTES).text);
    printf("threads   %lld\nwrites    %s\n\n", count_at(plan, "threads"), text_at(plan, "out"));
}

/* Two rows a platform. NULL: out of memory. */
static json_t *plan_rows(const json_t *plan) {
    static const char *const subnets[] = {"largest", "smallest"};
    json_t *rows = json_array(), *platform;
    size_t i;
    json_array_foreach(json_object_get(plan, "platforms"), i, platform) {
        for (int s = 0; s < 2; s++) {
            json_t *row = nas_json_copy(json_object_get(platform, subnets[s]));
            nas_json_put(&row, "subnet", json_string(subnets[s]));
            nas_json_put(&row, "name",
                         s ? json_string("") : nas_json_copy(json_object_get(platform, "name")));
            if (!s)
                nas_json_put(&row, "constraints",
                             json_incref(json_object_get(platform, "constraints")));
            nas_json_add(&rows, row);
        }
    }
    return rows;
}

static int print_plan(const json_t *plan, nas_error *err) {
    static const nas_column columns[] = {
        {"platform", "name", NAS_SHOW_TEXT},
        {"at most", "constraints", NAS_SHOW_LIMITS},
        {"subnet", "subnet", NAS_SHOW_TEXT},
        {"latency", "predicted", NAS_SHOW_LATENCY},
        {"MACs", "macs", NAS_SHOW_COUNT},
        {"params", "params", NAS_SHOW_COUNT},
        {"peak memory", "predicted.peak_bytes", NAS_SHOW_BYTES},
        {"fits", "fits", NAS_SHOW_YES},
    };
    json_t *rows = plan_rows(plan);
    if (!rows) return nas_fail(err, NAS_ERR_MEMORY, "out of memory for a table");
    print_plan_data(plan);
    print_plan_work(plan);
    int rc = nas_render_table(rows, columns, sizeof columns / sizeof *columns, err);
    json_decref(rows);
    return rc;
}

/* ---- Stages ---- */

static int print_trained(const json_t *trained, nas_error *err) {
    (void)err;
    printf("%s/supernet.safetensors: %lld steps with %s%s\n", text_at(trained, "out"),
           count_at(trained, "steps"), text_at(trained, "ssl"),
           json_is_true(json_object_get(trained, "trained_now")) ? "" : ", trained before");
    return NAS_OK;
}

static int print_chosen(const json_t *chosen, nas_error *err) {
    static const nas_column columns[] = {
        {"platform", "name", NAS_SHOW_TEXT},
        {"at most", "constraints", NAS_SHOW_LIMITS},
        {"latency", "predicted", NAS_SHOW_LATENCY},
        {"MACs", "macs", NAS_SHOW_COUNT},
        {"params", "params", NAS_SHOW_COUNT},
        {"peak memory", "predicted.peak_bytes", NAS_SHOW_BYTES},
        {"score", "score", NAS_SHOW_NUMBER},
        {"genome", "genome", NAS_SHOW_GENOME},
    };
    return nas_render_table(json_object_get(chosen, "platforms"), columns,
                            sizeof columns / sizeof *columns, err);
}

static void print_verified_file(const json_t *platform, const json_t *entry) {
    const char *skipped = json_string_value(json_object_get(entry, "skipped"));
    const char *failed = json_string_value(json_object_get(entry, "failed"));
    printf("%s: %s ", text_at(platform, "name"), text_at(entry, "file"));
    if (skipped || failed) {
        printf("%s: %s\n", skipped ? "is not verified" : "FAILS", skipped ? skipped : failed);
        return;
    }
    printf("%s in %s: %lld of %lld answers are the host's, logits of up to %.3g differ by %.2g\n",
           json_is_true(json_object_get(entry, "agrees")) ? "agrees" : "DIFFERS",
           text_at(entry, "engine"), count_at(entry, "same_answers"), count_at(entry, "images"),
           json_number_value(json_object_get(entry, "largest_logit")),
           json_number_value(json_object_get(entry, "largest_difference")));
}

/* What engines answered. */
static void print_verified(const json_t *platforms) {
    json_t *platform, *entry;
    size_t i, k;
    json_array_foreach(platforms, i, platform) {
        json_array_foreach(json_object_get(platform, "verified"), k, entry) {
            print_verified_file(platform, entry);
        }
    }
}

/* Whether a column has something to show for some platform. */
static bool is_shown(const nas_column *column, const json_t *platforms) {
    json_t *platform;
    size_t i;
    if (strncmp(column->path, "int8", 4) != 0) return true;
    json_array_foreach(platforms, i, platform) {
        if (nas_json_at(platform, column->path)) return true;
    }
    return false;
}

static int print_family(const json_t *family, nas_error *err) {
    static const nas_column all[] = {
        {"platform", "name", NAS_SHOW_TEXT},
        {"at most", "constraints", NAS_SHOW_LIMITS},
        {"latency", "predicted", NAS_SHOW_LATENCY},
        {"MACs", "macs", NAS_SHOW_COUNT},
        {"params", "params", NAS_SHOW_COUNT},
        {"peak memory", "predicted.peak_bytes", NAS_SHOW_BYTES},
        {"test top-1", "test_top1", NAS_SHOW_PERCENT},
        {"in int8", "int8.test_top1", NAS_SHOW_PERCENT},
        {"in int8w7", "int8w7.test_top1", NAS_SHOW_PERCENT},
        {"genome", "genome", NAS_SHOW_GENOME},
    };
    enum { COLUMNS = sizeof all / sizeof *all };
    const json_t *platforms = json_object_get(family, "platforms");
    nas_column columns[COLUMNS];
    size_t n = 0;
    for (size_t i = 0; i < COLUMNS; i++)
        if (is_shown(&all[i], platforms)) columns[n++] = all[i];
    int rc = nas_render_table(platforms, columns, n, err);
    if (rc) return rc;
    const json_t *largest = nas_json_at(family, "reference.largest.test_top1");
    const json_t *smallest = nas_json_at(family, "reference.smallest.test_top1");
    printf("test top-1 for reference: largest subnet %s, smallest %s\n",
           nas_show_cell(largest, NAS_SHOW_PERCENT).text,
           nas_show_cell(smallest, NAS_SHOW_PERCENT).text);
    print_verified(platforms);
    if (count_at(family, "skipped_images"))
        printf("%lld images cannot be read and were left out\n",
               count_at(family, "skipped_images"));
    return NAS_OK;
}

int nas_run_print(const nas_run_request *request, const json_t *result, nas_error *err) {
    if (request->dry_run) return print_plan(result, err);
    switch (request->until) {
    case NAS_UNTIL_TRAIN:
        return print_trained(result, err);
    case NAS_UNTIL_SEARCH:
        return print_chosen(result, err);
    case NAS_UNTIL_REPORT:
        break;
    }
    return print_family(result, err);
}

int nas_cli_run_request(const nas_args *args, const nas_run_request *request, nas_error *err) {
    json_t *result;
    int rc = nas_run(request, &result, err);
    if (rc || nas_cluster_rank(request->cluster)) return rc;
    if (args->json)
        return nas_cli_print_json(result) ? nas_fail(err, NAS_ERR_MEMORY, "out of memory") : NAS_OK;
    rc = nas_run_print(request, result, err);
    json_decref(result);
    return rc;
}
