/* nashost plugin SDK: how the processes of one run, its ranks, exchange bytes (NAS_KIND_CLUSTER).
 *
 * Ranks are numbered from 0, which alone writes and prints. All run the same program and make the
 * same calls in the same order. A plugin moves bytes and adds nothing up: the host does that, in an
 * order of its own, so that results do not depend on the number of ranks.
 *
 * A call waits for ranks that are busy for as long as they live: between two calls may lie minutes
 * of work. It must not wait for one that died or was stopped, but fail within a minute, with
 * NAS_ERR_IO and a message that names the rank. */
#ifndef NASHOST_CLUSTER_H
#define NASHOST_CLUSTER_H

#include <nashost/plugin.h>

typedef struct nas_cluster_api {
    uint32_t size;
    /* This process's number, 0 .. ranks() - 1, and how many there are, at least 1. Both stay as
     * they are. [any] */
    uint32_t (*rank)(void *self);
    uint32_t (*ranks)(void *self);
    /* Copies data of rank root to data of all others, which give the same root and bytes. [main] */
    int (*broadcast)(void *self, uint32_t root, void *data, uint64_t bytes, nas_error *err);
    /* Rank r's part of data are the bytes from ends[r - 1] (0 for r = 0) to ends[r]; it may be
     * empty. Afterwards data of all ranks hold all parts. All give the same ends [ranks],
     * ascending. [main] */
    int (*gather)(void *self, void *data, const uint64_t *ends, nas_error *err);
    /* Ends all ranks at once, wherever they are, with the exit status where that can be; called
     * when a run cannot go on. May end this process and not return. [main] */
    void (*abandon)(void *self, int status);
    /* Optional, both or neither (size may end before): a gather of which begin returns at once and
     * end waits for the rest, so that work goes on meanwhile. One at a time; the other exchanges
     * may take place in between. ends are of no use after begin; data stay, unchanged, until end
     * has returned, which is called unless an exchange failed. [main] */
    int (*begin)(void *self, void *data, const uint64_t *ends, nas_error *err);
    int (*end)(void *self, nas_error *err);
} nas_cluster_api;

#endif
