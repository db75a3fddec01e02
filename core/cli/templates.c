#include "cli/templates.h"

#include <string.h>

const nas_template *nas_template_find(const char *name) {
    for (const nas_template *t = nas_templates; t->name; t++)
        if (strcmp(t->name, name) == 0) return t;
    return NULL;
}
