#include "run/events.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_BYTES = 1 << 30, MOST_EVENT = 8192, MOST_TAG = 120, FRAME = 16 /* bytes around data */ };

static const char file_name[] = "events.out.tfevents.nashost";

/* ---- Records ---- */

uint32_t nas_crc32c(const void *data, size_t n) {
    const uint8_t *bytes = data;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* As records hold it: a checksum of data that holds checksums is weak. */
static uint32_t masked_crc(const void *data, size_t n) {
    uint32_t crc = nas_crc32c(data, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void put_little(uint8_t *out, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get_little(const uint8_t *in, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)in[i] << 8 * i;
    return value;
}

static int write_record(nas_events *events, const uint8_t *data, size_t n, nas_error *err) {
    uint8_t record[MOST_EVENT + FRAME];
    put_little(record, n, 8);
    put_little(record + 8, masked_crc(record, 8), 4);
    memcpy(record + 12, data, n);
    put_little(record + 12 + n, masked_crc(data, n), 4);
    return nas_file_append(events->file, events->path, record, n + FRAME, err);
}

/* ---- Messages ---- */

/* A message in the making; full: it would not have fitted. */
typedef struct message {
    uint8_t data[MOST_EVENT];
    size_t n;
    bool full;
} message;

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* protobuf's wire types */
enum { EVENT_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2 };

static void put(message *m, const void *data, size_t n) {
    m->full = m->full || n > sizeof m->data - m->n;
    if (m->full) return;
    memcpy(m->data + m->n, data, n);
    m->n += n;
}

static void put_varint(message *m, uint64_t value) {
    for (; value > 127; value >>= 7) put(m, &(uint8_t){(uint8_t)(value | 128)}, 1);
    put(m, &(uint8_t){(uint8_t)value}, 1);
}

static void put_key(message *m, unsigned field, unsigned type) {
    put_varint(m, field << 3 | type);
}

static void put_bytes(message *m, unsigned field, const void *data, size_t n) {
    put_key(m, field, BYTES);
    put_varint(m, n);
    put(m, data, n);
}

static void put_double(message *m, unsigned field, double value) {
    uint64_t bits;
    uint8_t bytes[8];
    memcpy(&bits, &value, sizeof bits);
    put_little(bytes, bits, 8);
    put_key(m, field, FIXED64);
    put(m, bytes, sizeof bytes);
}

static void put_float(message *m, unsigned field, float value) {
    uint32_t bits;
    uint8_t bytes[4];
    memcpy(&bits, &value, sizeof bits);
    put_little(bytes, bits, 4);
    put_key(m, field, FIXED32);
    put(m, bytes, sizeof bytes);
}

static void put_time(message *m) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    put_double(m, EVENT_TIME, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
}

/* One value of a summary: a tag of at most MOST_TAG bytes, and a number. */
static void put_scalar(message *summary, const char *tag, double number) {
    size_t n = strlen(tag);
    put_key(summary, SUMMARY_VALUE, BYTES);
    put_varint(summary, 2 + n + 5); /* both fields' keys, one byte of length, and a float */
    put_bytes(summary, VALUE_TAG, tag, n);
    put_float(summary, VALUE_SIMPLE, (float)number);
}

static void put_scalars(message *summary, const char *prefix, const json_t *values) {
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)(uintptr_t)values, key, item) {
        char tag[MOST_TAG + 1];
        snprintf(tag, sizeof tag, "%s%s%s", prefix, key, json_is_object(item) ? "/" : "");
        if (json_is_object(item))
            put_scalars(summary, tag, item);
        else if (json_is_number(item) && strcmp(tag, "step") != 0 && strcmp(tag, "seconds") != 0)
            put_scalar(summary, tag, json_number_value(item));
    }
}

/* The step of an event; 0, as protobuf leaves it out, where there is none; UINT64_MAX: not an
 * event. */
static uint64_t step_of(const uint8_t *data, size_t n) {
    uint64_t step = 0;
    for (size_t at = 0; at < n;) {
        unsigned key = data[at++];
        uint64_t value = 0;
        unsigned type = key & 7;
        if (type == VARINT || type == BYTES)
            for (int shift = 0; shift < 64 && at < n; shift += 7) {
                value |= (uint64_t)(data[at] & 127) << shift;
                if (data[at++] < 128) break;
            }
        if (type != VARINT && type != BYTES && type != FIXED64 && type != FIXED32)
            return UINT64_MAX;
        size_t rest = type == FIXED64 ? 8 : type == FIXED32 ? 4 : type == BYTES ? value : 0;
        if (rest > n - at) return UINT64_MAX;
        at += rest;
        if (key == (EVENT_STEP << 3 | VARINT)) step = value;
    }
    return step;
}

/* ---- Files ---- */

/* How many bytes at the start of a file are whole records with steps up to last_step. */
static size_t good_bytes(const uint8_t *data, size_t bytes, uint64_t last_step) {
    size_t kept = 0;
    while (bytes - kept >= FRAME) {
        const uint8_t *record = data + kept;
        uint64_t n = get_little(record, 8);
        if (masked_crc(record, 8) != get_little(record + 8, 4) || n > bytes - kept - FRAME) break;
        if (masked_crc(record + 12, n) != get_little(record + 12 + n, 4)) break;
        uint64_t step = step_of(record + 12, n);
        if (step > last_step) break;
        kept += FRAME + n;
    }
    return kept;
}

static int trim(const char *path, uint64_t last_step, size_t *kept, nas_error *err) {
    char *data = NULL;
    size_t bytes = 0;
    *kept = 0;
    if (!nas_file_exists(path)) return NAS_OK;
    int rc = nas_file_read(path, MAX_BYTES, &data, &bytes, err);
    if (rc) return rc;
    *kept = good_bytes((const uint8_t *)data, bytes, last_step);
    if (*kept < bytes) rc = nas_file_write(path, data, *kept, err);
    free(data);
    return rc;
}

static int write_header(nas_events *events, nas_error *err) {
    static const char version[] = "brain.Event:2";
    message event = {.n = 0};
    put_time(&event);
    put_bytes(&event, EVENT_VERSION, version, sizeof version - 1);
    return write_record(events, event.data, event.n, err);
}

static char *path_of(const char *out, const char *run, const char *name) {
    char *path = NULL;
    return asprintf(&path, "%s/tensorboard/%s%s%s", out, run, *name ? "/" : "", name) < 0 ? NULL
                                                                                          : path;
}

int nas_events_open(const char *out, const char *run, uint64_t last_step, nas_events *events,
                    nas_error *err) {
    char *folder = path_of(out, run, "");
    size_t kept = 0;
    *events = (nas_events){.path = path_of(out, run, file_name)};
    int rc = folder && events->path ? nas_folder_make(folder, err)
                                    : nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", out);
    free(folder);
    if (!rc) rc = trim(events->path, last_step, &kept, err);
    if (!rc) rc = nas_file_open_append(events->path, &events->file, err);
    if (!rc && !kept) rc = write_header(events, err);
    if (rc) nas_events_close(events);
    return rc;
}

int nas_events_write(nas_events *events, uint64_t step, const json_t *values, nas_error *err) {
    message event = {.n = 0}, summary = {.n = 0};
    put_scalars(&summary, "", values);
    put_time(&event);
    put_key(&event, EVENT_STEP, VARINT);
    put_varint(&event, step);
    put_bytes(&event, EVENT_SUMMARY, summary.data, summary.n);
    if (!event.full && !summary.full) return write_record(events, event.data, event.n, err);
    return nas_fail(err, NAS_ERR_MEMORY, "%s: no room for an event of more than %d bytes",
                    events->path, MOST_EVENT);
}

void nas_events_close(nas_events *events) {
    if (events->file > 0) close(events->file);
    free(events->path);
    *events = (nas_events){0};
}

void nas_events_remove(const char *out, const char *run) {
    char *file = path_of(out, run, file_name), *folder = path_of(out, run, "");
    if (file) unlink(file);
    if (folder) rmdir(folder);
    free(file);
    free(folder);
}
