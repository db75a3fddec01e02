/* Narrowing a space: which of its choices a run may use. */
#ifndef NAS_SPACE_RESTRICT_H
#define NAS_SPACE_RESTRICT_H

#include "space/space.h"

/* Leaves the space only the choices that json lists (docs in spaces/README.md; NULL or JSON null:
 * all of them), and numbers the genes anew. A choice that the space does not have is an error, and
 * so is a list that leaves a stage none. where says where json stands, for messages. On failure the
 * space is of no use. [any] */
int nas_space_restrict(nas_space *space, const json_t *json, const char *where, nas_error *err);

/* The description of a narrowed space: a copy of that of the whole one, with the choices that are
 * left. The caller owns it; NULL: out of memory. [any] */
json_t *nas_space_narrowed_json(const json_t *description, const nas_space *narrowed);

/* The JSON Schema (2020-12) of such objects. The caller owns it; NULL: out of memory. [any] */
json_t *nas_restrict_schema(void);

#endif
