#include <nashost/kit/state.h>

#include <stdlib.h>
#include <string.h>

void *nas_state_put_header(void *buffer, const char *id, uint32_t version, uint64_t length0,
                           uint64_t length1) {
    nas_state_header header = {.version = version, .lengths = {length0, length1}};
    snprintf(header.id, sizeof header.id, "%s", id);
    memcpy(buffer, &header, sizeof header);
    return (char *)buffer + sizeof header;
}

int nas_state_get_header(const void *buffer, size_t bytes, const char *id, uint32_t version,
                         nas_state_header *header, nas_error *err) {
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

int nas_state_check_bytes(size_t expected, size_t found, const char *id, nas_error *err) {
    if (expected == found) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: expected %zu bytes of saved state, found %zu", id,
                    expected, found);
}

/* ---- A state that is one block ----
 * For plugins that keep their options and arrays of numbers, as long as the run has classes or
 * images: a constant layout says which, and the functions below make, save, load and free them. As
 * bytes: the header with the lengths, then the block. */

/* Bytes of the block: none before nas_state_reserve. [any] */
static size_t block_bytes(const nas_state_layout *layout, const uint64_t *lengths) {
    if (!lengths[0]) return 0;
    return layout->bytes + layout->each[0] * (size_t)lengths[0] +
           layout->each[1] * (size_t)lengths[1];
}

int nas_state_create(const nas_state_layout *layout, const void *config, void **self,
                     nas_error *err) {
    nas_state *state = (nas_state *)calloc(1, sizeof *state);
    if (!state) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", layout->id);
    state->layout = layout;
    state->config = config;
    *self = state;
    return NAS_OK;
}

void nas_state_destroy(void *self) {
    nas_state *state = (nas_state *)self;
    if (state) free(state->block);
    free(state);
}

int nas_state_reserve(nas_state *state, uint64_t length0, uint64_t length1, nas_error *err) {
    const nas_state_layout *layout = state->layout;
    const uint64_t lengths[2] = {length0, length1};
    for (int i = 0; state->block && i < 2; i++)
        if (state->lengths[i] != lengths[i])
            return nas_fail(err, NAS_ERR_INPUT,
                            "%s: its state is of %llu %s, the run has %llu: start the run again",
                            layout->id, (unsigned long long)state->lengths[i], layout->counted[i],
                            (unsigned long long)lengths[i]);
    if (state->block) return NAS_OK;
    state->block = calloc(1, block_bytes(layout, lengths) + 1);
    if (!state->block) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", layout->id);
    memcpy(state->lengths, lengths, sizeof lengths);
    return NAS_OK;
}

/* nas_state_api's functions; self is a nas_state. [main] */
static size_t state_bytes(void *self) {
    const nas_state *state = (const nas_state *)self;
    return sizeof(nas_state_header) + block_bytes(state->layout, state->lengths);
}

static int save(void *self, void *buffer, nas_error *err) {
    const nas_state *state = (const nas_state *)self;
    const nas_state_layout *layout = state->layout;
    (void)err;
    void *at = nas_state_put_header(buffer, layout->id, layout->version, state->lengths[0],
                                    state->lengths[1]);
    if (state->block) memcpy(at, state->block, block_bytes(layout, state->lengths));
    return NAS_OK;
}

/* A state that is refused leaves the instance as it was. */
static int load(void *self, const void *buffer, size_t bytes, nas_error *err) {
    nas_state *state = (nas_state *)self;
    const nas_state_layout *layout = state->layout;
    nas_state_header header = {0};
    nas_state loaded = {.layout = layout, .config = state->config};
    int rc = nas_state_get_header(buffer, bytes, layout->id, layout->version, &header, err);
    if (rc) return rc;
    size_t block = block_bytes(layout, header.lengths);
    rc = nas_state_check_bytes(sizeof header + block, bytes, layout->id, err);
    if (!rc && header.lengths[1] && !(header.lengths[0] && layout->each[1]))
        rc = nas_fail(err, NAS_ERR_INPUT,
                      "%s: the saved state is damaged: expected no second length, found %llu",
                      layout->id, (unsigned long long)header.lengths[1]);
    if (!rc && block) {
        rc = nas_state_reserve(&loaded, header.lengths[0], header.lengths[1], err);
        if (!rc) memcpy(loaded.block, (const char *)buffer + sizeof header, block);
        if (!rc && layout->check) rc = layout->check(&loaded, err);
    }
    free(rc ? loaded.block : state->block);
    if (!rc) *state = loaded;
    return rc;
}

const void *nas_state_extension(void *self, const char *id) {
    static const nas_state_api api = {sizeof api, state_bytes, save, load};
    (void)self;
    return strcmp(id, NAS_EXT_STATE) == 0 ? &api : NULL;
}
