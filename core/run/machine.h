/* What a run ran on, for those who want to repeat it. */
#ifndef NAS_RUN_MACHINE_H
#define NAS_RUN_MACHINE_H

#include <jansson.h>

/* {"version", "abi", "compiler", "system", "processor", "processors", "threads", "instructions",
 * "command": [...], "date"}; null: not known. The caller owns the result; NULL: out of memory.
 * threads: those of the run. [main] */
json_t *nas_machine_json(int threads);

#endif
