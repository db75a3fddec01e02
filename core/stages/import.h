/* From a network that was pretrained elsewhere to a supernet's weights. */
#ifndef NAS_STAGES_IMPORT_H
#define NAS_STAGES_IMPORT_H

#include "base/log.h"
#include "host/instance.h"

#include <jansson.h>

/* Strings are borrowed. */
typedef struct nas_import_request {
    nas_registry *registry;
    const char *weights; /* a safetensors file of a framework's tensors */
    const char *name;    /* what messages and the result call it */
    const char *format;  /* the id of an import plugin; NULL: the one that recognises the file */
    const char *out;     /* the file to write, in the supernet's layouts (supernet/pretrained.h) */
    const char *space_out; /* a file for the space's JSON; NULL: none. It is in `out` as well */
    const nas_log *log;
} nas_import_request;

/* Imports: {"weights", "format", "out", "space", "classes", "tensors", "params", "macs", "genome"},
 * the last three of the largest subnet, which computes what the imported network does: inner
 * channels are put in the order of their importance, the L1 norm of what the projection makes of
 * them (arXiv 1908.09791, section 3.3), which changes nothing but the order of sums. Every tensor
 * that is missing, left over or of another shape is told on log, and then nothing is written.
 * [main]
 */
int nas_import(const nas_import_request *request, json_t **result, nas_error *err);

/* Asks an import plugin everything of a checkpoint that hardly is its own, by the same code, and so
 * with the same checks. [main] */
int nas_import_rehearse(const nas_instance *plugin, nas_error *err);

#endif
