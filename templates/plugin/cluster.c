/* A cluster: ranks on any machines that see one folder. Each is started with its number, as in
 *   CLUSTER_RANK=0 CLUSTER_RANKS=2 CLUSTER_FOLDER=/shared/empty nashost run p.json --cluster @ID@
 * and what a rank has to say is a file there. Without these variables the process is alone. */
#include <nashost/cluster.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATH = 4096, MOST_RANKS = 1024 };

typedef struct cluster {
    uint32_t rank, ranks;
    uint64_t exchanges, removed; /* how many there were, and the first whose file is still there */
    char folder[PATH / 2];
    pid_t processes[MOST_RANKS]; /* 0: not known yet */
} cluster;

static const nas_option options[] = {{0}};

static void path_of(const cluster *c, uint64_t exchange, uint32_t rank, char *path) {
    snprintf(path, PATH, "%s/%llu.%u", c->folder, (unsigned long long)exchange, rank);
}

/* Writes this rank's file of an exchange; nobody sees half of it. */
static int put(const cluster *c, uint64_t exchange, const void *data, uint64_t bytes,
               nas_error *err) {
    char path[PATH], part[PATH + 8];
    path_of(c, exchange, c->rank, path);
    snprintf(part, sizeof part, "%s.part", path);
    FILE *file = fopen(part, "wb");
    bool good = file && fwrite(data, 1, bytes, file) == bytes;
    good = file && fclose(file) == 0 && good;
    if (good && rename(part, path) == 0) return NAS_OK;
    return nas_fail(err, NAS_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
}

/* On one machine, the one thing to be seen of a rank is whether its process is there. A plugin for
 * several machines has each rank give signs of life. */
static bool died(const cluster *c, uint32_t rank) {
    return c->processes[rank] && kill(c->processes[rank], 0) && errno == ESRCH;
}

/* Waits for a rank's file, and reads it. */
static int get(const cluster *c, uint64_t exchange, uint32_t rank, void *data, uint64_t bytes,
               nas_error *err) {
    static const struct timespec nap = {0, 1000000};
    char path[PATH];
    FILE *file;
    path_of(c, exchange, rank, path);
    while (!(file = fopen(path, "rb"))) {
        if (died(c, rank)) return nas_fail(err, NAS_ERR_IO, "rank %u has died", rank);
        nanosleep(&nap, NULL);
    }
    bool whole = fread(data, 1, bytes, file) == bytes;
    fclose(file);
    return whole ? NAS_OK : nas_fail(err, NAS_ERR_IO, "%s: expected more bytes", path);
}

static uint32_t rank(void *self) {
    return ((const cluster *)self)->rank;
}

static uint32_t ranks(void *self) {
    return ((const cluster *)self)->ranks;
}

/* Copies data of rank root to that of all others. */
static int broadcast(void *self, uint32_t root, void *data, uint64_t bytes, nas_error *err) {
    cluster *c = self;
    uint64_t exchange = c->exchanges++;
    if (c->ranks == 1) return NAS_OK;
    return c->rank == root ? put(c, exchange, data, bytes, err)
                           : get(c, exchange, root, data, bytes, err);
}

/* Who is here has read all that came before: this rank's files of that are of no more use. */
static void remove_old(cluster *c, uint64_t exchange) {
    char path[PATH];
    for (; c->removed < exchange; c->removed++) {
        path_of(c, c->removed, c->rank, path);
        unlink(path); /* it need not be there */
    }
}

/* Gives all ranks the parts of all: those of rank r end at ends[r]. */
static int gather(void *self, void *data, const uint64_t *ends, nas_error *err) {
    cluster *c = self;
    uint64_t exchange = c->exchanges++, from = 0;
    uint64_t mine = c->rank ? ends[c->rank - 1] : 0;
    if (c->ranks == 1) return NAS_OK;
    int rc = put(c, exchange, (char *)data + mine, ends[c->rank] - mine, err);
    for (uint32_t r = 0; r < c->ranks && !rc; from = ends[r++])
        if (r != c->rank) rc = get(c, exchange, r, (char *)data + from, ends[r] - from, err);
    if (!rc) remove_old(c, exchange);
    return rc;
}

/* Ends all ranks, as one of them cannot go on. */
static void abandon(void *self, int status) {
    const cluster *c = self;
    (void)status;
    for (uint32_t r = 0; r < c->ranks; r++)
        if (r != c->rank && c->processes[r]) kill(c->processes[r], SIGKILL);
}

static uint32_t number(const char *name, uint32_t fallback) {
    const char *text = getenv(name);
    return text ? (uint32_t)strtoul(text, NULL, 10) : fallback;
}

/* Tells the others this process's number, and learns theirs. */
static int meet(cluster *c, nas_error *err) {
    uint64_t ends[MOST_RANKS];
    for (uint32_t r = 0; r < c->ranks; r++) ends[r] = (r + 1) * sizeof *c->processes;
    c->processes[c->rank] = getpid();
    return gather(c, c->processes, ends, err);
}

static int create(const nas_host *host, const void *options_given, void **self, nas_error *err) {
    (void)host, (void)options_given;
    const char *folder = getenv("CLUSTER_FOLDER");
    cluster *c = calloc(1, sizeof *c);
    if (!c) return nas_fail(err, NAS_ERR_MEMORY, "@ID@: out of memory");
    c->rank = number("CLUSTER_RANK", 0);
    c->ranks = number("CLUSTER_RANKS", 1);
    snprintf(c->folder, sizeof c->folder, "%s", folder ? folder : ".");
    int rc = c->rank < c->ranks && c->ranks <= MOST_RANKS
                 ? meet(c, err)
                 : nas_fail(err, NAS_ERR_INPUT, "CLUSTER_RANK: expected 0 to CLUSTER_RANKS - 1");
    if (rc)
        free(c);
    else
        *self = c;
    return rc;
}

/* The files of the last exchanges stay, as others may not have read them yet. */
static void destroy(void *self) {
    free(self);
}

static const nas_cluster_api api = {.size = sizeof api,
                                    .rank = rank,
                                    .ranks = ranks,
                                    .broadcast = broadcast,
                                    .gather = gather,
                                    .abandon = abandon};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_CLUSTER,
    .id = "@ID@",
    .version = "0.1.0",
    .summary = "ranks that see one folder",
    .license = "Apache-2.0",
    .source = "where the engine is described",
    .options = options,
    .config_size = 0,
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
