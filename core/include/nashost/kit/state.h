/* nashost plugin kit: states of plugins (NAS_EXT_STATE). The header that stands before a state, so
 * that a checkpoint of another plugin, of another version, or cut short, is refused instead of
 * read; and a whole instance for plugins whose state is one block of numbers. */
#ifndef NASHOST_KIT_STATE_H
#define NASHOST_KIT_STATE_H

#include <nashost/plugin.h>

/* In the machine's byte order: a checkpoint goes on where it was made, or on a machine alike. */
typedef struct nas_state_header {
    char id[32]; /* the plugin's, zero-padded */
    uint32_t version;
    uint32_t zero;
    uint64_t lengths[2]; /* counts of the arrays that follow, as the plugin means them */
} nas_state_header;

/* Writes the header and returns the address after it. [any] */
void *nas_state_put_header(void *buffer, const char *id, uint32_t version, uint64_t length0,
                           uint64_t length1);

/* Reads the header into *header and checks id and version, and that no length exceeds bytes, so
 * that sizes computed from them cannot overflow. Fails with NAS_ERR_INPUT. [any] */
int nas_state_get_header(const void *buffer, size_t bytes, const char *id, uint32_t version,
                         nas_state_header *header, nas_error *err);

/* Checks the whole length, header included, once the lengths are known. [any] */
int nas_state_check_bytes(size_t expected, size_t found, const char *id, nas_error *err);

/* ---- A state that is one block ----
 * For plugins that keep their options and arrays of numbers, as long as the run has classes or
 * images: a constant layout says which, and the functions below make, save, load and free them. As
 * bytes: the header with the lengths, then the block. */

typedef struct nas_state {
    const struct nas_state_layout *layout;
    const void *config;  /* the plugin's options, the host's */
    uint64_t lengths[2]; /* 0 before nas_state_reserve */
    void *block;         /* as the layout says; NULL before nas_state_reserve */
} nas_state;

typedef struct nas_state_layout {
    const char *id;         /* the plugin's */
    uint32_t version;       /* of the layout; another one's states are refused */
    size_t bytes;           /* of the block, besides those for each of a length: */
    size_t each[2];         /* 0: the second length is not used and stays 0 */
    const char *counted[2]; /* what they count, for messages, such as "classes" */
    /* Fails with NAS_ERR_INPUT if what was loaded cannot be; NULL: all can. */
    int (*check)(const nas_state *loaded, nas_error *err);
} nas_state_layout;

/* A plugin's create() calls this: an instance without a block. [main] */
int nas_state_create(const nas_state_layout *layout, const void *config, void **self,
                     nas_error *err);

/* A destroy(). [main] */
void nas_state_destroy(void *self);

/* The first time, makes the block, all zero, for the lengths, the first of which is not 0; the
 * caller fills it. Later it fails with NAS_ERR_INPUT where the lengths are others. [any] */
int nas_state_reserve(nas_state *state, uint64_t length0, uint64_t length1, nas_error *err);

/* An extension() that offers the state. [any] */
const void *nas_state_extension(void *self, const char *id);

#endif
