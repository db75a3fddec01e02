#include "flat.h"

#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "FlatBuffers are little-endian; this writer copies numbers as they lie in memory"
#endif

/* The format's offsets are 32 bits wide, one of them with a sign. */
#define MOST_BYTES ((size_t)INT32_MAX)

/* Room for n bytes, zeroed; NULL after a failure. */
static unsigned char *extend(flat *f, size_t n) {
    size_t need = f->used + n;
    if (need > MOST_BYTES) f->failed = true;
    if (!f->failed && need > f->room) {
        size_t room = 2 * need + 1024;
        unsigned char *data = realloc(f->data, room);
        if (data) f->data = data;
        if (data) f->room = room;
        f->failed = !data;
    }
    if (f->failed) return NULL;
    unsigned char *at = f->data + f->used;
    memset(at, 0, n);
    f->used = need;
    return at;
}

static void put(flat *f, const void *bytes, size_t n) {
    unsigned char *at = extend(f, n);
    if (at && n) memcpy(at, bytes, n);
}

/* Pads until what comes `ahead` bytes later lies at a multiple of `align`. */
static void pad(flat *f, size_t align, size_t ahead) {
    extend(f, (align - (f->used + ahead) % align) % align);
}

static void set_link(flat *f, uint32_t place, uint32_t to) {
    uint32_t distance = to - place;
    if (!f->failed) memcpy(f->data + place, &distance, sizeof distance);
}

static uint16_t read_short(const flat *f, uint32_t place) {
    uint16_t value = 0;
    memcpy(&value, f->data + place, sizeof value);
    return value;
}

void nas_flat_begin(flat *f, const char identifier[4]) {
    *f = (flat){0};
    extend(f, sizeof(uint32_t));
    put(f, identifier, 4);
}

void nas_flat_root(flat *f, uint32_t table) {
    set_link(f, 0, table);
}

/* The position of a vtable; shape[0]: its bytes. */
static uint32_t put_shape(flat *f, const uint16_t *shape) {
    for (uint32_t i = 0; i < f->n_shapes && !f->failed; i++)
        if (read_short(f, f->shapes[i]) == shape[0] &&
            memcmp(f->data + f->shapes[i], shape, shape[0]) == 0)
            return f->shapes[i];
    uint32_t at = (uint32_t)f->used;
    put(f, shape, shape[0]);
    if (f->n_shapes < FLAT_MOST_SHAPES) f->shapes[f->n_shapes++] = at;
    return at;
}

static bool is_left_out(const flat_field *field) {
    return field->kind != FLAT_LINK && field->value == 0;
}

/* Gives fields their places in the table, the wide ones first. */
static void lay_out(const flat_field *fields, size_t n, uint16_t shape[2 + FLAT_MOST_FIELDS]) {
    uint16_t size = sizeof(int32_t), entries = 2;
    for (int wide = 1; wide >= 0; wide--)
        for (size_t i = 0; i < n; i++) {
            if (is_left_out(&fields[i]) || (fields[i].kind != FLAT_BYTE) != wide) continue;
            shape[2 + fields[i].number] = size;
            size = (uint16_t)(size + (wide ? sizeof(uint32_t) : 1));
            if (fields[i].number + 3 > entries) entries = (uint16_t)(fields[i].number + 3);
        }
    shape[0] = (uint16_t)(entries * sizeof *shape);
    shape[1] = size;
}

uint32_t nas_flat_table(flat *f, const flat_field *fields, size_t n) {
    uint16_t shape[2 + FLAT_MOST_FIELDS] = {0};
    lay_out(fields, n, shape);
    pad(f, 4, 0);
    uint32_t vtable = put_shape(f, shape);
    pad(f, 4, 0);
    uint32_t table = (uint32_t)f->used;
    int32_t back = (int32_t)table - (int32_t)vtable;
    unsigned char *at = extend(f, shape[1]);
    if (!at) return 0;
    memcpy(at, &back, sizeof back);
    for (size_t i = 0; i < n; i++)
        if (!is_left_out(&fields[i]) && fields[i].kind != FLAT_LINK)
            memcpy(at + shape[2 + fields[i].number], &fields[i].value, (size_t)fields[i].kind);
    return table;
}

void nas_flat_point(flat *f, uint32_t table, uint32_t number, uint32_t to) {
    if (f->failed) return;
    int32_t back;
    memcpy(&back, f->data + table, sizeof back);
    uint32_t vtable = (uint32_t)((int32_t)table - back);
    set_link(f, table + read_short(f, vtable + 2 * (2 + number)), to);
}

uint32_t nas_flat_list(flat *f, const void *items, size_t n, size_t bytes, size_t align) {
    uint32_t count = (uint32_t)n;
    pad(f, 4, 0);
    pad(f, align, sizeof count);
    uint32_t at = (uint32_t)f->used;
    put(f, &count, sizeof count);
    if (items)
        put(f, items, n * bytes);
    else
        extend(f, n * bytes);
    return at;
}

uint32_t nas_flat_links(flat *f, size_t n) {
    return nas_flat_list(f, NULL, n, sizeof(uint32_t), sizeof(uint32_t));
}

void nas_flat_point_item(flat *f, uint32_t list, size_t i, uint32_t to) {
    set_link(f, list + (uint32_t)(sizeof(uint32_t) * (i + 1)), to);
}

uint32_t nas_flat_string(flat *f, const char *text) {
    uint32_t at = nas_flat_list(f, text, strlen(text), 1, 4);
    extend(f, 1);
    return at;
}

void nas_flat_free(flat *f) {
    free(f->data);
    *f = (flat){0};
}
