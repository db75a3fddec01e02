/* The processes of one run, by a cluster plugin: ranks 0 .. ranks - 1, of which each runs the same
 * program, and the first alone writes and prints. NULL stands for a run of one process. */
#ifndef NAS_HOST_CLUSTER_H
#define NAS_HOST_CLUSTER_H

#include "host/instance.h"

#include <nashost/cluster.h>
#include <signal.h>

typedef struct nas_cluster nas_cluster;

/* Opens the plugin of that id. NULL: the manifests' only one, if the environment says that a
 * launcher (mpirun, srun) started several processes, else none. *cluster stays NULL where there is
 * one process only. stop (NULL: none): this process's request to stop, which all are told of.
 * [main] */
int nas_cluster_open(nas_registry *registry, const char *id, const volatile sig_atomic_t *stop,
                     nas_cluster **cluster, nas_error *err);

/* This process's number by what a launcher (mpirun, srun) set; 0 where none did. Known before any
 * plugin is, and to commands that open none. *more (NULL: not wanted): whether it says that it
 * started more than one. [any] */
uint32_t nas_cluster_launched(bool *more);

/* Waits for the others to come here, too, unless the cluster is of no more use. NULL-safe. [main]
 */
void nas_cluster_close(nas_cluster *cluster);

/* NULL: 0 of 1. [any] */
uint32_t nas_cluster_rank(const nas_cluster *cluster);
uint32_t nas_cluster_ranks(const nas_cluster *cluster);

/* As in nashost/cluster.h; broadcast is from rank 0. After a failure no exchange takes place, and
 * all fail with the first one's message. [main] */
int nas_cluster_broadcast(nas_cluster *cluster, void *data, uint64_t bytes, nas_error *err);
int nas_cluster_gather(nas_cluster *cluster, void *data, const uint64_t *ends, nas_error *err);

/* A gather that goes on beside, if the plugin can do that, until end waits for it: one at a time,
 * with any other exchanges in between. ends need not outlive begin; data must outlive end. [main]
 */
int nas_cluster_begin(nas_cluster *cluster, void *data, const uint64_t *ends, nas_error *err);
int nas_cluster_end(nas_cluster *cluster, nas_error *err);

/* What this rank has exchanged since the cluster was opened. */
typedef enum nas_exchange {
    NAS_EXCHANGE_GATHER,    /* what work waits for: sums of batch norm, scores ... */
    NAS_EXCHANGE_BESIDE,    /* begun and ended: parts of gradients */
    NAS_EXCHANGE_AGREE,     /* ranks that come together */
    NAS_EXCHANGE_BROADCAST, /* from one to all */
    NAS_EXCHANGES
} nas_exchange;

typedef struct nas_traffic {
    uint64_t exchanges, bytes; /* bytes of others that came here, of a broadcast all */
    double seconds;            /* that this rank waited in them */
} nas_traffic;

/* NULL: none. [main] */
nas_traffic nas_cluster_traffic(const nas_cluster *cluster, nas_exchange kind);

/* The text of rank 0, NUL-terminated, for all; the others' *text is NULL before. The caller frees.
 * [main] */
int nas_cluster_text(nas_cluster *cluster, char **text, nas_error *err);

/* All ranks come together with what became of them, rc and err: returns NAS_OK on all of them, or
 * on all what failed on the first rank where it did, told with its number if that is not 0. NULL:
 * returns rc. [main] */
int nas_cluster_agree(nas_cluster *cluster, int rc, nas_error *err);

/* Whether a rank was asked to stop when all last came together. NULL: false. [main] */
bool nas_cluster_stopped(const nas_cluster *cluster);

/* The end of a run that may have failed with rc: false if this rank alone knows of it, so that it
 * must tell and nas_cluster_abandon(). [main] */
bool nas_cluster_told(const nas_cluster *cluster, int rc);

/* Says that all ranks know how the run ended. [main] */
void nas_cluster_tell(nas_cluster *cluster);

/* Ends all ranks. [main] */
void nas_cluster_abandon(nas_cluster *cluster, int status);

#endif
