/* The option tables of a pipeline's own sections, and the structures that they fill. */
#ifndef NAS_HOST_SECTIONS_H
#define NAS_HOST_SECTIONS_H

#include "host/pipeline.h"

typedef struct nas_root_section {
    int64_t seed;
} nas_root_section;

typedef struct nas_split_section {
    int64_t labelled, validation, heldout;
} nas_split_section;

typedef struct nas_use_section {
    const char *plugin;
} nas_use_section;

typedef struct nas_search_section {
    const char *plugin;
    nas_search_config config;
} nas_search_section;

typedef struct nas_platform_section {
    const char *name;
} nas_platform_section;

/* Each ends with an entry whose name is NULL. */
extern const nas_option nas_root_options[];        /* nas_root_section */
extern const nas_option nas_split_options[];       /* nas_split_section */
extern const nas_option nas_augment_options[];     /* nas_augment_config */
extern const nas_option nas_train_options[];       /* nas_train_config */
extern const nas_option nas_use_options[];         /* nas_use_section */
extern const nas_option nas_search_options[];      /* nas_search_section */
extern const nas_option nas_platform_options[];    /* nas_platform_section */
extern const nas_option nas_constraints_options[]; /* nas_constraints */

#endif
