#include "stages/bench.h"

#include "base/file.h"
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: nashost bench train|eval|score|gemm|augment|search [PIPELINE] [options]\n"
    "\n"
    "Times the work of a run on this machine. Without a PIPELINE it is that of\n"
    "pipelines/bench.json beside plugins.json, which makes its own images. Nothing is written.\n"
    "\n"
    "  train     steps of the training: images, teacher, every subnet, update\n"
    "  eval      calibrating and evaluating the largest subnet\n"
    "  score     scores of random subnets\n"
    "  gemm      the matrix products of the largest subnet, one by one\n"
    "  augment   making batches, which is one thread\n"
    "  search    the first platform's search, and its own share in that\n"
    "\n"
    "  --rounds N           steps to time (train 20, augment 200, search 100, else 5)\n"
    "  --set KEY=VALUE ...  change a key of the pipeline first\n"
    "  --threads N          threads (2)\n"
    "  --plugins FILE       a further manifest of plugins; may be given again\n"
    "  --json               print the result as JSON\n"
    "\n"
    "Other work on the machine spoils the figures.\n";

/* The default pipeline; the caller frees. */
static int find_pipeline(const nas_registry *registry, char **path, nas_error *err) {
    const char *folder;
    for (size_t i = 0; (folder = nas_registry_folder(registry, i)) != NULL; i++) {
        *path = nas_path_join(folder, "pipelines/bench.json");
        if (*path && nas_file_exists(*path)) return NAS_OK;
        free(*path);
    }
    *path = NULL;
    return nas_fail(err, NAS_ERR_INPUT,
                    "bench: no pipelines/bench.json beside plugins.json; name a PIPELINE");
}

static void print_value(const char *key, const json_t *value) {
    if (json_is_string(value))
        printf("%-16s %s\n", key, json_string_value(value));
    else if (json_is_integer(value))
        printf("%-16s %lld\n", key, (long long)json_integer_value(value));
    else
        printf("%-16s %.4g\n", key, json_number_value(value));
}

/* Objects with the same keys, as a table. */
static void print_rows(const json_t *rows) {
    size_t i;
    json_t *row, *value;
    const char *key;
    putchar('\n');
    json_object_foreach(json_array_get(rows, 0), key, value) {
        printf("%16s", key);
    }
    putchar('\n');
    json_array_foreach(rows, i, row) {
        json_object_foreach(row, key, value) {
            if (json_is_string(value))
                printf("%16s", json_string_value(value));
            else
                printf("%16.4g", json_number_value(value));
        }
        putchar('\n');
    }
    putchar('\n');
}

static void print_text(json_t *result) {
    const char *key, *inner;
    json_t *value, *part;
    json_object_foreach(result, key, value) {
        if (json_is_array(value)) {
            print_rows(value);
        } else if (json_is_object(value)) {
            printf("%s:\n", key);
            json_object_foreach(value, inner, part) {
                print_value(inner, part);
            }
        } else {
            print_value(key, value);
        }
    }
}

static int run_bench(nas_bench kind, const nas_args *args, nas_session *session,
                     const nas_pipeline *pipeline, nas_error *err) {
    const nas_run_request request = {.pipeline = pipeline,
                                     .registry = session->registry,
                                     .threads = args->threads ? args->threads : 2,
                                     .quiet = true,
                                     .log = &session->log};
    static const size_t usual[NAS_BENCHES] = {
        [NAS_BENCH_TRAIN] = 20, [NAS_BENCH_EVAL] = 5,      [NAS_BENCH_SCORE] = 5,
        [NAS_BENCH_GEMM] = 5,   [NAS_BENCH_AUGMENT] = 200, [NAS_BENCH_SEARCH] = 100};
    json_t *result;
    size_t rounds = args->rounds ? (size_t)args->rounds : usual[kind];
    int rc = nas_bench_run(kind, &request, rounds, &result, err);
    if (rc) return rc;
    if (args->json)
        return nas_cli_print_json(result) ? nas_fail(err, NAS_ERR_MEMORY, "out of memory") : NAS_OK;
    print_text(result);
    json_decref(result);
    return NAS_OK;
}

static int bench(const nas_args *args, nas_error *err) {
    nas_session session = {0};
    nas_pipeline pipeline = {0};
    const char *names[NAS_BENCHES], *file = args->n_operands > 1 ? args->operands[1] : NULL;
    char *path = NULL;
    for (int i = 0; i < NAS_BENCHES; i++) names[i] = nas_bench_name((nas_bench)i);
    int kind = nas_args_command(args->positional, names, NAS_BENCHES, "nashost bench", err);
    int rc = kind < 0 ? err->code : nas_session_open(args, true, &session, err);
    if (!rc && !file) rc = find_pipeline(session.registry, &path, err);
    if (!rc) rc = nas_session_pipeline(&session, file ? file : path, args, &pipeline, err);
    if (!rc) rc = run_bench((nas_bench)kind, args, &session, &pipeline, err);
    nas_pipeline_free(&pipeline);
    nas_session_close(&session);
    free(path);
    return rc;
}

int nas_cli_bench(int argc, char **argv) {
    static const nas_subcommand command = {
        .name = "bench",
        .operands = "KIND [PIPELINE]",
        .flags = NAS_FLAG_ROUNDS | NAS_FLAG_SET | NAS_FLAG_THREADS | NAS_FLAG_PLUGINS,
        .help = help,
        .run = bench,
    };
    return nas_cli_subcommand(&command, argc, argv);
}
