/* nashost kit: families of inverted-residual networks, for import plugins: a table of what
 * checkpoints do not tell, and the search space made from it and from the tensors' shapes. */
#ifndef NASHOST_KIT_FAMILY_H
#define NASHOST_KIT_FAMILY_H

#include <nashost/import.h>

#define NAS_FAMILY_MAX_STAGES 10

/* The tensor of that name, or NULL. [any] */
const nas_checkpoint_tensor *nas_checkpoint_find(const nas_checkpoint *checkpoint,
                                                 const char *name);

typedef struct nas_family_stage {
    uint32_t stride;
    const char *activation; /* as in spaces */
} nas_family_stage;

/* How a family names the tensors of a layer: without the ".weight" and the like at their end. */
typedef struct nas_family_part {
    const char *layer;    /* of nas_import_target */
    const char *weight;   /* its convolution or linear layer */
    const char *norm;     /* its batch norm; NULL: none */
    const char *matrices; /* what holds "7to5_matrix" and "5to3_matrix"; NULL: none */
} nas_family_part;

/* A family. Blocks of one output width are one stage; their number, widths, kernels, expansions and
 * squeeze-excite are read from the tensors' shapes. Strings are JSON's words for spaces. */
typedef struct nas_family {
    const char *name;  /* of the space */
    uint32_t n_stages; /* 1 .. NAS_FAMILY_MAX_STAGES */
    nas_family_stage stages[NAS_FAMILY_MAX_STAGES];
    const char *activation; /* of stem and head */
    const char *padding;    /* "symmetric" or "same" */
    double epsilon;         /* of batch norm */
    double mean[3], std[3]; /* of (image / 255 - mean) / std */
    /* Squeeze-excite, as JSON; NULL: the family has none. */
    const char *squeeze_excite;
    const char *hidden_activation; /* NULL: no hidden layer */
    bool kernel_transform;         /* the checkpoint has matrices between kernels */
    bool elastic;                  /* a supernet already: channels are ordered */
    /* The names of its tensors: those outside of blocks, and those of block B behind
     * block_prefix B block_suffix; first_parts, where not NULL, are the first block's. */
    const nas_family_part *parts, *block_parts, *first_parts; /* up to a NULL layer */
    const char *block_prefix, *block_suffix;
    /* Where names follow no such table: writes a target's tensor to name [NAS_IMPORT_NAME], ""
     * where there can be none. NULL: the tables are used. [main] */
    void (*locate)(const nas_checkpoint *checkpoint, const nas_import_target *target, char *name);
} nas_family;

/* Writes the name of a target's tensor: prefix, the layer's name in parts (up to a NULL layer), and
 * PyTorch's word for the part (weight, bias, running_mean, ...). "" for a layer or a part that is
 * not in the table. [any] */
void nas_family_name(const nas_family_part *parts, const char *prefix,
                     const nas_import_target *target, char *name);

/* Functions of nas_import_api for plugins whose instance is a family. A
 * checkpoint is recognised by the tensors of stem, first block, head and classifier, and by as many
 * stages as the family has. [main] */
int nas_family_recognise(void *self, const nas_checkpoint *checkpoint, bool *mine, nas_error *err);

/* A tensor that is missing, or whose shape no network of the family has, is NAS_ERR_INPUT with its
 * name. */
int nas_family_describe(void *self, const nas_checkpoint *checkpoint, nas_import_network *network,
                        nas_error *err);
int nas_family_locate(void *self, const nas_checkpoint *checkpoint, const nas_import_target *target,
                      char *name, nas_error *err);

/* Batch norm's counters of batches. */
bool nas_family_spare(void *self, const char *name);

/* The table of these functions, and what is alike in the descriptors of such plugins. */
extern const nas_import_api nas_family_api;
#define NAS_FAMILY_PLUGIN                                                                          \
    NAS_DESCRIPTOR, .kind = NAS_KIND_IMPORT, .license = "Apache-2.0",                              \
                    .destroy = nas_plain_destroy, .vtable = &nas_family_api

/* The body of create() for a plugin without options: its instance is its family. [main] */
int nas_family_create(const nas_family *family, void **self);

#endif
