/* nashost plugin SDK: the header that a plugin puts before its state (NAS_EXT_STATE), so that a
 * checkpoint of another plugin, of another version, or cut short, is refused instead of read. */
#ifndef NASHOST_STATE_H
#define NASHOST_STATE_H

#include <nashost/plugin.h>
#include <string.h>

/* In the machine's byte order: a checkpoint goes on where it was made, or on a machine alike. */
typedef struct nas_state_header {
    char id[32]; /* the plugin's, zero-padded */
    uint32_t version;
    uint32_t zero;
    uint64_t lengths[2]; /* counts of the arrays that follow, as the plugin means them */
} nas_state_header;

/* Writes the header and returns the address after it. [any] */
static inline void *nas_state_put_header(void *buffer, const char *id, uint32_t version,
                                         uint64_t length0, uint64_t length1) {
    nas_state_header header = {.version = version, .lengths = {length0, length1}};
    snprintf(header.id, sizeof header.id, "%s", id);
    memcpy(buffer, &header, sizeof header);
    return (char *)buffer + sizeof header;
}

/* Reads the header into *header and checks id and version, and that no length exceeds bytes, so
 * that sizes computed from them cannot overflow. Fails with NAS_ERR_INPUT. [any] */
static inline int nas_state_get_header(const void *buffer, size_t bytes, const char *id,
                                       uint32_t version, nas_state_header *header, nas_error *err) {
    if (bytes < sizeof *header)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: the saved state is cut short: expected at least %zu bytes, found %zu",
                        id, sizeof *header, bytes);
    memcpy(header, buffer, sizeof *header);
    if (strncmp(header->id, id, sizeof header->id) != 0)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: expected a saved state of %s, found one of \"%.31s\"", id, id,
                        header->id);
    if (header->version != version)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: expected a saved state of version %u, found %u: start the run again",
                        id, (unsigned)version, (unsigned)header->version);
    if (header->lengths[0] > bytes || header->lengths[1] > bytes)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: the saved state is damaged: its %zu bytes cannot hold %llu and %llu "
                        "values",
                        id, bytes, (unsigned long long)header->lengths[0],
                        (unsigned long long)header->lengths[1]);
    return NAS_OK;
}

/* Checks the whole length, header included, once the lengths are known. [any] */
static inline int nas_state_check_bytes(size_t expected, size_t found, const char *id,
                                        nas_error *err) {
    if (expected == found) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: expected %zu bytes of saved state, found %zu", id,
                    expected, found);
}

#endif
