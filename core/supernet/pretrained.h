/* Weights of another training or of an imported network, in the supernet's own layouts: a file as
 * nas_supernet_save and nas_import write it. */
#ifndef NAS_SUPERNET_PRETRAINED_H
#define NAS_SUPERNET_PRETRAINED_H

#include "base/log.h"
#include "base/safetensors.h"
#include "space/genome.h"
#include "supernet/batch.h"
#include "supernet/supernet.h"

/* "format" in the file's metadata. */
#define NAS_PRETRAINED_FORMAT "nashost supernet"

/* What the file's tensors of a batch norm's running statistics end in; a training leaves none. */
#define NAS_PRETRAINED_MEAN ".bn.mean"
#define NAS_PRETRAINED_VARIANCE ".bn.variance"

/* Copies a file's weights into a supernet, whose space may be narrower than the file's: the first
 * channels, the centre of a kernel (or, where the file has matrices for it, what they make of the
 * larger kernel), the first blocks. A stem for 3 channels serves images of 1 by the sum over its
 * inputs, one for 1 serves images of 3 by a third of it for each. With new_classifier, weight and
 * bias of the classifier stay as they are. Every tensor that is missing or too small is told on
 * log; then NAS_ERR_INPUT, and the weights stay as they were. path names the file in messages.
 * [any] */
int nas_pretrained_fill(const nas_tensor_file *file, const char *path, bool new_classifier,
                        nas_supernet *supernet, const nas_log *log, nas_error *err);

/* The running statistics of a subnet's batch norms, by the first channels of the file's, in the
 * engine's order. stats is freed with nas_bn_stats_free. A file without them is NAS_ERR_INPUT.
 * [any] */
int nas_pretrained_stats(const nas_tensor_file *file, const char *path, const nas_space *space,
                         const nas_genome *genome, nas_bn_stats *stats, nas_error *err);

#endif
