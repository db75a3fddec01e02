/* report.html: the run in pictures, one file that needs nothing else. Its data comes from the run
 * directory's files (metrics.jsonl, search/, family.json's content) and from a few further
 * inferences. */
#ifndef NAS_STAGES_HTML_H
#define NAS_STAGES_HTML_H

#include "run/candidate.h"
#include "stages/evaluate.h"

/* What the report stage knows already; everything is borrowed. */
typedef struct nas_html {
    const nas_context *context;
    nas_evaluator *evaluator;
    const nas_candidate *chosen; /* [n_platforms] */
    const json_t *family;        /* as in family.json */
    const json_t *confusions; /* [n_platforms], on the test images, as nas_confusion gives them */
    uint64_t n_test;
} nas_html;

/* Writes report.html into the run directory. [main] */
int nas_html_write(const nas_html *html, nas_error *err);

#endif
