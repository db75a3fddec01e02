/* nashost plugin SDK: pretrained networks of others (NAS_KIND_IMPORT).
 *
 * A plugin knows one family of networks. It recognises a checkpoint by its tensors' names and
 * shapes, says which search space the network spans, and which of its tensors goes where. Reading
 * the file, transposing, checking and writing are the host's. */
#ifndef NASHOST_IMPORT_H
#define NASHOST_IMPORT_H

#include <nashost/plugin.h>

#define NAS_IMPORT_NAME 96 /* bytes of a tensor's name, with the 0 */

/* A tensor of the checkpoint, as PyTorch lays it out: a convolution [out][in][k][k], a depthwise
 * one [c][1][k][k], a linear layer [out][in] or [out][in][1][1], batch norm and biases [c]. */
typedef struct nas_checkpoint_tensor {
    const char *name;
    uint32_t ndim; /* at most 4 */
    uint64_t shape[4];
} nas_checkpoint_tensor;

typedef struct nas_checkpoint {
    uint32_t size;
    uint32_t tensor_size; /* the host's sizeof(nas_checkpoint_tensor) */
    uint64_t n_tensors;
    const void
        *tensors; /* [n_tensors], in the file's order: see nas_checkpoint_find (kit/family.h) */
} nas_checkpoint;

/* A tensor that the supernet needs. */
typedef struct nas_import_target {
    uint32_t size;
    uint32_t block; /* which block of the largest subnet, counted from 0 through all stages; outside
                       of blocks NAS_IMPORT_NO_BLOCK */
    const char *layer; /* stem; expand, depthwise, reduce, excite, project (in a block); head,
                          hidden0, hidden1, classifier */
    const char *part;  /* weight, bias; of batch norm gamma, beta, mean, variance; of a depthwise
                          kernel's transformations matrix7to5, matrix5to3 */
} nas_import_target;

#define NAS_IMPORT_NO_BLOCK UINT32_MAX

/* What a plugin says of a checkpoint. */
typedef struct nas_import_network {
    uint32_t size;
    uint32_t classes;
    char *space; /* the space as JSON (spaces/README.md), 0-terminated, in the host's buffer; its
                    largest subnet is the checkpoint's network */
    size_t space_size; /* of that buffer */
    bool ordered;      /* inner channels stand by importance already, as a supernet's do; else the
                          host sorts them */
} nas_import_network;

typedef struct nas_import_api {
    uint32_t size;
    /* Sets *mine if the checkpoint is of this family. [main] */
    int (*recognise)(void *self, const nas_checkpoint *checkpoint, bool *mine, nas_error *err);
    /* Describes a checkpoint that it recognised. [main] */
    int (*describe)(void *self, const nas_checkpoint *checkpoint, nas_import_network *network,
                    nas_error *err);
    /* Writes the name of the checkpoint's tensor for a target to name [NAS_IMPORT_NAME]; whether
     * the checkpoint has it is the host's to check. [main] */
    int (*locate)(void *self, const nas_checkpoint *checkpoint, const nas_import_target *target,
                  char *name, nas_error *err);
    /* Whether a tensor that no target needs may be left out, such as a counter. NULL: none may.
     * [main] */
    bool (*spare)(void *self, const char *name);
} nas_import_api;

#endif
