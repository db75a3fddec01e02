#include "base/file.h"
#include "base/threads.h"
#include "cli/cli.h"
#include "host/guarded.h"
#include "host/services.h"
#include "nn/gemm.h"
#include "run/rundir.h"

#include <nashost/dataset.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Manifests to read; the strings are owned. */
typedef struct list {
    size_t n, capacity;
    char **paths;
} list;

/* Takes path; NULL is out of memory. */
static int append(list *l, char *path, nas_error *err) {
    if (path && l->n < l->capacity) {
        l->paths[l->n++] = path;
        return NAS_OK;
    }
    free(path);
    return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
}

/* The folder of this program; the caller frees. NULL: unknown. */
static char *program_folder(void) {
    char *program = realpath("/proc/self/exe", NULL);
    char *folder = program ? nas_path_folder(program) : NULL;
    free(program);
    return folder;
}

/* The manifest of the plugins that came with the program: beside it in a source tree, in the
 * library folder once installed. */
static int add_default(list *l, nas_error *err) {
    static const char *const places[] = {"plugins.json", "../lib/nashost/plugins.json"};
    const char *home = getenv("NASHOST_HOME");
    if (home && *home) return append(l, nas_path_join(home, places[0]), err);
    char *folder = program_folder();
    int rc = NAS_OK;
    for (size_t i = 0; folder && i < sizeof places / sizeof *places && !l->n && !rc; i++) {
        char *path = nas_path_join(folder, places[i]);
        if (path && !nas_file_exists(path))
            free(path);
        else
            rc = append(l, path, err);
    }
    free(folder);
    return rc;
}

static int add_all(list *l, const nas_args *args, const char *variable, nas_error *err) {
    int rc = add_default(l, err);
    while (!rc && *variable) {
        size_t n = strcspn(variable, ":");
        if (n) rc = append(l, strndup(variable, n), err);
        variable += n + (variable[n] == ':');
    }
    for (size_t i = 0; i < args->n_manifests && !rc; i++)
        rc = append(l, strdup(args->manifests[i]), err);
    return rc;
}

static void log_line(void *context, nas_level level, const char *message) {
    nas_log_line(context, level, "%s", message);
}

int nas_session_open(const nas_args *args, bool needed, nas_session *session, nas_error *err) {
    const char *variable = getenv("NASHOST_PLUGINS");
    if (!variable) variable = "";
    nas_gemm_prepare();
    *session = (nas_session){.log = {stderr, args->quiet ? NAS_WARNING : NAS_INFO}};
    session->services =
        (nas_services){.log = log_line,
                       .context = &session->log,
                       .extension = nas_service,
                       .calling = nas_watch_calling,
                       /* What the words of the command line name is the user's own. */
                       .allow_commands = args->allow_commands || args->hardware};
    list l = {.capacity = 2 + strlen(variable) + args->n_manifests};
    l.paths = calloc(l.capacity, sizeof *l.paths);
    int rc =
        l.paths ? add_all(&l, args, variable, err) : nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    if (!rc && needed && !l.n)
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "no plugins.json found beside this program; set NASHOST_HOME to its folder, "
                      "or name one with --plugins");
    if (!rc)
        rc = nas_registry_open((const char *const *)l.paths, l.n, &session->services,
                               &session->registry, err);
    for (size_t i = 0; i < l.n; i++) free(l.paths[i]);
    free(l.paths);
    return rc;
}

/* No rank knows of the others yet, and rank 0 most likely fails by the same: a launcher ends all as
 * soon as one fails. Who is not ended tells it too, as it may be alone with it. */
static void let_rank_0_tell(const volatile sig_atomic_t *stop, nas_error *err) {
    const struct timespec pause = {.tv_nsec = 20000000};
    nas_cli_silence_signals();
    for (int i = 0; i < 100 && !(stop && *stop); i++) nanosleep(&pause, NULL);
    if (stop && *stop) err->message[0] = 0;
}

int nas_session_join(nas_session *session, const nas_args *args, const volatile sig_atomic_t *stop,
                     nas_error *err) {
    int rc = nas_cluster_open(session->registry, args->cluster, stop, &session->cluster, err);
    if (rc && nas_cluster_launched(NULL)) let_rank_0_tell(stop, err);
    if (!nas_cluster_rank(session->cluster)) return rc;
    session->log.stream = NULL;
    nas_cli_silence_signals();
    return rc;
}

/* What this rank alone knows. */
static void tell_and_abandon(nas_cluster *cluster, const nas_args *args, const nas_error *err) {
    nas_error told = {.code = err->code};
    uint32_t rank = nas_cluster_rank(cluster);
    snprintf(told.message, sizeof told.message, "on rank %u: %.990s", rank, err->message);
    int status = nas_cli_finish(nas_cli_fail(&told, args->json && !rank));
    fflush(stderr);
    nas_cluster_abandon(cluster, status);
}

int nas_session_leave(nas_session *session, const nas_args *args, int rc, nas_error *err) {
    nas_cluster *cluster = session->cluster;
    if (!cluster) return rc;
    bool told = nas_cluster_told(cluster, rc);
    if (!told) tell_and_abandon(cluster, args, err);
    if (rc && (!told || nas_cluster_rank(cluster))) err->message[0] = 0;
    nas_cluster_close(cluster);
    session->cluster = NULL;
    return rc;
}

int nas_session_pipeline(nas_session *session, const char *file, const nas_args *args,
                         nas_pipeline *pipeline, nas_error *err) {
    int rc = nas_pipeline_load(file, args->overrides, args->n_overrides, session->registry,
                               pipeline, err);
    if (!rc) session->services.seed = (uint64_t)pipeline->seed;
    return rc;
}

nas_run_request nas_session_request(nas_session *session, const nas_args *args,
                                    const nas_pipeline *pipeline, const char *out) {
    int threads = args->threads ? args->threads : nas_threads_wanted();
    if (threads > NAS_CHUNKS) {
        nas_log_line(
            &session->log, NAS_INFO,
            "%d threads could be used, but work is cut into %d parts: there are %d threads",
            threads, NAS_CHUNKS, NAS_CHUNKS);
        threads = NAS_CHUNKS;
    }
    return (nas_run_request){
        .pipeline = pipeline,
        .registry = session->registry,
        .out = out,
        .threads = threads,
        .quiet = args->quiet,
        .log = &session->log,
        .cluster = session->cluster,
    };
}

int nas_run_dir_open(const nas_args *args, nas_run_dir *run, nas_error *err) {
    int rc = nas_session_open(args, true, &run->session, err);
    return rc ? rc : nas_run_dir_read(args, run, err);
}

int nas_run_dir_read(const nas_args *args, nas_run_dir *run, nas_error *err) {
    char path[NAS_RUNDIR_PATH];
    int rc = nas_rundir_path(args->positional, "pipeline.json", path, sizeof path, err);
    if (!rc) rc = nas_session_pipeline(&run->session, path, args, &run->pipeline, err);
    run->request = nas_session_request(&run->session, args, &run->pipeline, args->positional);
    return rc;
}

void nas_run_dir_close(nas_run_dir *run) {
    nas_pipeline_free(&run->pipeline);
    nas_session_close(&run->session);
}

int nas_session_space(nas_session *session, const nas_pipeline *pipeline, nas_space *space,
                      nas_error *err) {
    const nas_place place = {pipeline->file, "dataset.options", pipeline->folder};
    nas_dataset_info info = {.size = sizeof info};
    nas_instance dataset;
    int rc = nas_instance_create(session->registry, NAS_KIND_DATASET, pipeline->dataset.id,
                                 pipeline->dataset.options, &place, &dataset, err);
    if (rc) return rc;
    rc = nas_guarded_dataset.info(nas_guarded(&dataset), &info, err);
    if (!rc) rc = nas_pipeline_space(pipeline, info.channels, info.classes, space, err);
    nas_instance_destroy(&dataset);
    return rc;
}

int nas_session_hardware(nas_session *session, const nas_args *args, nas_instance *hardware,
                         nas_error *err) {
    json_t *options;
    char *folder = realpath(".", NULL);
    const nas_place place = {"--options", "", folder ? folder : "."};
    int rc = nas_args_options(args, &options, err);
    if (!rc)
        rc = nas_instance_create(session->registry, NAS_KIND_HARDWARE, args->hardware, options,
                                 &place, hardware, err);
    json_decref(options);
    free(folder);
    return rc;
}

void nas_session_close(nas_session *session) {
    nas_registry_close(session->registry);
    session->registry = NULL;
}
