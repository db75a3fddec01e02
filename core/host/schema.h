/* The JSON Schema of pipelines, for editors and other validators. */
#ifndef NAS_HOST_SCHEMA_H
#define NAS_HOST_SCHEMA_H

#include "host/registry.h"

/* A schema (draft 2020-12) of what nas_pipeline_load accepts: every section's keys and every
 * plugin's options with types, defaults, ranges and help, spaces and genomes, made from the tables
 * that the reader parses by. What no table describes (rules between keys, which choices a genome's
 * space has) is left to nas_pipeline_load. Loads every plugin that the manifests name; one that
 * cannot be used is left out, with a warning to the registry's log. The caller owns *schema. [main]
 */
int nas_schema(nas_registry *registry, json_t **schema, nas_error *err);

#endif
