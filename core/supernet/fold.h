/* A subnet's weights with batch norm folded in, for exporters. */
#ifndef NAS_SUPERNET_FOLD_H
#define NAS_SUPERNET_FOLD_H

#include "space/lower.h"
#include "supernet/batch.h"
#include "supernet/supernet.h"

/* Fills weight and bias of every layer of lowered (made by nas_lower from a genome of the
 * supernet's space) with the subnet's slices of weights, batch norm folded by the same subnet's
 * stats: W' = W s, b' = beta - mean s with s = gamma / sqrt(var + the space's epsilon). Layers
 * without weights keep NULL. *memory owns the values; the caller frees it after the network's last
 * use. A layer that the supernet does not have, or stats of another subnet, are NAS_ERR_INPUT.
 * [any] */
int nas_fold(const nas_supernet *supernet, const nas_real *weights, const nas_bn_stats *stats,
             nas_lowered *lowered, float **memory, nas_error *err);

#endif
