/* What the search has chosen, as tables and family.json show it. */
#ifndef NAS_STAGES_CHOSEN_H
#define NAS_STAGES_CHOSEN_H

#include "stages/candidate.h"
#include "stages/context.h"
#include "stages/table.h"

/* A platform's constraints for a table: "2 ms, 96 KiB peak", or "-". */
nas_cell nas_limits_text(const nas_constraints *constraints);

/* {"name", "genome", "score", "constraints", "predicted", "macs", "params"} of a platform's chosen
 * subnet. The caller owns it; NULL: out of memory. */
json_t *nas_chosen_json(const nas_space *space, const nas_platform *platform,
                        const nas_candidate *candidate);

/* Prints chosen [n_platforms] to stdout: a table, or with the request's json {"platforms": [...]}.
 * [main] */
int nas_chosen_print(const nas_context *context, const nas_candidate *chosen, nas_error *err);

#endif
