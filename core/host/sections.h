/* The option tables of a pipeline's own sections, and the structures that they fill. */
#ifndef NAS_HOST_SECTIONS_H
#define NAS_HOST_SECTIONS_H

#include "host/config.h"

#include <jansson.h>
#include <nashost/plugin.h>

typedef struct nas_root_section {
    int64_t seed;
} nas_root_section;

typedef struct nas_use_section {
    const char *plugin;
} nas_use_section;

typedef struct nas_dataset_section {
    const char *plugin;
    nas_dataset_config config;
} nas_dataset_section;

typedef struct nas_export_section {
    const char *plugin;
    bool verify;
} nas_export_section;

typedef struct nas_search_section {
    const char *plugin;
    const char *const *objectives;
    nas_search_config config;
} nas_search_section;

typedef struct nas_platform_section {
    const char *name;
} nas_platform_section;

/* The keys of nas_constraints, by nas_limit_id. */
extern const char *const nas_limit_names[NAS_MAX_LIMITS];

/* The places of a pipeline where keys stand. */
typedef enum nas_section_id {
    NAS_AT_ROOT,
    NAS_AT_SCHEMA,
    NAS_AT_DATASET,
    NAS_AT_SPLIT,
    NAS_AT_INIT,
    NAS_AT_SPACE,
    NAS_AT_SPACE_RESTRICT,
    NAS_AT_AUGMENT,
    NAS_AT_TRAIN,
    NAS_AT_GENOME,
    NAS_AT_SSL,
    NAS_AT_SEARCH,
    NAS_AT_SCORE,
    NAS_AT_PLATFORMS,
    NAS_AT_HARDWARE,
    NAS_AT_CONSTRAINTS,
    NAS_AT_PLATFORM_EXPORT,
    NAS_AT_EXPORT,
    NAS_SECTIONS
} nas_section_id;

/* What a section holds, for the reader of pipelines and for their schema. */
typedef struct nas_section {
    const char *key;           /* in its parent; NULL: the root */
    nas_section_id parent;     /* the root's: NAS_SECTIONS */
    const char *help;          /* one line */
    const nas_option *options; /* ends with an entry whose name is NULL; NULL: see type */
    nas_kind plugin;           /* its "plugin" is one of this kind, its "options" are that one's */
    size_t min, max;           /* an array of so many of such objects; max 0: one object */
    const char *type;          /* no table of options describes it: the type of what else than an
                                  object it may be, in JSON Schema's words */
    json_t *(*form)(void);     /* then: the schema of the object (a new reference; NULL: out of
                                  memory); NULL: it cannot be one */
    bool required;             /* then: it must be there */
} nas_section;

extern const nas_section nas_sections[NAS_SECTIONS];

#define NAS_MAX_NESTED 16

/* The keys of a section that are no options of its table: the sections in it, and "options" where
 * it names a plugin. NULL-terminated, to keys [NAS_MAX_NESTED]. [any] */
void nas_section_nested(nas_section_id id, const char **keys);

/* The table of nas_constraints, in files that the stages write as well. */
extern const nas_option nas_constraints_options[];

#endif
