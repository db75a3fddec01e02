/* Subnets that a user names: in files, or by the platform that they were found for. */
#ifndef NAS_RUN_SUBNETS_H
#define NAS_RUN_SUBNETS_H

#include "space/genome.h"

typedef struct nas_named {
    char name[64];
    nas_genome genome; /* canonical */
} nas_named;

typedef struct nas_subnets {
    size_t n;
    nas_named *items;
} nas_subnets;

/* Appends the subnets of a JSON file: one subnet, or an array of subnets. A subnet is a genome, or
 * an object with a "genome" and perhaps a "name" (other keys are ignored, so that an entry of
 * family.json will do); one without a name is called after its file. [any] */
int nas_subnets_read(const nas_space *space, const char *file, nas_subnets *subnets,
                     nas_error *err);

/* Appends one. [any] */
int nas_subnets_add(const nas_space *space, const char *name, const nas_genome *genome,
                    nas_subnets *subnets, nas_error *err);

/* Appends n random ones, "random0" and so on, that a seed determines. [any] */
int nas_subnets_random(const nas_space *space, uint64_t seed, size_t n, nas_subnets *subnets,
                       nas_error *err);

/* Appends "largest" and "smallest". [any] */
int nas_subnets_ends(const nas_space *space, nas_subnets *subnets, nas_error *err);

void nas_subnets_free(nas_subnets *subnets); /* zeroed is fine */

/* Which one subnet of the run directory out is meant: the one in a file, as above; or the one in
 * out/family.json for a platform; or, where both are NULL, the largest. A file with
 * several is NAS_ERR_INPUT. [any] */
int nas_subnets_one(const nas_space *space, const char *out, const char *file, const char *platform,
                    nas_named *subnet, nas_error *err);

#endif
