/* A few subnets that together have every layer that a subnet of a space can have. */
#ifndef NAS_SPACE_COVER_H
#define NAS_SPACE_COVER_H

#include "space/genome.h"

/* How many subnets. Their layers differ from those of the space's other subnets in nothing that a
 * key of <nashost/lut.h> tells. [any] */
size_t nas_cover_count(const nas_space *space);

/* Subnet i of them. [any] */
nas_genome nas_cover_genome(const nas_space *space, size_t i);

#endif
