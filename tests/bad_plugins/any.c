/* A plugin of any kind that works, and does what a -D tells at one place: AT_ctor, AT_entry,
 * AT_create, AT_destroy, AT_extension, or AT_ and the name of a function of its kind.
 * tests/bad_plugins.sh builds one for each way to be wrong. */
#include <fenv.h>
#include <locale.h>
#include <math.h>
#include <nashost/cluster.h>
#include <nashost/dataset.h>
#include <nashost/export.h>
#include <nashost/hardware.h>
#include <nashost/import.h>
#include <nashost/score.h>
#include <nashost/search.h>
#include <nashost/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#define CRASH raise(SIGSEGV)
#define HANG                                                                                       \
    for (;;) usleep(1000)
#define EXIT _exit(0)
#if defined(__x86_64__)
#define FLUSH _mm_setcsr(_mm_getcsr() | 0x8040) /* what -ffast-math sets */
#else
#define FLUSH fesetround(FE_UPWARD)
#endif

#ifndef KIND
#define KIND SCORE
#endif
#define JOIN(a, b) a##b
#define KIND_OF(kind) JOIN(NAS_KIND_, kind)
#define TABLE_OF(kind) JOIN(table_, kind)
#ifndef FIELDS
#define FIELDS
#endif
#ifndef OPTION
#define OPTION NAS_INT("level", config, level, "3", 0, 9, NULL, "a number")
#endif

typedef struct config {
    int64_t level;
} config;

static const nas_option options[] = {OPTION, {0}};

typedef struct plugin_self {
    const nas_host *host;
    const nas_search_problem *problem;
    uint64_t drawn;
} plugin_self;

/* For a constructor to give to atexit(). */
#ifdef LATE
static void late(void) {
    LATE;
}
#endif

#ifdef AT_ctor
__attribute__((constructor)) static void constructor(void) {
    AT_ctor;
}
#endif

static int create(const nas_host *host, const void *settings, void **self, nas_error *err) {
    (void)settings, (void)err;
#ifdef AT_create
    AT_create;
#endif
    plugin_self *me = calloc(1, sizeof *me);
    if (!me) return NAS_ERR_MEMORY;
    me->host = host;
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
#ifdef AT_destroy
    AT_destroy;
#endif
    free(self);
}

/* ---- Each kind's functions ---- */

static int info(void *self, nas_dataset_info *out, nas_error *err) {
    static const char *const names[3] = {"a", "b", "c"};
    (void)self, (void)err;
    out->height = out->width = 12;
    out->channels = 1;
    out->classes = 3;
    out->class_names = names;
    out->count[0] = 300;
    out->count[1] = 60;
#ifdef AT_info
    AT_info;
#endif
    return NAS_OK;
}

static int read_images(void *self, nas_split split, const uint64_t *indices, size_t n,
                       uint8_t *images, int32_t *labels, nas_error *err) {
    (void)self, (void)split, (void)err;
    for (size_t i = 0; i < n; i++) {
        memset(images + i * 144, (int)(indices[i] % 3) * 80, 144);
        if (labels) labels[i] = (int32_t)(indices[i] % 3);
    }
#ifdef AT_read
    AT_read;
#endif
    return NAS_OK;
}

static int plan(void *self, nas_ssl_plan *out, nas_error *err) {
    (void)self, (void)err;
    out->n_views = 1;
    out->views[0].student = true;
#ifdef AT_plan
    AT_plan;
#endif
    return NAS_OK;
}

static int loss(void *self, const nas_ssl_batch *batch, nas_ssl_result *result, nas_error *err) {
    (void)self, (void)err;
    result->loss = result->labelled_loss = 1;
    for (uint32_t i = 0; i < batch->labelled; i++)
        result->labelled_grad[i * batch->classes + (uint32_t)batch->labels[i]] = -0.01f;
#ifdef AT_loss
    AT_loss;
#endif
    return NAS_OK;
}

static int search_start(void *self, const nas_search_problem *problem, nas_error *err) {
    (void)err;
    ((plugin_self *)self)->problem = problem;
#ifdef AT_start
    AT_start;
#endif
    return NAS_OK;
}

static int ask(void *self, size_t n, uint16_t *genomes, size_t *count, nas_error *err) {
    plugin_self *me = self;
    uint32_t genes = me->problem->n_genes;
    (void)err;
    for (size_t i = 0; i < n * genes; i++)
        genomes[i] =
            (uint16_t)(me->host->random(me->host, 0, me->drawn++) % me->problem->arity[i % genes]);
    *count = n;
#ifdef AT_ask
    AT_ask;
#endif
    return NAS_OK;
}

static int tell(void *self, size_t n, const uint16_t *genomes, const double *objectives,
                const double *violation, nas_error *err) {
    (void)self, (void)n, (void)genomes, (void)objectives, (void)violation, (void)err;
#ifdef AT_tell
    AT_tell;
#endif
    return NAS_OK;
}

static int cost(void *self, const nas_network *network, nas_cost *out, nas_error *err) {
    (void)self, (void)err;
    out->latency_ms = 1e-6 * (double)network->macs;
    out->energy_mj = 1;
    out->known_share = 1;
#ifdef AT_cost
    AT_cost;
#endif
    return NAS_OK;
}

static int score_start(void *self, const nas_subnet *largest, nas_error *err) {
    (void)self, (void)largest, (void)err;
#ifdef AT_begin
    AT_begin;
#endif
    return NAS_OK;
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    (void)self, (void)err;
    *value = 1e-6 * (double)subnet->network->macs;
#ifdef AT_score
    AT_score;
#endif
    return NAS_OK;
}

static int write_network(void *self, const nas_network *network, const char *path, nas_error *err) {
    (void)self, (void)network, (void)err;
    FILE *file = fopen(path, "w");
    if (!file) return NAS_ERR_IO;
    fputs("a network", file);
    fclose(file);
#ifdef AT_write
    AT_write;
#endif
    return NAS_OK;
}

static int score_check(void *self, const nas_subnet *largest, nas_error *err) {
    (void)self, (void)largest, (void)err;
#ifdef AT_check
    AT_check;
#endif
    return NAS_OK;
}

static uint64_t fingerprint(void *self, nas_split split) {
    (void)self;
#ifdef AT_fingerprint
    AT_fingerprint;
#endif
    return (uint64_t)split;
}

static int recognise(void *self, const nas_checkpoint *checkpoint, bool *mine, nas_error *err) {
    (void)self, (void)checkpoint, (void)err;
    *mine = true;
#ifdef AT_recognise
    AT_recognise;
#endif
    return NAS_OK;
}

static int describe(void *self, const nas_checkpoint *checkpoint, nas_import_network *out,
                    nas_error *err) {
    (void)self, (void)checkpoint, (void)err;
    out->classes = 3;
    snprintf(out->space, out->space_size,
             "{\"name\": \"bad\", \"resolution\": 12,"
             " \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 8, \"activation\": \"relu\"},"
             " \"stages\": [{\"width\": 8, \"stride\": 2, \"depth\": 1, \"kernel\": 3,"
             "  \"expand\": 2, \"activation\": \"relu\"}],"
             " \"head\": {\"width\": 16, \"activation\": \"relu\"}}");
#ifdef AT_describe
    AT_describe;
#endif
    return NAS_OK;
}

static int locate(void *self, const nas_checkpoint *checkpoint, const nas_import_target *target,
                  char *name, nas_error *err) {
    (void)self, (void)checkpoint, (void)err;
    snprintf(name, NAS_IMPORT_NAME, "%s.%s", target->layer, target->part);
#ifdef AT_locate
    AT_locate;
#endif
    return NAS_OK;
}

static bool spare(void *self, const char *name) {
    (void)self, (void)name;
#ifdef AT_spare
    AT_spare;
#endif
    return false;
}

#ifndef SIZE_OF_TABLE
#define SIZE_OF_TABLE(type) sizeof(type)
#endif
#ifndef FIRST
#define FIRST(function) function
#endif
const nas_dataset_api table_DATASET = {SIZE_OF_TABLE(nas_dataset_api), FIRST(info), read_images,
                                       fingerprint};
const nas_ssl_api table_SSL = {SIZE_OF_TABLE(nas_ssl_api), FIRST(plan), loss};
const nas_search_api table_SEARCH = {SIZE_OF_TABLE(nas_search_api), FIRST(search_start), ask, tell};
const nas_hardware_api table_HARDWARE = {SIZE_OF_TABLE(nas_hardware_api), FIRST(cost)};
const nas_score_api table_SCORE = {SIZE_OF_TABLE(nas_score_api), FIRST(score_start), score,
                                   score_check};
const nas_import_api table_IMPORT = {SIZE_OF_TABLE(nas_import_api), FIRST(recognise), describe,
                                     locate, spare};

static uint32_t rank(void *self) {
    (void)self;
    uint32_t number = 0;
#ifdef AT_rank
    AT_rank;
#endif
    return number;
}

static uint32_t ranks(void *self) {
    (void)self;
    return 1;
}

static int broadcast(void *self, uint32_t root, void *data, uint64_t n, nas_error *err) {
    (void)self, (void)root, (void)data, (void)n, (void)err;
#ifdef AT_broadcast
    AT_broadcast;
#endif
    return NAS_OK;
}

static int gather(void *self, void *data, const uint64_t *ends, nas_error *err) {
    uint32_t *words = data;
    (void)self, (void)words, (void)ends, (void)err;
#ifdef AT_gather
    AT_gather;
#endif
    return NAS_OK;
}

static void abandon(void *self, int status) {
    (void)self, (void)status;
}

static int begin(void *self, void *data, const uint64_t *ends, nas_error *err) {
    uint32_t *words = data;
    (void)self, (void)words, (void)ends, (void)err;
#ifdef AT_begin_gather
    AT_begin_gather;
#endif
    return NAS_OK;
}

static int end(void *self, nas_error *err) {
    (void)self, (void)err;
#ifdef AT_end_gather
    AT_end_gather;
#endif
    return NAS_OK;
}

const nas_cluster_api table_CLUSTER = {
    SIZE_OF_TABLE(nas_cluster_api), FIRST(rank), ranks, broadcast, gather, abandon, begin, end};
const nas_export_api table_EXPORT = {
    .size = SIZE_OF_TABLE(nas_export_api), .extension = "bad", .write = FIRST(write_network)};

/* A state that is saved and loaded, for AT_extension. */
static size_t bytes(void *self) {
    (void)self;
#ifdef AT_bytes
    AT_bytes;
#endif
    return 4;
}

static int save(void *self, void *buffer, nas_error *err) {
    (void)self, (void)err;
    memset(buffer, 1, 4);
#ifdef AT_save
    AT_save;
#endif
    return NAS_OK;
}

static int load(void *self, const void *buffer, size_t n, nas_error *err) {
    (void)self, (void)buffer, (void)n, (void)err;
#ifdef AT_load
    AT_load;
#endif
    return NAS_OK;
}

const nas_state_api state_api = {sizeof state_api, bytes, save, load};
const nas_state_api short_api = {0, bytes, save, load};
const nas_state_api null_api = {sizeof null_api, bytes, NULL, load};

static const void *extension(void *self, const char *id) {
    (void)self, (void)id;
#ifdef AT_extension
    AT_extension;
#endif
    return NULL;
}

static nas_plugin plugin = {NAS_DESCRIPTOR,
                            .kind = KIND_OF(KIND),
                            .id = "bad",
                            .version = "1",
                            .summary = "a plugin for tests",
                            .license = "Apache-2.0",
                            .source = "tests/bad_plugins/any.c",
                            .options = options,
                            .config_size = sizeof(config),
                            .create = create,
                            .destroy = destroy,
                            .vtable = &TABLE_OF(KIND),
                            .extension = extension FIELDS};

NAS_EXPORT const nas_plugin *nas_plugin_entry(void) {
#ifdef AT_entry
    AT_entry;
#endif
    return &plugin;
}
