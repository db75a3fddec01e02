/* A FlatBuffer, written front to back: a table first, then what its fields point to. Format:
 * https://flatbuffers.dev/internals/. Positions are bytes from the start. Once it has failed (out
 * of memory), all of this does nothing. */
#ifndef NASHOST_TFLITE_FLAT_H
#define NASHOST_TFLITE_FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLAT_MOST_FIELDS = 16, FLAT_MOST_SHAPES = 64 };

typedef struct flat {
    unsigned char *data;
    size_t used, room;
    bool failed;
    uint32_t shapes[FLAT_MOST_SHAPES]; /* positions of vtables, which tables share */
    uint32_t n_shapes;
} flat;

typedef enum flat_kind {
    FLAT_BYTE = 1,
    FLAT_INT = 4,  /* any number of 32 bits */
    FLAT_LINK = 8, /* what it points to is told later, by nas_flat_point */
} flat_kind;

/* One field of a table: its number in the schema, and its value. */
typedef struct flat_field {
    uint32_t number; /* below FLAT_MOST_FIELDS */
    flat_kind kind;
    uint32_t value;
} flat_field;

/* Starts a file of a kind that has four letters. */
void nas_flat_begin(flat *f, const char identifier[4]);

/* Which table is the root. */
void nas_flat_root(flat *f, uint32_t table);

/* A table; a number that is 0 is left out, since 0 is what readers take for a missing one. */
uint32_t nas_flat_table(flat *f, const flat_field *fields, size_t n);

/* Has a FLAT_LINK of a table point to what was written after it. */
void nas_flat_point(flat *f, uint32_t table, uint32_t number, uint32_t to);

/* A list of n links, and what link i of it points to. */
uint32_t nas_flat_links(flat *f, size_t n);
void nas_flat_point_item(flat *f, uint32_t list, size_t i, uint32_t to);

/* A list of n items of `bytes` bytes each, aligned to `align`; items NULL: zeros. */
uint32_t nas_flat_list(flat *f, const void *items, size_t n, size_t bytes, size_t align);

uint32_t nas_flat_string(flat *f, const char *text);

/* Frees it, and leaves it zeroed. */
void nas_flat_free(flat *f);

#endif
