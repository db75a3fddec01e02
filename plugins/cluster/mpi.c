/* MPI (any that has MPI_THREAD_SERIALIZED: Open MPI, MPICH and what is built on them).
 *
 * Every MPI call starts or tests something and returns; a lock keeps threads apart. A thread beside
 * sends a pulse: rank 0 to all others, they to rank 0. Who waits, looks whether the pulse of the
 * others has stopped: MPI itself waits for a stopped process for ever. The same thread drives what
 * was begun and goes on while others compute, since MPI moves data only while it is called. */
#include <nashost/cluster.h>

#include <limits.h>
#include <mpi.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PIECE = 1 << 30,       /* bytes of one message: MPI counts in int */
    EAGER = 50,            /* looks at a request before sleeping between them, */
    NAP_NS = 20000,        /* shortly at first, */
    LONG_NAP_NS = 1000000, /* longer when it has taken a second */
    NUDGE_NS = 100000,     /* between two looks at what goes on beside */
    SIGNALS = 32,          /* the first of real time */
};

typedef struct config {
    double silence;
} config;

static const nas_option options[] = {
    NAS_FLOAT("silence_seconds", config, silence, "30", 1, 3600, "s",
              "a rank that has given no sign of life for so long is taken for dead"),
    {0},
};

typedef char host_name[MPI_MAX_PROCESSOR_NAME];

typedef struct cluster {
    double silence;
    MPI_Comm comm, pulse;
    int rank, ranks;
    double *heard;        /* [ranks] when each was last heard of; lock */
    host_name *names;     /* [ranks] of their machines */
    int *counts, *starts; /* [ranks] of gather, then [ranks] of what was begun */
    MPI_Request begun;    /* lock */
    int code;             /* of what was begun; lock */
    pthread_t thread;
    bool threaded;
    atomic_bool broken;
    pthread_mutex_t lock; /* of every MPI call, and of stop */
    pthread_cond_t wake;  /* stop has become true, or something was begun */
    bool stop;
} cluster;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int failed(cluster *c, int code, const char *doing, nas_error *err) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;
    c->broken = true;
    MPI_Error_string(code, text, &length);
    return nas_fail(err, NAS_ERR_IO, "rank %d: MPI cannot %s: %.800s", c->rank, doing, text);
}

/* ---- Signs of life ---- */

static void send_pulse(cluster *c, int to) {
    static const char beat = 1;
    MPI_Request request;
    if (MPI_Isend(&beat, 1, MPI_BYTE, to, 0, c->pulse, &request) == MPI_SUCCESS)
        MPI_Request_free(&request);
}

static void hear(cluster *c) {
    MPI_Status status;
    char beat;
    int there = 1;
    while (MPI_Iprobe(MPI_ANY_SOURCE, 0, c->pulse, &there, &status) == MPI_SUCCESS && there) {
        MPI_Recv(&beat, 1, MPI_BYTE, status.MPI_SOURCE, 0, c->pulse, MPI_STATUS_IGNORE);
        c->heard[status.MPI_SOURCE] = seconds();
    }
}

static void send_pulses(cluster *c) {
    for (int r = 1; r < c->ranks && c->rank == 0; r++) send_pulse(c, r);
    if (c->rank) send_pulse(c, 0);
    hear(c);
}

/* Drives what was begun; whether it still goes on. */
static bool nudge(cluster *c) {
    int done = 1;
    if (c->code == MPI_SUCCESS && c->begun != MPI_REQUEST_NULL)
        c->code = MPI_Test(&c->begun, &done, MPI_STATUS_IGNORE);
    return !done && c->code == MPI_SUCCESS;
}

/* After a failure MPI may still write to data that are gone, so it is not called any more. */
static void *beat(void *context) {
    cluster *c = context;
    double due = 0;
    pthread_mutex_lock(&c->lock);
    while (!c->stop && !c->broken) {
        if (seconds() >= due) {
            send_pulses(c);
            due = seconds() + 1;
        }
        long nap = nudge(c) ? NUDGE_NS : 1000000000;
        struct timespec next;
        clock_gettime(CLOCK_REALTIME, &next);
        next.tv_sec += (next.tv_nsec + nap) / 1000000000;
        next.tv_nsec = (next.tv_nsec + nap) % 1000000000;
        pthread_cond_timedwait(&c->wake, &c->lock, &next);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* Fails if one of those that this rank listens to is silent. */
static int listen_to(cluster *c, nas_error *err) {
    double now = seconds(), silent = 0;
    int last = c->rank ? 0 : c->ranks - 1;
    for (int r = c->rank ? 0 : 1; r <= last; r++) {
        pthread_mutex_lock(&c->lock);
        silent = now - c->heard[r];
        pthread_mutex_unlock(&c->lock);
        if (silent <= c->silence) continue;
        c->broken = true;
        return nas_fail(err, NAS_ERR_IO,
                        "rank %d on %.200s has given no sign of life for %.0f s: it was stopped, "
                        "or its machine or the network to it is gone",
                        r, c->names[r], silent);
    }
    return NAS_OK;
}

/* ---- Exchanges ---- */

/* Waits for a request that MPI began with `code`. */
static int await(cluster *c, int code, MPI_Request *request, const char *doing, nas_error *err) {
    struct timespec nap = {0, NAP_NS};
    double listened = seconds();
    for (int looks = 0, done = 0; code == MPI_SUCCESS && !done; looks++) {
        pthread_mutex_lock(&c->lock);
        code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        pthread_mutex_unlock(&c->lock);
        if (done) break;
        if (looks < EAGER) continue;
        nanosleep(&nap, NULL);
        if (seconds() - listened < 1) continue;
        listened = seconds();
        nap.tv_nsec = LONG_NAP_NS;
        int rc = listen_to(c, err);
        if (rc) return rc;
    }
    return code == MPI_SUCCESS ? NAS_OK : failed(c, code, doing, err);
}

static int broadcast(void *self, uint32_t root, void *data, uint64_t bytes, nas_error *err) {
    cluster *c = self;
    int rc = NAS_OK;
    for (uint64_t done = 0; done < bytes && !rc; done += PIECE) {
        MPI_Request request;
        int count = bytes - done < PIECE ? (int)(bytes - done) : PIECE;
        pthread_mutex_lock(&c->lock);
        int code = MPI_Ibcast((char *)data + done, count, MPI_BYTE, (int)root, c->comm, &request);
        pthread_mutex_unlock(&c->lock);
        rc = await(c, code, &request, "broadcast", err);
    }
    return rc;
}

static int gather_pieces(cluster *c, char *data, const uint64_t *ends, nas_error *err) {
    uint64_t from = 0;
    int rc = NAS_OK;
    for (int r = 0; r < c->ranks && !rc; from = ends[r++])
        rc = broadcast(c, (uint32_t)r, data + from, ends[r] - from, err);
    return rc;
}

/* Begins a gather; MPI reads counts and starts [ranks] until it has ended. */
static int start_gather(cluster *c, void *data, const uint64_t *ends, int *counts, int *starts,
                        MPI_Request *request) {
    for (int r = 0; r < c->ranks; r++) {
        starts[r] = r ? (int)ends[r - 1] : 0;
        counts[r] = (int)ends[r] - starts[r];
    }
    return MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, counts, starts, MPI_BYTE,
                           c->comm, request);
}

static int gather(void *self, void *data, const uint64_t *ends, nas_error *err) {
    cluster *c = self;
    MPI_Request request;
    if (ends[c->ranks - 1] > INT_MAX) return gather_pieces(c, data, ends, err);
    pthread_mutex_lock(&c->lock);
    int code = start_gather(c, data, ends, c->counts, c->starts, &request);
    pthread_mutex_unlock(&c->lock);
    return await(c, code, &request, "gather", err);
}

static int begin(void *self, void *data, const uint64_t *ends, nas_error *err) {
    cluster *c = self;
    if (ends[c->ranks - 1] > INT_MAX) return gather_pieces(c, data, ends, err);
    pthread_mutex_lock(&c->lock);
    c->code = start_gather(c, data, ends, c->counts + c->ranks, c->starts + c->ranks, &c->begun);
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    return NAS_OK;
}

static int end(void *self, nas_error *err) {
    cluster *c = self;
    pthread_mutex_lock(&c->lock);
    int code = c->code;
    pthread_mutex_unlock(&c->lock);
    return await(c, code, &c->begun, "gather", err);
}

static uint32_t rank_of(void *self) {
    return (uint32_t)((const cluster *)self)->rank;
}

static uint32_t ranks_of(void *self) {
    return (uint32_t)((const cluster *)self)->ranks;
}

static void abandon(void *self, int status) {
    cluster *c = self;
    c->broken = true;
    MPI_Abort(c->comm, status);
}

/* ---- Life ---- */

/* MPI's own handlers of crashes would take the place of the host's. Open MPI is told not to yield
 * while it waits, as it does where there are more ranks than processors: who yields on a machine
 * that has other work waits for milliseconds, who sleeps is woken at once. */
static int start_mpi(int *level) {
    struct sigaction before[SIGNALS], now;
    for (int number = 1; number < SIGNALS; number++) sigaction(number, NULL, &before[number]);
    setenv("OMPI_MCA_mpi_yield_when_idle", "0", 1);
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, level);
    for (int number = 1; number < SIGNALS; number++)
        if (!sigaction(number, NULL, &now) && now.sa_handler != before[number].sa_handler)
            sigaction(number, &before[number], NULL);
    return code;
}

/* Two communicators of this plugin's own, whose errors are told; and who is where. */
static int meet(cluster *c) {
    int length;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_dup(MPI_COMM_WORLD, &c->comm);
    MPI_Comm_dup(MPI_COMM_WORLD, &c->pulse);
    MPI_Get_processor_name(c->names[c->rank], &length);
    return MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, c->names, sizeof *c->names, MPI_BYTE,
                         c->comm);
}

/* The thread takes no signals: they are the host's. */
static int start_thread(cluster *c, nas_error *err) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    for (int r = 0; r < c->ranks; r++) c->heard[r] = seconds();
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&c->thread, NULL, beat, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code) return nas_fail(err, NAS_ERR_IO, "mpi: no thread can be started: %s", strerror(code));
    c->threaded = true;
    return NAS_OK;
}

static void free_cluster(cluster *c) {
    free(c->heard);
    free(c->names);
    free(c->counts);
    free(c->starts);
    free(c);
}

static void stop_thread(cluster *c) {
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
}

/* Not where a rank is gone: MPI would wait for it. */
static void destroy(void *self) {
    cluster *c = self;
    MPI_Request request;
    if (!c) return;
    if (c->threaded && !c->broken) {
        pthread_mutex_lock(&c->lock);
        int code = MPI_Ibarrier(c->comm, &request);
        pthread_mutex_unlock(&c->lock);
        await(c, code, &request, "leave", NULL);
    }
    if (c->threaded) stop_thread(c);
    if (!c->broken) MPI_Finalize();
    free_cluster(c);
}

static int open_cluster(cluster *c, nas_error *err) {
    MPI_Comm_rank(MPI_COMM_WORLD, &c->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &c->ranks);
    size_t n = (size_t)c->ranks;
    c->heard = calloc(n, sizeof *c->heard);
    c->names = calloc(n, sizeof *c->names);
    c->counts = calloc(2 * n, sizeof *c->counts);
    c->starts = calloc(2 * n, sizeof *c->starts);
    c->begun = MPI_REQUEST_NULL;
    c->code = MPI_SUCCESS;
    if (!c->heard || !c->names || !c->counts || !c->starts)
        return nas_fail(err, NAS_ERR_MEMORY, "mpi: out of memory for %d ranks", c->ranks);
    int code = meet(c);
    if (code != MPI_SUCCESS) return failed(c, code, "let the ranks meet", err);
    return c->ranks > 1 ? start_thread(c, err) : NAS_OK;
}

static int create(const nas_host *host, const void *given, void **self, nas_error *err) {
    (void)host;
    int level = MPI_THREAD_SINGLE, begun = 0;
    cluster *c = calloc(1, sizeof *c);
    if (!c) return nas_fail(err, NAS_ERR_MEMORY, "mpi: out of memory");
    c->silence = ((const config *)given)->silence;
    MPI_Initialized(&begun);
    int rc = NAS_OK;
    if (begun || start_mpi(&level) != MPI_SUCCESS)
        rc = nas_fail(err, NAS_ERR_PLUGIN,
                      "mpi: MPI cannot be started%s; start nashost by mpirun or srun",
                      begun ? " twice" : "");
    if (!rc && level < MPI_THREAD_SERIALIZED)
        rc = nas_fail(err, NAS_ERR_PLUGIN,
                      "mpi: this MPI was built without threads: expected MPI_THREAD_SERIALIZED");
    if (!rc) rc = open_cluster(c, err);
    if (rc)
        free_cluster(c);
    else
        *self = c;
    return rc;
}

static const nas_cluster_api api = {.size = sizeof api,
                                    .rank = rank_of,
                                    .ranks = ranks_of,
                                    .broadcast = broadcast,
                                    .gather = gather,
                                    .abandon = abandon,
                                    .begin = begin,
                                    .end = end};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_CLUSTER,
    .id = "mpi",
    .version = "1.1.0",
    .summary = "the ranks that mpirun or srun started, by MPI",
    .license = "Apache-2.0",
    .source = "https://www.mpi-forum.org/docs/mpi-3.1/mpi31-report.pdf",
    .options = options,
    .config_size = sizeof(config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
