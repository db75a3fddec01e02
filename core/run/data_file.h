/* data.json: what the data set was when a run began, so that its weights, classes and splits are
 * not used with another one.
 *
 *   {"classes": ["cat", ...] or null, "labels": HASH,
 *    "train": {"images": n, "list": HASH or null}, "test": {...}, "unlabelled": {...}}
 *
 * "labels" is of the training images' labels in their order, "list" of what the plugin reads, as it
 * tells it (nas_dataset_api's fingerprint); each a hash of 64 bits in hexadecimal. */
#ifndef NAS_RUN_DATA_FILE_H
#define NAS_RUN_DATA_FILE_H

#include "data/source.h"

#include <jansson.h>

/* What the file says of an open data set. The caller owns it; NULL: out of memory. [main] */
json_t *nas_data_file_json(const nas_source *source);

/* Writes the file for an open data set. [main] */
int nas_data_file_save(const char *path, const nas_source *source, nas_error *err);

/* Compares the file with an open data set: NAS_ERR_INPUT that says what differs. A file that is not
 * there is of an older version: nothing is compared. [main] */
int nas_data_file_check(const char *path, const nas_source *source, nas_error *err);

#endif
