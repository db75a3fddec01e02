/* Finished runs side by side, from their pipeline.json and family.json alone. */
#ifndef NAS_STAGES_COMPARE_H
#define NAS_STAGES_COMPARE_H

#include <nashost/plugin.h>

/* Prints to stdout three tables: the runs, each platform's subnet in each run, and the keys in
 * which the resolved pipelines differ; or
 *
 *   {"runs": [{"run", "seed", "dataset", "space", "labelled", "loss", "sampling", "steps",
 *              "search", "score", "reference": {...}}, ...],
 *    "platforms": [{"name", "runs": [as in family.json, or null: not in this run, ...]}, ...],
 *    "differences": [{"key": "train.lr", "values": [0.03, 0.01, ...]}, ...]}
 *
 * with lists in the order of dirs [n]. Platforms are matched by name; a key that a run does not
 * have is null. A directory without one of the two files is NAS_ERR_INPUT. [main] */
int nas_compare(const char *const *dirs, size_t n, bool json, nas_error *err);

#endif
