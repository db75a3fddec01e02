/* Reads FlatBuffers by the format's rules; what breaks them fails the test. Positions are bytes
 * from the start. Include after <cmocka.h>. */
#ifndef NAS_TESTS_FLAT_READER_H
#define NAS_TESTS_FLAT_READER_H

#include <stdint.h>
#include <string.h>

typedef struct file {
    char *data;
    size_t bytes;
} file;

/* A number of so many bytes at a position, which must be aligned to them. */
static inline int64_t number(const file *f, size_t at, size_t bytes) {
    int64_t value = 0;
    assert_true(at + bytes <= f->bytes);
    assert_int_equal(at % bytes, 0);
    memcpy(&value, f->data + at, bytes);
    return bytes == 1 ? (int8_t)value : bytes == 4 ? (int32_t)value : value;
}

static inline size_t follow(const file *f, size_t at) {
    return at + (uint32_t)number(f, at, 4);
}

/* Where a table has a field; 0: it is left out. */
static inline size_t field(const file *f, size_t table, unsigned which) {
    size_t vtable = (size_t)((int64_t)table - number(f, table, 4));
    size_t entries = ((uint16_t)number(f, vtable, 2)) / 2u;
    assert_true(entries >= 2);
    if (which + 2 >= entries) return 0;
    uint16_t offset = (uint16_t)number(f, vtable + 2 * (which + 2), 2);
    assert_true(offset < (uint16_t)number(f, vtable + 2, 2));
    return offset ? table + offset : 0;
}

static inline int64_t value(const file *f, size_t table, unsigned which, size_t bytes) {
    size_t at = field(f, table, which);
    return at ? number(f, at, bytes) : 0;
}

static inline size_t child(const file *f, size_t table, unsigned which) {
    size_t at = field(f, table, which);
    assert_true(at);
    return follow(f, at);
}

static inline size_t length(const file *f, size_t list) {
    return (uint32_t)number(f, list, 4);
}

/* Table i of a list of tables. */
static inline size_t item(const file *f, size_t list, size_t i) {
    assert_true(i < length(f, list));
    return follow(f, list + 4 * (i + 1));
}

/* The items of a list of numbers. */
static inline const void *items(const file *f, size_t list, size_t bytes) {
    assert_true(list + 4 + bytes * length(f, list) <= f->bytes);
    assert_int_equal((list + 4) % bytes, 0);
    return f->data + list + 4;
}

static inline const char *text(const file *f, size_t table, unsigned which) {
    size_t at = child(f, table, which);
    const char *found = items(f, at, 1);
    assert_int_equal(found[length(f, at)], 0);
    return found;
}

static inline size_t root(const file *f, const char *identifier) {
    assert_memory_equal(f->data + 4, identifier, 4);
    return follow(f, 0);
}

#endif
