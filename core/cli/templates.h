/* The files of the folder templates/, which the program holds (scripts/embed). */
#ifndef NAS_CLI_TEMPLATES_H
#define NAS_CLI_TEMPLATES_H

#include <stddef.h>

typedef struct nas_template {
    const char *name; /* relative to templates/ */
    const char *text; /* [bytes], and a NUL behind */
    size_t bytes;
} nas_template;

/* Ends with an entry whose name is NULL. */
extern const nas_template nas_templates[];

/* The one of that name, or NULL. */
const nas_template *nas_template_find(const char *name);

#endif
