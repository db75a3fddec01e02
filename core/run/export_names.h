/* The names of the files in family/, none of which may be two exports'. */
#ifndef NAS_RUN_EXPORT_NAMES_H
#define NAS_RUN_EXPORT_NAMES_H

#include "host/instance.h"
#include "host/pipeline.h"

/* Compares the names of all files that all platforms get, their descriptions among them; exports
 * are the pipeline's. NAS_ERR_INPUT tells the first name that would be written twice. [main] */
int nas_export_names_check(const nas_pipeline *pipeline, const nas_instance *exports,
                           nas_error *err);

#endif
