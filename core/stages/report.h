/* The report stage, the only one that reads the test split. Writes family/PLATFORM.EXT for each of
 * a platform's exports, report.html (stages/html.h), and family.json:
 *
 *   {"seed", "dataset", "space", "labelled", "skipped_images",
 *    "platforms": [{"name", "genome", "score", "constraints": {"latency_ms": 2, ...},
 *                   "predicted": {"latency_ms", "energy_mj", "peak_bytes", "flash_bytes",
 *                                 "known_share", "expected_error"},
 *                   "macs", "params", "test_top1",
 *                   "int8": {"test_top1", "top1_loss", "calibration_images"},
 *                   "files": ["family/NAME.EXT", ...], "verified": [...]}, ...],
 *    "reference": {"largest": {"genome", "macs", "params", "validation_top1", "test_top1"},
 *                  "smallest": {...}}}
 *
 * "verified" is there if an export has "verify", an entry each (stages/verify.h). "int8" is there
 * if a format is in 8 bits, whose files are NAME.int8.EXT, and "int8w7" likewise if one has weights
 * of 7 bits; the loss is test_top1 less the one of 8 bits. A top1 is a share, 0 to 1; files are
 * relative to the run directory; null: not known. */
#ifndef NAS_STAGES_REPORT_H
#define NAS_STAGES_REPORT_H

#include "run/candidate.h"
#include "stages/evaluate.h"

/* chosen [n_platforms] as nas_search fills it. *family gets the content of
 * family.json; the caller owns it. [main] */
int nas_report(const nas_context *context, nas_evaluator *evaluator, const nas_candidate *chosen,
               json_t **family, nas_error *err);

#endif
