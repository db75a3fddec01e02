/* The command line: what the subcommands share. */
#ifndef NAS_CLI_CLI_H
#define NAS_CLI_CLI_H

#include "base/log.h"
#include "base/version.h"
#include "host/cluster.h"
#include "host/instance.h"
#include "host/pipeline.h"
#include "run/request.h"
#include "space/space.h"

#include <signal.h>

/* Exit codes; `nashost --help` tells them. */
typedef enum nas_exit {
    NAS_EXIT_OK = 0,
    NAS_EXIT_FAILED = 1,
    NAS_EXIT_USAGE = 2,
    NAS_EXIT_INFEASIBLE = 3,
    NAS_EXIT_PLUGIN = 4,
    NAS_EXIT_INTERRUPTED = 130,
} nas_exit;

/* Options; a subcommand names those that it takes. --json and --help are always known. */
typedef enum nas_flag {
    NAS_FLAG_SET = 1 << 0,
    NAS_FLAG_PLUGINS = 1 << 1,
    NAS_FLAG_OUT = 1 << 2,
    NAS_FLAG_THREADS = 1 << 3,
    NAS_FLAG_DRY_RUN = 1 << 4,
    NAS_FLAG_QUIET = 1 << 5,
    NAS_FLAG_ID = 1 << 6,
    NAS_FLAG_KIND = 1 << 7,
    NAS_FLAG_OPTIONS = 1 << 8,
    NAS_FLAG_GENOME = 1 << 9,
    NAS_FLAG_UNTIL = 1 << 10,
    NAS_FLAG_HARDWARE = 1 << 11,
    NAS_FLAG_LIMIT = 1 << 12,
    NAS_FLAG_NETWORKS = 1 << 13,
    NAS_FLAG_PLATFORM = 1 << 14,
    NAS_FLAG_FORMAT = 1 << 15,
    NAS_FLAG_INPUT = 1 << 16,
    NAS_FLAG_LOGITS = 1 << 17,
    NAS_FLAG_ROUNDS = 1 << 18,
    NAS_FLAG_RANDOM = 1 << 19,
    NAS_FLAG_TABLE = 1 << 20,
    NAS_FLAG_DATASET = 1 << 21,
    NAS_FLAG_SCORE = 1 << 22,
    NAS_FLAG_INT8 = 1 << 23,
    NAS_FLAG_SPACE_OUT = 1 << 24,
    NAS_FLAG_WEIGHTS = 1 << 25,
    NAS_FLAG_WEIGHT_BITS = 1 << 26,
    NAS_FLAG_SECONDS = 1 << 27,
    NAS_FLAG_CHECK_IMAGES = 1 << 28,
    NAS_FLAG_ALLOW_COMMANDS = 1 << 29,
    NAS_FLAG_CLUSTER = 1 << 30,
} nas_flag;

/* Strings are borrowed from argv. */
typedef struct nas_args {
    const char *positional;      /* the first operand; NULL: none */
    const char *const *operands; /* [n_operands], of argv */
    size_t n_operands;
    const char **overrides; /* --set [n_overrides] */
    const char **manifests; /* --plugins [n_manifests] */
    const char **genomes;   /* --genome [n_genomes]: files */
    size_t n_overrides, n_manifests, n_genomes;
    const char *out, *id, *kind, *options, *until, *hardware, *table, *dataset, *score, *cluster;
    const char *platform, *format, *input, *logits, *space_out, *weights;
    int threads, limit, rounds, random, weight_bits, seconds; /* 0: not given */
    int networks;                                             /* -1: not given */
    bool dry_run, check_images, quiet, int8, allow_commands, json, help;
} nas_args;

/* A subcommand; argv[0] is its last word. Returns a nas_exit. */
typedef int (*nas_command_fn)(int argc, char **argv);

/* Reads the options in flags (of nas_flag) and the operands that the pattern tells: words such as
 * "KIND NAME", of which "[FOLDER]" may be left out, and "DIR..." is one or more; NULL: none.
 * Without
 * --help they must be there. command is the subcommand's words. */
int nas_args_parse(const char *command, int argc, char **argv, unsigned flags, const char *operands,
                   nas_args *args, nas_error *err);
void nas_args_free(nas_args *args);

/* A subcommand that does one thing. */
typedef struct nas_subcommand {
    const char *name;     /* its words, such as "lut build" */
    const char *operands; /* see nas_args_parse */
    unsigned flags;       /* of nas_flag */
    const char *help;     /* NULL: the command that it belongs to prints it */
    bool alone;           /* rank 0 does it, where a launcher started several processes */
    int (*run)(const nas_args *args, nas_error *err);
} nas_subcommand;

/* Reads argv, prints the help or runs the subcommand, tells an error. Returns a nas_exit. */
int nas_cli_subcommand(const nas_subcommand *command, int argc, char **argv);

/* True if --json stands in argv: how errors are told even where the rest cannot be read. */
bool nas_args_want_json(int argc, char **argv);

/* Reads --options, JSON text, into a new reference; NULL if it was not given. */
int nas_args_options(const nas_args *args, json_t **options, nas_error *err);

/* Reads --kind; 0: not given. */
int nas_args_kind(const nas_args *args, nas_kind *kind, nas_error *err);

/* Fails unless at most one --genome and no --platform, or a --platform alone, is given. */
int nas_args_one_genome(const char *command, const nas_args *args, nas_error *err);

/* Finds command among names [n]: its index, or -1 and an error with the nearest name. prefix stands
 * before the names in messages, such as "nashost plugins". */
int nas_args_command(const char *command, const char *const *names, size_t n, const char *prefix,
                     nas_error *err);

/* Tells an error on stderr, and as JSON on stdout if asked; returns the exit code. An empty message
 * is one that another process tells. */
int nas_cli_fail(const nas_error *err, bool json);

/* Writes a JSON value and a newline to stdout; takes the reference. NULL: out of memory. */
int nas_cli_print_json(json_t *json);

/* Prints a subcommand's result, as JSON or by `table`, and releases it. */
int nas_cli_result(const nas_args *args, json_t *result,
                   int (*table)(const json_t *result, nas_error *err), nas_error *err);

/* Runs a request's stages and prints what the last one made. */
int nas_cli_run_request(const nas_args *args, const nas_run_request *request, nas_error *err);

/* From now on, what is printed to stdout has no control characters but newlines and tabs. */
void nas_cli_filter_output(void);

/* Fails if something written to stdout was lost; else returns status. */
int nas_cli_finish(int status);

/* The registry, and what plugins are given. */
typedef struct nas_session {
    nas_services services;
    nas_log log;
    nas_registry *registry;
    nas_cluster *cluster; /* NULL: this process is alone */
} nas_session;

/* Reads the manifests: the default one, those in $NASHOST_PLUGINS, those of --plugins. needed:
 * having none at all is an error. Do not move the session. */
int nas_session_open(const nas_args *args, bool needed, nas_session *session, nas_error *err);
void nas_session_close(nas_session *session);

/* Joins the other ranks, where --cluster or a launcher says that there are some: all are to call
 * what follows. stop: as in nas_cluster_open. Any rank but the first is silent from now on. */
int nas_session_join(nas_session *session, const nas_args *args, const volatile sig_atomic_t *stop,
                     nas_error *err);

/* The last call of a command that joined, with what became of it: returns rc, with an empty message
 * if rank 0 tells it. Where no other rank knows what failed it is told here, and all are ended. */
int nas_session_leave(nas_session *session, const nas_args *args, int rc, nas_error *err);

/* Loads a pipeline, changed by the arguments' overrides, and gives plugins its seed. */
int nas_session_pipeline(nas_session *session, const char *file, const nas_args *args,
                         nas_pipeline *pipeline, nas_error *err);

/* What the stages are asked to do by a session's pipeline in the run directory out. */
nas_run_request nas_session_request(nas_session *session, const nas_args *args,
                                    const nas_pipeline *pipeline, const char *out);

/* The run directory that a command works on. */
typedef struct nas_run_dir {
    nas_session session;
    nas_pipeline pipeline; /* the directory's own */
    nas_run_request request;
} nas_run_dir;

/* Opens the pipeline of the directory args->positional. Do not move it; close it on failure too,
 * and zeroed is fine. */
int nas_run_dir_open(const nas_args *args, nas_run_dir *run, nas_error *err);
void nas_run_dir_close(nas_run_dir *run);

/* The same with a session that is open already. */
int nas_run_dir_read(const nas_args *args, nas_run_dir *run, nas_error *err);

/* Has SIGINT, SIGTERM and SIGHUP set what it returns, for a run to stop by; the second one ends the
 * process. */
const volatile sig_atomic_t *nas_cli_catch_signals(void);

/* From now on nothing is written when a signal comes: another process does that. */
void nas_cli_silence_signals(void);

/* What nas_services' calling is: notes which plugin is at work. [main] */
void nas_watch_calling(void *context, const char *id, const char *function);

/* From now on a crash in a plugin writes one line that says in which function of which plugin it
 * was, and then has its way. A library that aborts for want of memory ends the program with exit
 * code 1. An exit by anybody else than main is told in the same way, and ends with NAS_EXIT_PLUGIN.
 */
void nas_watch_crashes(void);

/* Called as the last thing in main: what ends the process from now on is main. Returns status. */
int nas_watch_finish(int status);

/* What a call of _exit does, caller being an address in the file that called: in this process it is
 * told, with the plugin that is at work or the file, and ends with NAS_EXIT_PLUGIN; a child of a
 * plugin's ends with status. */
_Noreturn void nas_watch_exit(int status, const void *caller);

/* Ends the process at once, as _exit does, without a word. [any, in handlers too] */
_Noreturn void nas_watch_leave(int status);

/* Starts a thread that writes a line when a plugin does not return for 60 s, or for
 * $NASHOST_SLOW_SECONDS; it ends nothing. */
void nas_watch_slow(void);

/* The pipeline's space, which depends on its data set's channels and classes. */
int nas_session_space(nas_session *session, const nas_pipeline *pipeline, nas_space *space,
                      nas_error *err);

/* Opens the plugin of --hardware with --options, whose paths are relative to the working folder. */
int nas_session_hardware(nas_session *session, const nas_args *args, nas_instance *hardware,
                         nas_error *err);

int nas_cli_run(int argc, char **argv);
int nas_cli_train(int argc, char **argv);
int nas_cli_search(int argc, char **argv);
int nas_cli_report(int argc, char **argv);
int nas_cli_compare(int argc, char **argv);
int nas_cli_eval(int argc, char **argv);
int nas_cli_score(int argc, char **argv);
int nas_cli_export(int argc, char **argv);
int nas_cli_import(int argc, char **argv);
int nas_cli_infer(int argc, char **argv);
int nas_cli_validate(int argc, char **argv);
int nas_cli_schema(int argc, char **argv);
int nas_cli_init(int argc, char **argv);
int nas_cli_lut(int argc, char **argv);
int nas_cli_cost(int argc, char **argv);
int nas_cli_calibrate(int argc, char **argv);
int nas_cli_bench(int argc, char **argv);
int nas_cli_plugins(int argc, char **argv);
int nas_cli_plugins_list(int argc, char **argv);
int nas_cli_plugins_describe(int argc, char **argv);
int nas_cli_plugins_check(int argc, char **argv);
int nas_cli_plugins_new(int argc, char **argv);
int nas_cli_version(int argc, char **argv);

#endif
