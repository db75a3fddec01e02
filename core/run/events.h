/* Event files for TensorBoard, tensorboard/RUN/events.out.tfevents.nashost: TFRecord frames
 * (length, its checksum, data, its checksum) of tensorflow.Event messages in protobuf's encoding.
 * Formats: tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto and
 * tensorflow/core/framework/summary.proto; checksums: CRC-32C (RFC 3720, B.4), rotated and offset.
 */
#ifndef NAS_RUN_EVENTS_H
#define NAS_RUN_EVENTS_H

#include <jansson.h>
#include <nashost/plugin.h>

typedef struct nas_events {
    int file; /* a descriptor; 0: none */
    char *path;
} nas_events;

#define NAS_EVENTS_SEARCH "search-%.32s" /* the run of a platform's search */

/* Opens the file of a run ("train", or that of a search) in the run directory out, making its
 * folders. Of an earlier process's events those with a step of at most last_step are kept; what
 * follows, or is not whole, is cut. On failure nothing is left. [main] */
int nas_events_open(const char *out, const char *run, uint64_t last_step, nas_events *events,
                    nas_error *err);

/* Writes one event with every number of values as a scalar, named by its key, "OUTER/KEY" in a
 * nested object, and hands it to the system; other values, "step" and "seconds" are left out.
 * [main] */
int nas_events_write(nas_events *events, uint64_t step, const json_t *values, nas_error *err);

void nas_events_close(nas_events *events); /* zeroed is fine */

/* Removes a run's file and folder, if there; what cannot be removed does no harm. [main] */
void nas_events_remove(const char *out, const char *run);

/* CRC-32C of n bytes. [any] */
uint32_t nas_crc32c(const void *data, size_t n);

#endif
