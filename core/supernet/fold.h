/* A subnet's weights with batch norm folded in, for exporters. */
#ifndef NAS_SUPERNET_FOLD_H
#define NAS_SUPERNET_FOLD_H

#include "space/lower.h"
#include "supernet/engine.h"

/* Fills weight and bias of every layer of lowered (made by nas_lower from the same genome) with the
 * subnet's slices, batch norm folded by stats. *memory owns them; the caller frees it after the
 * network's last use. [any] */
int nas_fold(const nas_supernet *supernet, const nas_real *weights, const nas_genome *genome,
             const nas_bn_stats *stats, nas_lowered *lowered, float **memory, nas_error *err);

#endif
