/* nashost: the command line. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command {
    const char *name;
    nas_command_fn call;
} commands[] = {
    {"init", nas_cli_init},           {"import", nas_cli_import}, {"run", nas_cli_run},
    {"train", nas_cli_train},         {"search", nas_cli_search}, {"report", nas_cli_report},
    {"eval", nas_cli_eval},           {"score", nas_cli_score},   {"compare", nas_cli_compare},
    {"export", nas_cli_export},       {"infer", nas_cli_infer},   {"validate", nas_cli_validate},
    {"schema", nas_cli_schema},       {"cost", nas_cli_cost},     {"lut", nas_cli_lut},
    {"calibrate", nas_cli_calibrate}, {"bench", nas_cli_bench},   {"plugins", nas_cli_plugins},
    {"version", nas_cli_version},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static const char help[] =
    "usage: nashost COMMAND ...\n"
    "\n"
    "Trains one weight-sharing network on few labels, and finds in it the best subnet for each\n"
    "device.\n"
    "\n"
    "commands:\n"
    "  init [FOLDER]       a first pipeline for the data set in a folder\n"
    "  import WEIGHTS      make a pretrained network the start of a training\n"
    "  run PIPELINE        train, search, export and report, as the pipeline says\n"
    "  train DIR           one stage alone, by what a run directory holds: train,\n"
    "  search DIR          search a subnet for each platform,\n"
    "  report DIR          test and export them\n"
    "  eval DIR            test chosen subnets of a run\n"
    "  score DIR           score subnets of a run without testing them\n"
    "  compare DIR...      several runs side by side\n"
    "  export DIR          write a subnet of a run for deployment\n"
    "  infer DIR           run images through a subnet of a run\n"
    "  validate PIPELINE   check a pipeline without running it\n"
    "  schema              the JSON Schema of pipelines, for editors\n"
    "  cost PIPELINE       what chosen subnets cost on the platforms or on a device\n"
    "  lut build PIPELINE  time a space's layers on a device, for a latency table\n"
    "  calibrate           fit a hardware model to a latency table\n"
    "  bench KIND          how fast this machine is\n"
    "  plugins             list, describe and check plugins\n"
    "  version             print the version\n"
    "\n"
    "Each command has its own --help.\n"
    "\n"
    "environment:\n"
    "  NASHOST_HOME      folder of the default plugins.json; unset: the folder of this program, "
    "or\n"
    "                    ../lib/nashost beside it\n"
    "  NASHOST_PLUGINS   further manifests, separated by colons\n"
    "  OMP_NUM_THREADS   threads, where --threads is not given\n"
    "  NASHOST_SLOW_SECONDS  after how long a run says that a plugin has not returned (60)\n"
    "\n"
    "exit codes:\n"
    "  0    it worked\n"
    "  1    it failed while running: no memory, no space, a number that is not finite\n"
    "  2    wrong usage or input: the command line, a pipeline, a data file\n"
    "  3    no subnet meets a platform's constraints\n"
    "  4    a plugin cannot be used\n"
    "  130  interrupted; what was done so far is saved\n";

/* A file that takes the place of a closed stdout would receive what is printed. */
static void keep_standard_streams(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd ? O_RDONLY : O_WRONLY); /* so that using it is an error */
}

static int dispatch(int argc, char **argv) {
    nas_error err;
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++) names[i] = commands[i].name;
    if (argc < 2) {
        fputs(help, stderr);
        return NAS_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(help, stdout);
        return NAS_EXIT_OK;
    }
    const char *name = strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    int i = nas_args_command(name, names, COMMANDS, "nashost", &err);
    if (i < 0) return nas_cli_fail(&err, nas_args_want_json(argc, argv));
    return commands[i].call(argc - 1, argv + 1);
}

/* The linker finds a program's functions before those of libc: a plugin that calls one of these,
 * which run no exit handlers, ends up here. */
#define NAS_INSTEAD __attribute__((visibility("default")))

NAS_INSTEAD void _exit(int status) {
    nas_watch_exit(status, __builtin_return_address(0));
}

NAS_INSTEAD void _Exit(int status) {
    nas_watch_exit(status, __builtin_return_address(0));
}

int main(int argc, char **argv) {
    keep_standard_streams();
    nas_cli_filter_output();
    nas_watch_crashes();
    signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is an error of its write */
    signal(SIGPIPE, SIG_IGN); /* a reader that went away must not end a run without a word */
    return nas_watch_finish(nas_cli_finish(dispatch(argc, argv)));
}
