/* report.html: one file that shows a run, with all that it needs inside. core/stages/page/ holds
 * its parts: page.html is the whole, in which {{style}}, {{chart}} (the library Chart.js), {{data}}
 * and
 * {{script}} stand for the others. */
#ifndef NAS_STAGES_PAGE_H
#define NAS_STAGES_PAGE_H

#include <jansson.h>
#include <nashost/plugin.h>

/* Writes the page with this data, whole or not at all. [main] */
int nas_page_write(const char *path, const json_t *data, nas_error *err);

#endif
